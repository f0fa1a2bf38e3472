from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from vgsearch.config.search import EvalConfig
from vgsearch.data.index import index_folder
from vgsearch.errors import ImageError
from vgsearch.models.precision import Precision
from vgsearch.retrieval.descriptor_key import descriptor_key, images_key

if TYPE_CHECKING:
    from conftest import WriteImages

FP32 = Precision(torch.float32, use_scaler=False)
BF16 = Precision(torch.bfloat16, use_scaler=False)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Identity:
    weights_sha256: str = "a" * 64
    architecture: str = "b" * 64


def name(identity=Identity(), images="images", eval_config=EvalConfig(), device=CPU, precision=FP32) -> str:  # noqa: B008
    key = descriptor_key(identity, images, eval_config=eval_config, device=device, precision=precision)
    assert len(key.name) == 32
    assert set(key.name) <= set("0123456789abcdef")
    return key.name


def test_everything_that_changes_the_numbers_changes_the_name() -> None:
    names = [
        name(),
        name(Identity(weights_sha256="c" * 64)),
        name(Identity(architecture="c" * 64)),
        name(images="others"),
        name(eval_config=EvalConfig(resize_px=480)),
        name(eval_config=EvalConfig(resize_px=512)),
        name(precision=BF16),
        name(device=torch.device("meta")),  # any other kind of device: a GPU may not be here
    ]
    assert len(set(names)) == len(names)


def test_what_leaves_the_numbers_alone_leaves_the_name() -> None:
    assert name(eval_config=EvalConfig(batch_size=3)) == name(eval_config=EvalConfig(batch_size=64))
    assert name(precision=replace(FP32, use_scaler=True)) == name()
    assert name(device=torch.device("cpu", 0)) == name()


def test_a_setting_that_is_added_later_counts_from_the_first_day() -> None:
    class Later(EvalConfig):
        crop: str = "none"

    assert len({name(eval_config=Later(crop=crop)) for crop in ("none", "central")}) == 2


def test_a_copy_with_its_times_shares_the_key(write_images: WriteImages, tmp_path: Path) -> None:
    index = write_images(tmp_path / "photos", [(32, 40)] * 5)
    shutil.copytree(tmp_path / "photos", tmp_path / "elsewhere")
    copy = index_folder(tmp_path / "elsewhere", cache_dir=tmp_path / "cache")
    assert images_key(copy) == images_key(index)
    assert images_key(index.subset([0, 1])) != images_key(index.subset([1, 0]))


def test_other_contents_under_the_same_names_sizes_and_times(
    write_images: WriteImages, tmp_path: Path
) -> None:
    """What an archive that sets all times alike can leave behind; the fingerprint does not see it."""
    index = write_images(tmp_path / "photos", [(32, 40)] * 200)
    before = images_key(index)
    for i in range(len(index)):
        path = index.absolute(i)
        status = path.stat()
        content = bytearray(path.read_bytes())
        content[-10] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = index_folder(tmp_path / "photos", cache_dir=tmp_path / "cache")
    assert again.fingerprint == index.fingerprint
    assert images_key(again) != before


@pytest.mark.parametrize("place", [0, -1])
def test_a_short_list_is_read_whole(write_images: WriteImages, tmp_path: Path, place: int) -> None:
    index = write_images(tmp_path / "photos", [(32, 40)] * 64)
    before = images_key(index)
    path = index.absolute(range(64)[place])
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert images_key(index) != before


def test_a_photo_that_is_gone_is_named(write_images: WriteImages, tmp_path: Path) -> None:
    index = write_images(tmp_path / "photos", [(32, 40)] * 3)
    index.absolute(2).unlink()
    with pytest.raises(ImageError, match="pano0002.*No such file"):
        images_key(index)
