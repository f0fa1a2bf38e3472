"""`vgsearch soup` as a user types it, on a real MLflow store."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from tests.ensembling.soup_world import SEARCH, build_soup_world
from vgsearch.registry.kept_tests import kept_tests
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.training.val_scores import stored_results

pytestmark = pytest.mark.usefixtures("one_thread")

MODEL = f"models:/vgsearch-{SEARCH}"


@pytest.fixture(scope="module")
def world(tmp_path_factory, empty_store):
    root = tmp_path_factory.mktemp("soup")
    home = root / "home"
    home.mkdir()
    shutil.copyfile(empty_store, home / "mlflow.db")
    return build_soup_world(root, MlflowRegistry(home, None), home)


@pytest.fixture
def soup(vgsearch, world, monkeypatch):
    """Call `vgsearch soup ARGS` on the world's home."""
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)

    def run(*arguments):
        return vgsearch("soup", *arguments, "--home", world.home, "--set", "bn_images=32")

    return run


def assert_refused(run, *words):
    assert run.code == 2, run.out
    (line,) = run.err.strip().splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def test_no_argument_makes_a_greedy_soup_of_the_latest_search(soup, world, vgsearch):
    run = soup()
    assert run.code == 0, run.err
    assert f"greedy soup of search {SEARCH} by val/recall_at_1: 4 checkpoints of test_resnet" in run.out
    assert f"--architecture-of {MODEL}/5 takes them" in run.out
    assert "What was tried, by val/recall_at_1" in run.out
    assert "passes over val" in run.out
    (reference,) = re.findall(rf"recorded as ({MODEL}/\d+), {MODEL}@soup", run.out)
    version = next(each for each in world.registry.versions(SEARCH) if each.reference == reference)
    assert version.kind == "soup"
    assert not version.selected_on_test
    again = soup("--no-early-drop")
    assert "recorded before: nothing was computed again" in again.out
    assert reference in again.out
    evaluated = vgsearch("evaluate", f"{MODEL}@soup", "--on", "val", "--home", world.home)
    assert evaluated.code == 0, evaluated.err
    value = float(version.tags["vgsearch.val.recall_at_1"])
    assert f"R@1 {value:.1f}" in evaluated.out


def test_the_tests_are_scored_only_if_asked_for_and_counted(soup, world):
    # The counts are those of this store, whatever other tests did to it.
    before = world.registry.test_scorings(SEARCH).get("day")
    assert soup("--method", "uniform", "--top-k", "2", "--alias", "pair").code == 0
    assert world.registry.test_scorings(SEARCH).get("day") == before
    run = soup("--method", "uniform", "--top-k", "2", "--alias", "pair", "--score-tests")
    assert run.code == 0, run.err
    assert "test/day" in run.out
    assert "test/night" in run.out
    assert "Looks at the tests: test/day scored" in run.out
    looks = world.registry.test_scorings(SEARCH)["day"]
    assert looks.scorings == (before.scorings if before else 0) + 2
    # Both results stay with their models, where `vgsearch report` finds them.
    scored = {each.model for each in world.registry.scored_tests(SEARCH)[-4:]}
    kept = {
        (version.kind, split)
        for version in world.registry.versions(SEARCH)
        for model in scored
        if model.startswith(version.weights_sha256[:32])
        for split, _ in kept_tests(world.registry, version, model)
    }
    assert {("soup", "day"), ("soup", "night"), ("trial", "day"), ("trial", "night")} <= kept


def test_one_ingredient_is_said_to_be_that_model(soup):
    run = soup("--top-k", "1", "--alias", "single")
    assert run.code == 0, run.err
    assert re.search(rf"The soup has one ingredient: it equals {MODEL}/\d", run.out)
    assert "No image was described" in run.out


