from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from vgsearch.config.search import EvalConfig
from vgsearch.data.decode import read_image
from vgsearch.data.resize import resize_shorter_side
from vgsearch.errors import DataError, DivergedError, ImageError
from vgsearch.models.precision import Precision
from vgsearch.retrieval.extraction import extract_descriptors

if TYPE_CHECKING:
    from conftest import ToyNetwork, WriteImages

CPU = torch.device("cpu")
FP32 = Precision(torch.float32, use_scaler=False)
MIXED = [(40, 56), (56, 40), (40, 56), (33, 47), (40, 56), (56, 40), (90, 30), (40, 56)]


def _extract(network: nn.Module, index: Any, precision: Precision = FP32, **options: Any) -> np.ndarray:
    config = EvalConfig(**{key: options.pop(key) for key in ("batch_size", "resize_px") if key in options})
    return extract_descriptors(network, index, eval_config=config, device=CPU, precision=precision, **options)


def _one_by_one(network: nn.Module, index: Any, resize_px: int | None = None) -> np.ndarray:
    network.eval()
    rows = []
    with torch.no_grad():
        for i in range(len(index)):
            image = read_image(index.absolute(i))
            if resize_px is not None:
                image = resize_shorter_side(image, resize_px)
            rows.append(network(image[None])[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("resize_px", [None, 24])
@pytest.mark.parametrize("loader_threads", [1, 3])
def test_equals_one_image_at_a_time(
    network: ToyNetwork,
    write_images: WriteImages,
    tmp_path: Path,
    batch_size: int,
    resize_px: int | None,
    loader_threads: int,
) -> None:
    index = write_images(tmp_path / "images", MIXED)
    found = _extract(
        network, index, batch_size=batch_size, resize_px=resize_px, loader_threads=loader_threads
    )
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, _one_by_one(network, index, resize_px), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_images_of_one_size_go_together(
    network: ToyNetwork, write_images: WriteImages, tmp_path: Path
) -> None:
    index = write_images(tmp_path / "images", MIXED)
    shapes = []
    network.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    _extract(network, index, batch_size=8)
    assert sorted(shapes) == [(1, 3, 33, 47), (1, 3, 90, 30), (2, 3, 56, 40), (4, 3, 40, 56)]


def test_the_network_gets_uint8_in_channels_last_under_inference_mode(
    network: ToyNetwork, write_images: WriteImages, tmp_path: Path
) -> None:
    def check(module: nn.Module, inputs: tuple[Tensor]) -> None:
        assert inputs[0].dtype == torch.uint8
        assert inputs[0].is_contiguous(memory_format=torch.channels_last)
        assert torch.is_inference_mode_enabled()
        assert not module.training

    network.register_forward_pre_hook(check)
    _extract(network, write_images(tmp_path / "images", MIXED))


def test_training_modes_are_restored_module_by_module(
    network: ToyNetwork, write_images: WriteImages, tmp_path: Path
) -> None:
    network.train()
    network.norm.eval()
    before = network.norm.running_mean.clone()
    _extract(network, write_images(tmp_path / "images", MIXED))
    assert network.training
    assert network.convolution.training
    assert not network.norm.training
    assert torch.equal(network.norm.running_mean, before)


def test_training_modes_are_restored_after_an_error(
    network: ToyNetwork, write_images: WriteImages, tmp_path: Path
) -> None:
    index = write_images(tmp_path / "images", MIXED)
    data = index.absolute(3).read_bytes()
    index.absolute(3).write_bytes(data[: len(data) // 2])
    network.train()
    with pytest.raises(ImageError, match="pano0003"):
        _extract(network, index, batch_size=2)
    assert network.training


def test_a_header_that_cannot_be_read_is_named_before_any_work(
    network: ToyNetwork, write_images: WriteImages, tmp_path: Path
) -> None:
    index = write_images(tmp_path / "images", MIXED)
    index.absolute(5).write_text("not an image")
    network.register_forward_pre_hook(lambda *_: pytest.fail("the network ran"))
    with pytest.raises(ImageError, match="pano0005"):
        _extract(network, index)


def test_a_file_replaced_by_another_size_is_refused(
    network: ToyNetwork,
    write_images: WriteImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = write_images(tmp_path / "images", [(40, 40)])
    monkeypatch.setattr("vgsearch.retrieval.image_loader.image_size", lambda _: (40, 60))
    with pytest.raises(ImageError, match=r"pano0000.*decodes to 40 x 40 pixels.*60 x 40"):
        _extract(network, index)


def test_threads_end_with_the_extraction(
    network: ToyNetwork, write_images: WriteImages, tmp_path: Path
) -> None:
    before = set(threading.enumerate())
    _extract(network, write_images(tmp_path / "images", MIXED), loader_threads=3)
    assert set(threading.enumerate()) <= before


def test_progress_adds_up(network: ToyNetwork, write_images: WriteImages, tmp_path: Path) -> None:
    steps: list[int] = []
    _extract(network, write_images(tmp_path / "images", MIXED), batch_size=2, progress=steps.append)
    assert sum(steps) == len(MIXED)
    assert max(steps) == 2


def test_bf16_stays_near_fp32(network: ToyNetwork, write_images: WriteImages, tmp_path: Path) -> None:
    index = write_images(tmp_path / "images", MIXED)
    half = _extract(network, index, Precision(torch.bfloat16, use_scaler=False))
    assert half.dtype == np.float32
    assert ((half * _one_by_one(network, index)).sum(axis=1) > 0.999).all()


def test_grey_images_are_read(network: ToyNetwork, tmp_path: Path, write_images: WriteImages) -> None:
    index = write_images(tmp_path / "images", [(40, 40), (40, 40)])
    Image.new("L", (40, 40), 90).save(index.absolute(1))
    assert np.isfinite(_extract(network, index)).all()


def test_descriptors_that_are_not_finite_name_the_image(
    network: ToyNetwork, write_images: WriteImages, tmp_path: Path
) -> None:
    index = write_images(tmp_path / "images", MIXED)
    with torch.no_grad():
        network.convolution.weight[0] = torch.nan
    with pytest.raises(DivergedError, match=r"NaN or infinity for .*pano000\d.*precision=fp32"):
        _extract(network, index)


def test_an_empty_index_is_refused(network: ToyNetwork, write_images: WriteImages, tmp_path: Path) -> None:
    index = write_images(tmp_path / "images", [(40, 40)]).subset([])
    with pytest.raises(DataError, match="at least one image"):
        _extract(network, index)


def test_no_warnings(network: ToyNetwork, write_images: WriteImages, tmp_path: Path) -> None:
    index = write_images(tmp_path / "images", MIXED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _extract(network, index, resize_px=24)
