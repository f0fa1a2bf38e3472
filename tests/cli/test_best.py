"""`vgsearch best` and `vgsearch gc` in a store where combinations lie beside trials."""

import shutil

import pytest

from vgsearch.ensembling.candidates import gather_candidates
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.recording import Ingredient, record_combination

VAL = Criterion.parse("val/recall_at_1")


@pytest.fixture
def combined(own_searched_store, tmp_path):
    """The store with a soup, an ensemble that was chosen on a test, and a soup without an alias."""
    registry, _, search = own_searched_store
    candidates = gather_candidates(registry, [search])
    versions = [candidate.version for candidate in candidates]
    for uid, kind, parts, alias, criterion in (
        ("soup-000000000001", "soup", versions[:3], "soup", VAL),
        ("ensemble-000000000001", "ensemble", versions[3:], "paper", Criterion.parse("test/day/recall_at_1")),
        ("soup-000000000002", "soup", versions[:2], None, VAL),
    ):
        # Any checkpoint's files will do: neither command opens the weights of a combination.
        folder = shutil.copytree(candidates[2].folder, tmp_path / uid)
        record_combination(
            registry,
            kind=kind,
            search=search,
            uid=uid,
            folder=folder,
            ingredients=[Ingredient(version, 1 / len(parts)) for version in parts],
            params={},
            spec_text="",
            alias=alias,
            criterion=criterion,
        )
    return own_searched_store


def test_best_names_combinations_by_their_alias(vgsearch, combined):
    registry, home, search = combined
    champion = registry.champion(search)
    recall = float(registry.versions(search)[2].tags["vgsearch.val.recall_at_1"])
    run = vgsearch("best", search, "--home", home)
    assert run.code == 0, run.err
    lines = run.out.splitlines()
    assert lines[0] == f"champion   models:/vgsearch-pot@champion (version {champion.version})"
    assert f"trial      {champion.uid}" in lines
    assert [line for line in lines if line.startswith(("soup", "ensemble"))] == [
        f"soup       models:/vgsearch-pot@soup (version 6) of 3, val/recall_at_1 {recall:.1f}",
        f"ensemble   models:/vgsearch-pot@paper (version 7) of 2, val/recall_at_1 {recall:.1f}, "
        "selected on a test split",
    ]


def test_best_without_combinations_says_nothing_of_them(vgsearch, searched_store):
    run = vgsearch("best", searched_store.search, "--home", searched_store.home)
    assert run.code == 0, run.err
    assert "soup" not in run.out
    assert "ensemble" not in run.out


def test_gc_keeps_combinations_and_their_downloads(vgsearch, combined):
    registry, home, search = combined
    # As if the store were elsewhere: what was downloaded lies under the home.
    for version in registry.versions(search):
        folder = home / "downloads" / version.run_id / version.tags["vgsearch.artifact_path"].split("/")[1]
        shutil.copytree(registry.download(version.reference), folder)
    gone = home / "downloads" / "gone" / "epoch_0001"
    gone.mkdir(parents=True)
    run = vgsearch("gc", "--home", home)
    assert run.code == 0, run.err
    assert "a download of a version that is no longer in the MLflow store" in run.out
    assert run.out.splitlines()[-1].startswith("1 item,")
    assert len(list((home / "downloads").glob("*/epoch_0001"))) == 8
    for version in registry.versions(search):
        assert (registry.download(version.reference) / "model.safetensors").is_file()