def test_selecting_on_a_test_needs_a_flag_and_leaves_a_mark(soup, world):
    assert_refused(
        soup("--criterion", "test/day/recall_at_1"), "--allow-test-selection", "vgsearch.selected_on_test"
    )
    run = soup(
        "--criterion", "test/day/recall_at_1", "--allow-test-selection", "--top-k", "2", "--alias", "peeked",
        "--recalibrate-bn", "off",
    )  # fmt: skip
    assert run.code == 0, run.err
    assert "it is tagged vgsearch.selected_on_test" in run.out
    (version,) = [each for each in world.registry.versions(SEARCH) if "peeked" in each.aliases]
    assert version.selected_on_test


def test_a_file_of_several_criteria_makes_several_soups(soup, world, tmp_path):
    file = tmp_path / "several.yaml"
    file.write_text("criteria: [val/recall_at_1, val/recall_at_5]\ntop_k: 2\nrecalibrate_bn: off\n")
    run = soup(file)
    assert run.code == 0, run.err
    aliases = {alias for each in world.registry.versions(SEARCH) for alias in each.aliases}
    assert {"soup_val_r1", "soup_val_r5"} <= aliases


def test_diagnosis_makes_no_soup(soup, world):
    count = len(world.registry.versions(SEARCH))
    run = soup("--diagnose", "--diagnose-top", "1", "--diagnose-points", "3")
    assert run.code == 0, run.err
    assert "diagnosis: 1 pair, 1 network" in run.out.replace("networks", "network")
    assert "tried versions" not in run.out
    assert (world.home / "reports" / SEARCH / "soup_diagnosis.png").is_file()
    assert len(world.registry.versions(SEARCH)) == count


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere.yaml",), ("nowhere.yaml: no such file",)),
        (("--criterion", "val/R@1"), ("criterion", "val/recall_at_N")),
        (("--criterion", "val/night/recall_at_1"), ("no such selection split", "val/recall_at_N")),
        (("--search", "nobody"), ("nobody",)),
        (("--architecture-of", "99"), ("99 is not among",)),
        (("--alias", "champion"), ("champion",)),
        (("--method", "model_stock"), ("initial weights", "--anchor")),
        (("--method", "uniform", "--anchor", "x"), ("anchor", "belongs to method: model_stock")),
        (("--set", "tok_k=1"), ("tok_k", "nearest: top_k")),
    ],
)
def test_mistakes_are_one_line(soup, arguments, words):
    assert_refused(soup(*arguments), *words)


def test_what_is_refused_leaves_no_version(soup, world):
    count = len(world.registry.versions(SEARCH))
    assert_refused(soup("--alias", "v3", "--top-k", "3"), "alias")
    assert len(world.registry.versions(SEARCH)) == count


def test_an_empty_store_says_what_to_do(vgsearch, own_store):
    assert_refused(vgsearch("soup"), "vgsearch tune")


def test_a_query_method_with_several_descriptors_is_refused_at_its_line(soup, tmp_path):
    file = tmp_path / "nearest.yaml"
    file.write_text("top_k: 2\neval:\n  query_method: nearest_crop\n")
    assert_refused(soup(file), "nearest.yaml:3: eval.query_method: nearest_crop gives 5 descriptors")


@pytest.mark.slow
def test_the_papers_table_16_runs_with_its_central_crops(soup, world):
    file = Path(__file__).parents[2] / "ensembles" / "paper_table16.yaml"
    run = soup(
        file, "--allow-test-selection", "--set", f"searches=[{SEARCH}]", "--set", "top_k=2",
        "--set", "criteria=[val/recall_at_1, test/day/recall_at_5]",
        "--set", "eval.crop_height_px=48", "--set", "eval.crop_width_px=64",
    )  # fmt: skip
    assert run.code == 0, run.err
    made = [each for each in world.registry.versions(SEARCH) if any("table16" in a for a in each.aliases)]
    assert len(made) == 2
    for version in made:
        result = stored_results(world.registry.download(version.reference))[""]
        assert result.stamp.endswith("-25m-central_crop-fullsize-48x64")
