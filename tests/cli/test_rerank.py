"""`evaluate --rerank` as a user types it, on the tiny city."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.test_fda import TRIAL
from tests.cli.test_import import assert_refused
from tests.rerank.conftest import SMALL, moved_geowarp
from vgsearch.config.geowarp import GeoWarpConfig
from vgsearch.config.search import DataConfig, EvalConfig, TrialSpec
from vgsearch.models.checkpoint import save_checkpoint
from vgsearch.models.network import build_network
from vgsearch.registry.kept_tests import kept_tests
from vgsearch.reporting.paper.our_tests import OurTest
from vgsearch.rerank.checkpoint import geowarp_identity, save_geowarp
from vgsearch.rerank.network import build_geowarp
from vgsearch.rerank.reranking import NamedReranker, RerankerSort, Reranking
from vgsearch.retrieval.recall import RetrievalResult

TRAINED_LINEAGE = {"kind": "trained", "photos": {"folder": "/data/sf_xs/train"}}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def made(tiny_city: Path, tmp_path: Path):
    """A descriptor network with its initial weights and, under a name, a GeoWarp network."""
    data = DataConfig(
        train=str(tiny_city / "train"),
        val=str(tiny_city / "val_night"),
        tests={"night": str(tiny_city / "test_night")},
    )
    spec = TrialSpec(search="quick", uid="quick-0", trial=TRIAL, data=data, eval=EvalConfig(resize_px=64))
    save_checkpoint(tmp_path / "model", build_network(TRIAL), spec, {"epoch": 1})
    save_geowarp(tmp_path / "runs" / "rerankers" / "warp", moved_geowarp(), {"kind": "imported"})


def test_each_n_is_a_result_of_its_own(vgsearch, own_store, made, tmp_path):
    begin = ("evaluate", "model", "--on", "val", "--rerank", "geowarp:warp")
    run = vgsearch(*begin, "--top", "5,3", "--save", "scores")
    assert run.code == 0, run.err
    assert run.out.index("top 3 re-ranked: R@1") < run.out.index("top 5 re-ranked: R@1")
    assert run.out.count("against not re-ranking: R@1") == 2
    assert "McNemar" in run.out
    files = {path.name: RetrievalResult.from_npz(path) for path in (tmp_path / "scores").iterdir()}
    assert set(files) == {"val.npz", "val_geowarp_top3.npz", "val_geowarp_top5.npz"}
    plain = files["val.npz"].neighbour_ids
    for n in (3, 5):
        ids = files[f"val_geowarp_top{n}.npz"].neighbour_ids
        np.testing.assert_array_equal(np.sort(ids[:, :n]), np.sort(plain[:, :n]))
        np.testing.assert_array_equal(ids[:, n:], plain[:, n:])
        assert (ids != plain).any()
    stamps = {name: file.stamp for name, file in files.items()}
    identity = geowarp_identity(tmp_path / "runs" / "rerankers" / "warp")
    for n in (3, 5):
        expected = f"{stamps['val.npz']}-geowarp-{identity}-fp32-top{n}"
        assert stamps[f"val_geowarp_top{n}.npz"] == expected
    assert not list((tmp_path / "runs").glob(".rerank-*"))
    alone = vgsearch(*begin, "--top", "5", "--save", "alone")
    assert alone.code == 0, alone.err
    same = RetrievalResult.from_npz(tmp_path / "alone" / "val_geowarp_top5.npz")
    np.testing.assert_array_equal(same.neighbour_ids, files["val_geowarp_top5.npz"].neighbour_ids)


def test_pictures_show_pairs_of_each_n(vgsearch, own_store, made, tmp_path):
    begin = ("evaluate", "model", "--on", "val", "--rerank", "geowarp:warp", "--top", "2,5")
    run = vgsearch(*begin, "--pictures", "sheets", "--save", "scores")
    assert run.code == 0, run.err
    assert [path.name for path in sorted((tmp_path / "sheets").iterdir())] == [
        "val_geowarp_top2.jpg",
        "val_geowarp_top5.jpg",
    ]
    plain = RetrievalResult.from_npz(tmp_path / "scores" / "val.npz")
    for n in (2, 5):
        with Image.open(tmp_path / "sheets" / f"val_geowarp_top{n}.jpg") as sheet:
            assert sheet.size[0] > 1_000
        after = RetrievalResult.from_npz(tmp_path / "scores" / f"val_geowarp_top{n}.npz")
        changed = plain.neighbour_ids[:, 0] != after.neighbour_ids[:, 0]
        mended = (changed & ~plain.hits_at(1) & after.hits_at(1)).sum()
        spoiled = (changed & plain.hits_at(1) & ~after.hits_at(1)).sum()
        assert changed.any()
        (line,) = [line for line in run.out.splitlines() if f"_top{n}.jpg: val, top {n}" in line]
        assert f"of 6 queries, {mended} mended (" in line
        assert f", {spoiled} spoiled (" in line
        assert f", {changed.sum() - mended - spoiled} as right as before (" in line
    again = vgsearch(*begin, "--pictures", "again")
    assert again.code == 0, again.err
    for path in (tmp_path / "sheets").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_pictures_of_what_did_not_change_say_so(vgsearch, own_store, made, tmp_path):
    same = build_geowarp(SMALL)
    with torch.no_grad():
        same.regression.linear.bias.zero_()  # no quadrilateral has an area: every score is the same
    save_geowarp(tmp_path / "runs" / "rerankers" / "same", same, {"kind": "imported"})
    begin = ("evaluate", "model", "--on", "val", "--rerank", "geowarp:same", "--top", "3")
    run = vgsearch(*begin, "--pictures", "sheets")
    assert run.code == 0, run.err
    assert "no first prediction of 6 queries changed; the first 6 with theirs" in run.out
    assert (tmp_path / "sheets" / "val_geowarp_top3.jpg").stat().st_size > 0


def test_what_cannot_be_is_one_line(vgsearch, own_store, made):
    begin = ("evaluate", "model", "--on", "val")
    assert_refused(vgsearch(*begin, "--pictures", "sheets"), "--pictures goes with --rerank")
    assert_refused(vgsearch(*begin, "--top", "5"), "--rerank")
    assert_refused(vgsearch(*begin, "--rerank", "warp"), "geowarp:CHECKPOINT")
    assert_refused(vgsearch(*begin, "--rerank", "geowarp:wrap"), "wrap", "there is warp")
    if not torch.cuda.is_available():
        half = (*begin, "--rerank", "geowarp:warp", "--rerank-precision", "fp16")
        assert_refused(vgsearch(*half), "fp16 needs a GPU")
    for top in ("1", "21", "five", "5,"):
        assert_refused(vgsearch(*begin, "--rerank", "geowarp:warp", "--top", top), "--top", top)


def test_every_n_on_a_test_is_kept_apart_from_the_plain_order(vgsearch, own_searched_store, tmp_path):
    registry, home, _ = own_searched_store
    version = registry.versions("pot")[0]
    save_geowarp(home / "rerankers" / "warp", moved_geowarp(), TRAINED_LINEAGE)
    command = ("evaluate", version.reference, "--on", "test/night", "--home", home)
    run = vgsearch(*command, "--rerank", "geowarp:warp", "--top", "3,5", "--save", "scores")
    assert run.code == 0, run.err
    key = {scoring.model for scoring in registry.scored_tests("pot")}.pop()
    kept = {
        OurTest(split, result).reranking: result
        for split, npz in kept_tests(registry, version, key)
        if split == "night"
        for result in (RetrievalResult.from_npz(npz),)
    }
    identity = geowarp_identity(home / "rerankers" / "warp")
    network = NamedReranker("warp", RerankerSort("trained", SMALL.encoder, "gem"), "sf_xs/train")
    for n, file in ((None, "test_night"), (3, "test_night_geowarp_top3"), (5, "test_night_geowarp_top5")):
        how = None if n is None else Reranking(identity, "fp32", n, network)
        saved = RetrievalResult.from_npz(tmp_path / "scores" / f"{file}.npz")
        np.testing.assert_array_equal(kept[how].neighbour_ids, saved.neighbour_ids)
    assert {scoring.stamp for scoring in registry.scored_tests("pot")} == {
        result.stamp for result in kept.values()
    }
    # compare asks for a plain result, and none that is re-ranked is taken for it.
    compared = vgsearch("compare", version.reference, version.reference, "--on", "test/night", "--home", home)
    assert compared.code == 0, compared.err
    assert f"{kept[None].at(1).percent:.1f}" in compared.out


def test_every_n_on_a_test_is_counted(vgsearch, own_store, made, tmp_path):
    from vgsearch.registry.mlflow_registry import MlflowRegistry

    registry = MlflowRegistry(tmp_path / "runs", None)
    registry.open_search("quick", params={}, config_text="", tags={})
    run = vgsearch("evaluate", "model", "--on", "night", "--rerank", "geowarp:warp", "--top", "3,5")
    assert run.code == 0, run.err
    looks = registry.test_scorings("quick")["night"]
    assert (looks.scorings, looks.different) == (3, 3)
    other = GeoWarpConfig(**SMALL.model_dump() | {"resize_px": 48})
    save_geowarp(tmp_path / "runs" / "rerankers" / "warp", moved_geowarp(other), {"kind": "imported"})
    again = ("evaluate", "model", "--on", "night", "--rerank", "geowarp:warp", "--top", "3")
    for options, expected in [((), (5, 4)), (("--rerank-precision", "bf16"), (7, 5))]:
        run = vgsearch(*again, *options)
        assert run.code == 0, run.err
        looks = registry.test_scorings("quick")["night"]
        assert (looks.scorings, looks.different) == expected
