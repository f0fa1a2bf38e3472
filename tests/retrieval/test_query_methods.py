"""How each method brings queries to the network, against one photo at a time by hand."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as F
from torch import nn

from vgsearch.config.query_method import MULTI_ROW, ONE_ROW, QueryMethod
from vgsearch.config.search import EvalConfig
from vgsearch.data.decode import read_image
from vgsearch.data.index import ImageIndex
from vgsearch.data.resize import resize_exactly, resize_shorter_side
from vgsearch.data.retrieval_set import RetrievalSet, load_retrieval_set
from vgsearch.errors import DataError
from vgsearch.models.ensemble_network import EnsembleNetwork, fuse
from vgsearch.models.precision import Precision
from vgsearch.retrieval.descriptor_store import DescriptorStore
from vgsearch.retrieval.extraction import extract_descriptors
from vgsearch.retrieval.query_methods import database_config, described_parts, query_config, rows_per_image
from vgsearch.retrieval.scoring import score_set, stamp_of
from vgsearch.retrieval.stored_scoring import score_stored

if TYPE_CHECKING:
    from conftest import ToyNetwork, WriteImages

METHODS: tuple[QueryMethod, ...] = (*ONE_ROW, *MULTI_ROW)
OPTIONS: dict[str, Any] = {
    "device": torch.device("cpu"),
    "precision": Precision(torch.float32, use_scaler=False),
}
QUERY_SIZES = [(48, 40), (32, 56), (64, 64), (48, 40), (30, 61), (32, 40)] * 2


@pytest.fixture
def city(write_images: WriteImages, tmp_path: Path) -> RetrievalSet:
    """Thirty database photos of one size, 100 m apart, and twelve queries of several at the first twelve."""
    write_images(tmp_path / "city" / "database", [(32, 40)] * 30)
    write_images(tmp_path / "city" / "queries", QUERY_SIZES)
    return load_retrieval_set(tmp_path / "city", 25.0, cache_dir=tmp_path / "cache")


def by_hand(
    network: nn.Module, index: ImageIndex, method: QueryMethod, target: tuple[int, int]
) -> np.ndarray:
    """Descriptors of one photo after the other, cut by torchvision after the very resize that we use."""
    rows = []
    side = min(target)
    for i in range(len(index)):
        photo = read_image(index.absolute(i))
        if method == "native":
            pictures = [photo]
        elif method == "single_query":
            pictures = [resize_shorter_side(photo, side)]
        elif method == "central_crop":
            scale = max(target[0] / photo.shape[1], target[1] / photo.shape[2])
            size = [int(edge * scale + 1e-9) for edge in photo.shape[1:]]
            pictures = [F.center_crop(resize_exactly(photo, *size), list(target))]
        else:
            pictures = list(F.five_crop(resize_shorter_side(photo, side), side))
        with torch.inference_mode():
            described = torch.cat([network.eval()(picture[None]) for picture in pictures])
        if method == "five_crops":
            mean = described.mean(dim=0)
            described = (mean / mean.norm())[None]
        rows.append(described.numpy())
    return np.concatenate(rows)


@pytest.mark.parametrize("batch_size", [1, 7, 16])
@pytest.mark.parametrize("method", METHODS)
def test_descriptors_equal_one_photo_at_a_time(
    city: RetrievalSet, network: ToyNetwork, method: QueryMethod, batch_size: int
) -> None:
    config = EvalConfig(query_method=method, batch_size=batch_size)
    _, part = described_parts(city.database, city.queries, config)
    done: list[int] = []
    rows = extract_descriptors(
        network, part.index, eval_config=part.eval_config, progress=done.append, **OPTIONS
    )
    expected = by_hand(network, city.queries, method, (32, 40))
    assert len(rows) == rows_per_image(config) * len(QUERY_SIZES)
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert sum(done) == len(QUERY_SIZES)


@pytest.mark.parametrize("method", METHODS)
def test_the_target_is_what_is_given_or_what_the_database_has(
    city: RetrievalSet, method: QueryMethod
) -> None:
    asked = EvalConfig(query_method=method)
    given = EvalConfig(query_method=method, crop_height_px=32, crop_width_px=40)
    ours, theirs = query_config(asked, city.database), query_config(given, city.database)
    assert database_config(asked) == EvalConfig()
    if method != "native":
        assert ours == theirs
    halved = query_config(EvalConfig(query_method=method, resize_px=16), city.database)
    if method == "central_crop":
        assert (halved.crop_height_px, halved.crop_width_px) == (16, 20)
    elif method in ("native", "single_query"):
        assert halved == EvalConfig(resize_px=16)
    else:
        assert (halved.crop_height_px, halved.crop_width_px) == (16, 16)


def test_a_given_target_is_that_of_native_images_too(city: RetrievalSet, network: ToyNetwork) -> None:
    """The benchmark's `hard_resize`: exactly that size, whatever the aspect ratio."""
    given = EvalConfig(crop_height_px=20, crop_width_px=24, resize_px=16)
    sizes: set[tuple[int, ...]] = set()
    handle = network.register_forward_pre_hook(lambda _, inputs: sizes.add(tuple(inputs[0].shape[2:])))
    for part in described_parts(city.database, city.queries, given):
        extract_descriptors(network, part.index, eval_config=part.eval_config, **OPTIONS)
    handle.remove()
    assert sizes == {(20, 24)}


