"""`vgsearch ensemble` on a real store with real photos: what it prints, records, and does not do twice."""

import json
import re
import shutil

import numpy as np
import pytest
from rich.console import Console

from vgsearch.cli.build_ensemble import build_ensemble
from vgsearch.config.combination import load_combination
from vgsearch.config.ensemble import EnsembleFile
from vgsearch.data.retrieval_set import load_retrieval_set
from vgsearch.models.ensemble import load_model, read_ensemble
from vgsearch.models.precision import resolve_precision
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.scoring import score_set


@pytest.fixture(scope="module")
def described(searched_store, tmp_path_factory):
    """A store that holds every model's descriptors of val, so that tests need not make them again."""
    home = tmp_path_factory.mktemp("described")
    shutil.copyfile(searched_store.home / "mlflow.db", home / "mlflow.db")
    document = load_combination(None, EnsembleFile)
    build_ensemble(document, home, Console(quiet=True))
    return home / "descriptors"


@pytest.fixture
def run(vgsearch, own_searched_store, described, tmp_path):
    """`vgsearch ensemble` on a file with this text, in a home that has descriptors of val."""
    shutil.copytree(described, own_searched_store.home / "descriptors")

    def ensemble(text, *options):
        (tmp_path / "e.yaml").write_text(text)
        return vgsearch("ensemble", "e.yaml", "--home", own_searched_store.home, *options)

    return ensemble


def recorded(store, alias="ensemble"):
    registry = MlflowRegistry(store.home, None)
    (version,) = [each for each in registry.versions(store.search) if alias in each.aliases]
    return version, registry.download(version.reference)


GREEDY = "fusion: similarity\nselection: {name: greedy, size: 4}\n"


def test_an_ensemble_from_file_to_evaluation(run, vgsearch, own_searched_store):
    done = run(GREEDY)
    assert done.code == 0, done.err
    version, folder = recorded(own_searched_store)
    for part in ("How it came about (96 queries", "difference to the round before", "Members", "McNemar p"):
        assert part in done.out
    assert f"recorded as {version.reference}" in done.out
    assert version.kind == "ensemble"
    assert not version.selected_on_test

    record = read_ensemble(folder)
    lineage = json.loads((folder / "lineage.json").read_text())
    assert [each["reference"] for each in lineage["ingredients"]] == [
        each.reference for each in record.members
    ]
    assert [each["coefficient"] for each in lineage["ingredients"]] == record.weights
    assert [each["weights_sha256"] for each in lineage["ingredients"]] == [
        each.weights_sha256 for each in record.members
    ]
    assert lineage["selected_on"] == "val/recall_at_1"

    # The network itself, image by image, is right on the queries that the stored descriptors said.
    spec = record.members[0].spec
    val = load_retrieval_set(spec.data.val, spec.data.positive_distance_m, name="")
    device = next(load_model(folder).parameters()).device
    plain = score_set(
        load_model(folder),
        val,
        eval_config=spec.eval,
        device=device,
        precision=resolve_precision("fp32", device),
    )
    stored = RetrievalResult.from_npz(folder / "val.npz")
    np.testing.assert_array_equal(plain.first_hit_rank, stored.first_hit_rank)
    assert stored.stamp == plain.stamp
    said = re.search(r"val +96 +R@1 +(\S+) \[.*?\] +(\S+) \[", done.out)
    assert said[2] == f"{stored.at(1).percent:.1f}"
    best = max(float(v.tags["vgsearch.val.recall_at_1"]) for v in _trials(own_searched_store))
    assert said[1] == f"{best:.1f}"
    assert stored.at(1).percent >= best

    scored = vgsearch("evaluate", version.reference, "--on", "val", "--home", own_searched_store.home)
    assert scored.code == 0, scored.err
    assert f"R@1 {stored.at(1).percent:.1f}" in scored.out


def _trials(store):
    return [version for version in store.registry.versions(store.search) if version.kind == "trial"]


@pytest.mark.slow
def test_the_same_command_again_is_the_same_version_and_describes_nothing(run, own_searched_store):
    shutil.rmtree(own_searched_store.home / "descriptors")
    first = run(GREEDY)
    assert "720 images were described for this" in first.out  # 5 models, 48 and 96 photos each
    before, _ = recorded(own_searched_store)
    again = run(GREEDY)
    after, _ = recorded(own_searched_store)
    assert first.code == again.code == 0
    assert before == after
    assert "0 images were described for this" in again.out
    other = run(GREEDY, "--set", "fusion=mean", "--alias", "mean")
    assert other.code == 0, other.err
    assert "0 images were described for this" in other.out
    assert recorded(own_searched_store)[0] == before
    assert recorded(own_searched_store, "mean")[0] != before


def test_given_weights_and_no_selection(run, own_searched_store):
    references = "[models:/vgsearch-pot/5, models:/vgsearch-pot/1]"
    done = run(f"fusion: similarity\nmembers: {references}\nweights: [1, 3]\nalias: null\n")
    assert done.code == 0, done.err
    registry = MlflowRegistry(own_searched_store.home, None)
    (version,) = [v for v in registry.versions(own_searched_store.search) if v.kind == "ensemble"]
    record = read_ensemble(registry.download(version.reference))
    assert [member.reference for member in record.members] == [f"models:/vgsearch-pot/{n}" for n in (1, 5)]
    assert record.weights == [0.75, 0.25]
    assert version.aliases == ()
    assert f"vgsearch evaluate {version.reference} --on day" in done.out


@pytest.mark.slow
def test_a_test_needs_the_flag_and_leaves_a_tag_and_a_count(run, own_searched_store):
    text = GREEDY + "criterion: test/day/recall_at_1\n"
    refused = run(text)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "--allow-test-selection" in refused.err
    done = run(text, "--allow-test-selection")
    assert done.code == 0, done.err
    version, _ = recorded(own_searched_store)
    assert version.selected_on_test
    assert "vgsearch.selected_on_test" in done.out
    assert "test/day: scored 6 times so far" in done.out
    # The mark is inherited: what is made of it later has seen the test as well.
    assert "is an ensemble itself" in run("members: [models:/vgsearch-pot@ensemble]").err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fusion: median", "e.yaml:1: fusion: must be one of"),
        ("searches: [nosuch]", "nosuch"),
        ("criterion: val/night/recall_at_1", "there is no such selection split"),
        ("criterion: recall", "a criterion must be"),
        ("eval: {query_method: nearest_crop}", "nearest_crop gives 5 descriptors a query"),
        ("alias: champion", "champion"),
    ],
)
def test_bad_input_is_one_line(text, said, run):
    done = run(text)
    assert done.code == 2
    assert said in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
