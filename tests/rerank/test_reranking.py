"""How a re-ranked result is told from others: what is written is read back, whatever stands before it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rerank.conftest import SMALL, moved_geowarp
from vgsearch.config.geowarp import GeoWarpConfig
from vgsearch.errors import CheckpointError
from vgsearch.rerank.checkpoint import GEOWARP_CONFIG_FILE, GEOWARP_LINEAGE_FILE, save_geowarp
from vgsearch.rerank.reranking import NamedReranker, RerankerSort, Reranking

NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True)
SORTS = st.builds(
    RerankerSort,
    st.sampled_from(["imported", "trained", "unknown"]),
    st.sampled_from(["alexnet", "vgg16", "resnet50", "timm/test_resnet.r160_in1k"]),
    st.sampled_from(["gem", "netvlad"]),
)
RERANKINGS = st.builds(
    Reranking,
    st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    st.sampled_from(["fp32", "bf16", "fp16"]),
    st.integers(2, 20),
    st.builds(NamedReranker, NAMES, SORTS, st.sampled_from(["", "sf_xs/train", "train"])),
)
PLAIN = "1f0c2a9e7b3d5a60-25m-central_crop-fullsize-480x640"


@given(how=RERANKINGS, set_name=st.one_of(st.just("test/night-fda-x-beta0.01-seed0"), NAMES))
def test_what_is_written_is_read_back(how: Reranking, set_name: str) -> None:
    found = Reranking.read(how.stamp(PLAIN), how.set_name(set_name))
    assert found == (how, PLAIN, set_name)


@given(one=RERANKINGS, other=RERANKINGS)
def test_two_orders_never_share_a_stamp(one: Reranking, other: Reranking) -> None:
    def key(how: Reranking) -> tuple[object, ...]:
        return how.identity, how.precision, how.n

    assert (one.stamp(PLAIN) == other.stamp(PLAIN)) == (key(one) == key(other))
    assert one.stamp(PLAIN) != PLAIN


@given(set_name=st.text(max_size=60))
def test_a_plain_stamp_is_plain_whatever_the_set_is_called(set_name: str) -> None:
    assert Reranking.read(PLAIN, set_name) == (None, PLAIN, set_name)


def test_characters_that_would_mislead_are_replaced() -> None:
    network = NamedReranker("a:b c", RerankerSort("imported", "timm/x:y", "gem"), "d:e/f")
    how = Reranking("0" * 16, "fp32", 5, network)
    found, _, plain = Reranking.read(how.stamp(PLAIN), how.set_name("val"))
    assert found is not None
    expected = NamedReranker("a_b_c", RerankerSort("imported", "timm/x_y", "gem"), "d_e/f")
    assert (found.network, plain) == (expected, "val")


def test_without_a_description_it_is_still_no_plain_result() -> None:
    found, stamp, _ = Reranking.read(f"{PLAIN}-geowarp-{'a' * 16}-fp32-top5", "val")
    assert (found, stamp) == (Reranking("a" * 16, "fp32", 5), PLAIN)


def test_a_checkpoint_says_its_sort_and_where_it_was_trained(tmp_path: Path) -> None:
    config = GeoWarpConfig(**SMALL.model_dump() | {"pooling": "netvlad"})
    lineage = {"kind": "trained", "photos": {"folder": "/data/sf_xs/train"}}
    folder = save_geowarp(tmp_path / "warp", moved_geowarp(config), lineage)
    sort = RerankerSort("trained", SMALL.encoder, "netvlad")
    assert NamedReranker.of_checkpoint(folder) == NamedReranker("warp", sort, "sf_xs/train")
    (folder / GEOWARP_LINEAGE_FILE).unlink()
    assert NamedReranker.of_checkpoint(folder).sort.kind == "unknown"
    (folder / GEOWARP_CONFIG_FILE).unlink()
    with pytest.raises(CheckpointError):
        NamedReranker.of_checkpoint(folder)