def test_a_database_of_several_sizes_needs_a_target(write_images: WriteImages, tmp_path: Path) -> None:
    several = write_images(tmp_path / "several", [(32, 40), (32, 48), (32, 40)])
    with pytest.raises(DataError) as caught:
        query_config(EvalConfig(query_method="central_crop"), several)
    text = str(caught.value)
    assert "32 x 40 (" in text
    assert "32 x 48 (" in text
    assert "give eval.crop_height_px and eval.crop_width_px" in text
    assert "\n" not in text
    # Their shorter side is one all the same, which is all that the others need.
    assert query_config(EvalConfig(query_method="five_crops"), several).crop_height_px == 32
    worse = write_images(tmp_path / "worse", [(32, 40), (30, 48)])
    with pytest.raises(DataError, match=r"32 px .* and 30 px .* or eval.resize_px"):
        query_config(EvalConfig(query_method="nearest_crop"), worse)
    assert query_config(EvalConfig(query_method="nearest_crop", resize_px=24), worse).crop_height_px == 24
    given = EvalConfig(query_method="central_crop", crop_height_px=24, crop_width_px=30)
    assert query_config(given, worse).crop_width_px == 30


class Identity:
    weights_sha256 = "a" * 64
    architecture = "toy"


def test_the_store_keeps_one_entry_of_each_kind(
    city: RetrievalSet, network: ToyNetwork, tmp_path: Path
) -> None:
    """One of the database for all methods; voting finds the crops that the nearest crop has described."""
    store = DescriptorStore(tmp_path / "descriptors")
    described: dict[QueryMethod, list[int]] = {}
    for method in METHODS:
        config = EvalConfig(query_method=method)
        done: list[int] = []
        arguments = (store, network, Identity(), [city])
        (stored,) = score_stored(
            *arguments, eval_config=config, progress=done.append, detailed=True, **OPTIONS
        )
        (again,) = score_stored(
            *arguments, eval_config=config, progress=done.append, detailed=True, **OPTIONS
        )
        plain = score_set(network, city, eval_config=config, detailed=True, **OPTIONS)
        described[method] = done
        for each in (again, plain):
            np.testing.assert_array_equal(stored.first_hit_rank, each.first_hit_rank)
            np.testing.assert_array_equal(stored.neighbour_ids, each.neighbour_ids)
            assert stored.stamp == each.stamp
        assert again.query_extraction_s is None
        assert plain.query_extraction_s is not None
        assert (stored.query_extraction_s is None) == (method == "majority_voting")
    counts = {method: sum(done) for method, done in described.items()}
    assert counts == {
        "native": 30 + 12,
        "single_query": 12,
        "central_crop": 12,
        "five_crops": 12,
        "nearest_crop": 12,
        "majority_voting": 0,
    }
    entries = [path for path in store.root.iterdir() if path.name != "locks"]
    assert len(entries) == 6


def test_stamps_tell_methods_and_given_targets_apart(city: RetrievalSet) -> None:
    configs = [EvalConfig(query_method=method) for method in METHODS]
    configs += [EvalConfig(resize_px=16), EvalConfig(crop_height_px=32, crop_width_px=40)]
    stamps = [stamp_of(city, config) for config in configs]
    assert len(set(stamps)) == len(stamps)
    assert stamps[0].endswith("-25m-native-fullsize")
    assert stamps[-1].endswith("-25m-native-fullsize-32x40")


@pytest.mark.parametrize("fusion", ["mean", "similarity"])
def test_each_member_of_an_ensemble_takes_its_own_mean(
    city: RetrievalSet, network: ToyNetwork, fusion: Any
) -> None:
    members = [network, copy.deepcopy(network)]
    with torch.no_grad():
        members[1].convolution.weight.mul_(-1.0)
    weights = (0.7, 0.3)
    config = query_config(EvalConfig(query_method="five_crops", batch_size=16), city.database)
    ensemble = EnsembleNetwork(members, fusion, weights)
    fused = extract_descriptors(ensemble, city.queries, eval_config=config, **OPTIONS)
    alone = [extract_descriptors(member, city.queries, eval_config=config, **OPTIONS) for member in members]
    expected = fuse([torch.from_numpy(rows) for rows in alone], fusion, weights)
    np.testing.assert_allclose(fused, expected.numpy(), atol=1e-5)
