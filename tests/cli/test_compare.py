"""`vgsearch compare` and the count of test scorings, as a user types it, on the tiny city."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from vgsearch.config.search import DataConfig, EvalConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.data.retrieval_set import load_retrieval_set
from vgsearch.models.checkpoint import save_checkpoint
from vgsearch.models.ensemble import model_identity
from vgsearch.models.network import build_network
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.registry.scored_tests import TESTED_TAG, Looks, model_key
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.scoring import stamp_of
from vgsearch.training.val_scores import result_files

TRIAL = TrialConfig(backbone="test_resnet.r160_in1k", weights="none", descriptor_dim=16)


@pytest.fixture
def data(own_city: Path) -> DataConfig:
    return DataConfig(
        train=str(own_city / "train"),
        val=str(own_city / "val_day"),
        tests={"day": str(own_city / "test_day"), "night": str(own_city / "test_night")},
    )


def save(
    folder: Path, data: DataConfig, seed: int, ranks: np.ndarray | None = None, **changes: object
) -> Path:
    """A checkpoint with initial weights; with `ranks` its recorded result on val says so."""
    trial = TRIAL.model_copy(update={"seed": seed})
    spec = TrialSpec(
        search="quick", uid=f"quick-{seed}", trial=trial, data=data, eval=EvalConfig(resize_px=64)
    ).model_copy(update=changes)
    files = {} if ranks is None else result_files({"": result_on(Path(str(data.val)), spec.eval, ranks)})
    return save_checkpoint(folder / "epoch_0001", build_network(trial), spec, {"epoch": 1}, extra_files=files)


def result_on(folder: Path, config: EvalConfig, ranks: np.ndarray) -> RetrievalResult:
    split = load_retrieval_set(folder, 25.0, name="val")
    utm_m = np.column_stack([split.queries.utm_east, split.queries.utm_north])
    ranks = np.resize(ranks, len(split.queries)).astype(np.int32)
    return RetrievalResult("val", ranks, 0, stamp_of(split, config), query_utm_m=utm_m)


@pytest.fixture
def pair(data: DataConfig, tmp_path: Path) -> list[Path]:
    return [save(tmp_path / f"model_{seed}", data, seed) for seed in range(2)]


@pytest.fixture
def registered(tmp_path: Path, pair: list[Path]) -> MlflowRegistry:
    """Both as versions 1 and 2 of a search."""
    registry = MlflowRegistry(tmp_path / "runs")
    registry.open_search("quick", params={}, config_text="")
    for i, folder in enumerate(pair):
        run_id = registry.open_trial("quick", f"quick-{i}", label="", params={}, spec_text="")
        registry.record_checkpoint(run_id, folder, search="quick", uid=f"quick-{i}", epoch=1)
    return registry


def write_more_queries(city: Path, times: int) -> int:
    """Repeat every query at places of its own, and say how many there are then."""
    folder = city / "val_day" / "queries"
    for image in list(folder.glob("*.jpg")):
        parts = image.name.split("@")
        for k in range(1, times):
            east = f"{float(parts[1]) + 1000 * k:.2f}"
            shutil.copyfile(image, folder / "@".join([parts[0], east, *parts[2:]]))
    return len(list(folder.glob("*.jpg")))


def flat(run) -> str:
    """What was printed, as if the terminal were wide."""
    return " ".join(run.out.split())


def test_two_models_are_scored_and_laid_side_by_side(vgsearch, pair, forward_passes, tmp_path):
    run = vgsearch("compare", *pair, "--n", "1,5", "--changed", "out/changed.csv")
    assert (run.code, run.err) == (0, "")
    assert sum(forward_passes) > 0
    results = []
    for i, folder in enumerate(pair):
        evaluated = vgsearch("evaluate", folder, "--on", "val", "--save", f"saved_{i}")
        assert "from stored descriptors" in evaluated.out
        results.append(RetrievalResult.from_npz(tmp_path / f"saved_{i}" / "val.npz"))
        assert str(results[i].at(1)) in run.out
        assert str(results[i].at(5)) in run.out
    names = load_retrieval_set(tmp_path / "data" / "demo_city" / "val_day", 25.0).queries.paths
    expected = {}
    for n in (1, 5):
        hits = [[0 <= rank < n for rank in result.first_hit_rank] for result in results]
        kinds = {(True, False): "lost", (False, True): "gained"}
        for query, outcome in enumerate(zip(*hits, strict=True)):
            if outcome in kinds:
                expected[n, query] = kinds[outcome]
        gained, lost = (
            sum(kind == wanted for (at, _), kind in expected.items() if at == n)
            for wanted in ("gained", "lost")
        )
        (row,) = (line for line in run.out.splitlines() if line.startswith(f"R@{n}  "))
        p_value = binomtest(lost, gained + lost).pvalue if gained + lost else 1.0
        assert row.split()[-4:-1] == [f"{p_value:.2g}", str(gained), str(lost)]
    with (tmp_path / "out" / "changed.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(int(row["recall_at"]), int(row["query"])): row["change"] for row in rows} == expected
    for row in rows:
        query = int(row["query"])
        assert row["image"] == names[query]
        ranks = ["" if (rank := result.first_hit_rank[query]) < 0 else str(rank + 1) for result in results]
        assert [row["rank_a"], row["rank_b"]] == ranks
    assert f"{len(rows)} changed queries: out/changed.csv" in run.out
    assert "4 of 5 cases" in flat(run)
    forward_passes.clear()
    again = vgsearch("compare", *pair)
    assert "A from stored descriptors, B from stored descriptors" in flat(again)
    assert forward_passes == []


def test_recorded_results_are_used_while_they_answer_the_question(
    vgsearch, data, tmp_path, forward_passes, own_city
):
    num_queries = write_more_queries(own_city, 2)
    ranks = [np.array([0]), np.array([0, 0, 5, 5, 5, 5])]
    first, second = (save(tmp_path / f"m{i}", data, i, each) for i, each in enumerate(ranks))
    run = vgsearch("compare", first, second)
    assert (run.code, run.err) == (0, "")
    assert "A recorded, B recorded" in flat(run)
    assert forward_passes == []
    assert num_queries == 12
    assert "R@1: A is better, by 66.7 points" in flat(run)
    assert run.out.count("1 -> 6") == 3
    assert "  lost    and 5 more" in run.out
    # At another size, and with other images, another question is asked.
    other = vgsearch("compare", first, second, "--resize-px", "48")
    assert "A scored now, B scored now" in flat(other)
    next(iter((own_city / "val_day" / "queries").glob("*.jpg"))).unlink()
    fewer = vgsearch("compare", first, second)
    assert "A scored now, B scored now" in flat(fewer)
    assert f"{num_queries - 1} queries" in flat(fewer)


def test_all_selection_splits_are_compared_where_none_is_named(vgsearch, data, tmp_path, own_city):
    # A test may share a selection split's name.
    val = {"day": str(own_city / "val_day"), "night": str(own_city / "val_night")}
    named = data.model_copy(update={"val": val})
    first, second = (save(tmp_path / f"m{i}", named, i) for i in range(2))
    run = vgsearch("compare", first, second)
    assert (run.code, run.err) == (0, "")
    assert [line.split(":")[0] for line in run.out.splitlines() if line.startswith("val/")] == [
        "val/day",
        "val/night",
    ]
    assert "so far" not in run.out


def test_a_model_beside_itself(vgsearch, pair, forward_passes):
    run = vgsearch("compare", pair[0], pair[0])
    assert (run.code, run.err) == (0, "")
    assert "A and B are one model: no query can change." in run.out
    assert "cannot be told apart" in flat(run)
    assert "is better" not in flat(run)
    once = sum(forward_passes)
    assert vgsearch("evaluate", pair[0], "--on", "val", "--no-store").code == 0
    assert sum(forward_passes) == 2 * once


def test_all_queries_right_and_few_queries(vgsearch, data, tmp_path, own_city):
    first, second = (save(tmp_path / f"m{i}", data, i, np.array([0])) for i in range(2))
    run = vgsearch("compare", first, second)
    assert "both are right on all" in flat(run)
    assert "too easy" in flat(run)
    images = sorted((own_city / "val_day" / "queries").glob("*.jpg"))
    for image in images[3:]:
        image.unlink()
    first = save(tmp_path / "few0", data, 0, np.array([0, 0, -1]))
    second = save(tmp_path / "few1", data, 1, np.array([0, -1, -1]))
    run = vgsearch("compare", first, second, "--n", "1,20")
    assert (run.code, run.err) == (0, "")
    assert "3 queries can show no difference, however large" in flat(run)
    assert "is better" not in flat(run)
    (row,) = (line for line in run.out.splitlines() if line.startswith("R@1  "))
    assert row.split()[-1] == "-"


def test_models_that_are_scored_in_different_ways(vgsearch, data, tmp_path, forward_passes):
    first = save(tmp_path / "a", data, 0)
    second = save(tmp_path / "b", data, 1, eval=EvalConfig(resize_px=48))
    run = vgsearch("compare", first, second)
    assert (run.code, run.out) == (2, "")
    assert len(run.err.splitlines()) == 1
    assert "64px" in run.err
    assert "48px" in run.err
    assert "--resize-px" in run.err
    assert forward_passes == []
    assert vgsearch("compare", first, second, "--resize-px", "48").code == 0


@pytest.mark.parametrize("text", ["0", "1,21", "one", "", "1,,5", "1;5", "-1"])
def test_recalls_that_cannot_be_had(vgsearch, pair, text):
    run = vgsearch("compare", *pair, f"--n={text}")
    assert run.code == 2
    assert run.err == f"error: --n takes numbers from 1 to 20 with commas between them, got {text!r}\n"


def test_what_does_not_exist(vgsearch, pair, tmp_path):
    run = vgsearch("compare", pair[0], "nowhere")
    assert run.code == 2
    assert "nowhere is no checkpoint folder" in run.err
    run = vgsearch("compare", *pair, "--on", "dusk")
    assert run.code == 2
    assert "--on dusk is no split of this checkpoint" in run.err


def test_several_looks_are_corrected_for(vgsearch, data, tmp_path, own_city):
    num_queries = write_more_queries(own_city, 4)
    ranks = np.zeros(num_queries, int)
    worse = ranks.copy()
    worse[: num_queries // 2] = 3
    first, second = save(tmp_path / "a", data, 0, worse), save(tmp_path / "b", data, 1, ranks)
    assert "at once" not in vgsearch("compare", first, second).out
    run = vgsearch("compare", first, second, "--n", "1,5,20")
    assert "3 comparisons were made at once" in flat(run)
    assert "Corrected for that (Holm), val R@1 still stands." in flat(run)


def counts(tmp_path: Path) -> dict[str, Looks]:
    return dict(MlflowRegistry(tmp_path / "runs").test_scorings("quick"))


def test_every_scoring_of_a_test_is_counted(vgsearch, registered, tmp_path, own_city):
    one, two = "models:/vgsearch-quick/1", "models:/vgsearch-quick/2"
    run = vgsearch("evaluate", one, "--on", "day", "--on", "val")
    assert (run.code, run.err) == (0, "")
    day, val = run.out.splitlines()[:2]
    assert day.startswith("test/day: ")
    assert day.endswith("; scored once so far")
    assert "so far" not in val
    # The same model again shows nothing new, yet it is one more look; the folder's own name is no way around.
    run = vgsearch("evaluate", one, "--on", own_city / "test_day")
    assert run.out.splitlines()[0].endswith("; scored 2 times so far (1 different, 1 repeat)")
    run = vgsearch("compare", one, two, "--on", "day", "--on", "night", "--on", "val")
    assert (run.code, run.err) == (0, "")
    assert "scored 4 times so far (2 different, 2 repeats)" in flat(run)
    assert "scored 2 times so far" in flat(run)
    assert counts(tmp_path) == {"day": Looks(4, 2), "night": Looks(2, 2)}
    assert vgsearch("compare", one, one, "--on", "night").code == 0
    assert counts(tmp_path)["night"] == Looks(3, 2)


def test_what_is_no_test_of_the_file_is_not_counted(vgsearch, registered, tmp_path, own_city):
    (own_city / "test_day").rename(own_city / "elsewhere")
    run = vgsearch("evaluate", "models:/vgsearch-quick/1", "--on", own_city / "elsewhere", "--on", "val")
    assert run.code == 0
    assert "so far" not in run.out
    assert counts(tmp_path) == {}


def test_a_folder_is_counted_under_its_search_where_that_exists(vgsearch, registered, pair, tmp_path):
    run = vgsearch("evaluate", pair[0], "--on", "day")
    assert run.out.splitlines()[0].endswith("; scored once so far")
    assert counts(tmp_path) == {"day": Looks(1, 1)}


def test_a_folder_without_a_search_says_that_it_cannot_be_counted(vgsearch, pair, tmp_path):
    run = vgsearch("evaluate", pair[0], "--on", "day")
    assert run.code == 0
    assert re.search(r"; not counted: no search is named 'quick'; .*$", run.out, re.MULTILINE)
    (tmp_path / "runs" / "mlflow.db").unlink()
    run = vgsearch("evaluate", pair[0], "--on", "day")
    assert run.code == 0
    assert f"; not counted: {tmp_path / 'runs'} has no MLflow store" in run.out
    assert not (tmp_path / "runs" / "mlflow.db").exists()


def test_no_recall_of_a_test_is_shown_while_the_store_cannot_count(vgsearch, pair, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = vgsearch("evaluate", pair[0], "--on", "day")
    assert run.code == 2
    assert "R@1" not in run.out
    assert len(run.err.splitlines()) == 1
    assert vgsearch("evaluate", pair[0], "--on", "val").code == 0


def test_recorded_test_results_are_read_and_not_counted_again(
    vgsearch, registered, pair, data, tmp_path, forward_passes
):
    run_id = registered.find_run("quick", "quick-0")
    spec_eval = EvalConfig(resize_px=64)
    result = result_on(Path(data.tests["day"]), spec_eval, np.array([0, -1]))
    identity = model_identity(pair[0])
    key = model_key(identity.weights_sha256, identity.architecture)
    registered.log_scores(run_id, {}, {"test__day.npz": result.to_npz_bytes()}, tags={TESTED_TAG: key})
    registered.count_test_scoring("quick", "day", reference="finale", stamp=result.stamp, model=key)
    run = vgsearch("compare", "models:/vgsearch-quick/1", "models:/vgsearch-quick/1", "--on", "day")
    assert (run.code, run.err) == (0, "")
    assert "A recorded, B recorded, scored once so far" in flat(run)
    assert forward_passes == []
    assert counts(tmp_path) == {"day": Looks(1, 1)}
    # Other weights of the same run are another model.
    registered.log_scores(run_id, {}, tags={TESTED_TAG: "other"})
    run = vgsearch("compare", "models:/vgsearch-quick/1", "models:/vgsearch-quick/1", "--on", "day")
    assert "A scored now" in flat(run)
