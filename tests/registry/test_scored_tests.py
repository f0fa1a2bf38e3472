"""Sealed tests: what is counted stays counted, in every store, through kills, races and MLflow's trash."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registry.dying_client import DiesAfter
from vgsearch.errors import RegistryError
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.registry.scored_tests import (
    TESTED_TAG,
    Looks,
    ScoredTest,
    count_looks,
    model_key,
    new_scoring,
    scoring_from_text,
)
from vgsearch.registry.spool import SpooledRegistry

if TYPE_CHECKING:
    from vgsearch.registry.mlflow_registry import MlflowRegistry
    from vgsearch.registry.protocol import Registry

STAMP = "1f0c2a9e7b3d5a60-25m-native-480px"


def open_search(registry: Registry, name: str = "grl") -> None:
    registry.open_search(name, params={}, config_text="")


def count(registry: Registry, split: str = "day", model: str = "m", **more: Any) -> Looks:
    arguments = {"reference": "models:/vgsearch-grl/3", "stamp": STAMP, "model": model, **more}
    return registry.count_test_scoring("grl", split, **arguments)


def test_every_scoring_counts_and_repeats_are_told_apart(registry: Registry) -> None:
    open_search(registry)
    open_search(registry, "other")
    assert registry.test_scorings("grl") == {}
    assert count(registry) == Looks(1, 1)
    assert count(registry) == Looks(2, 1)
    assert count(registry, model="another") == Looks(3, 2)
    assert count(registry, stamp=STAMP.replace("480", "320")) == Looks(4, 3)
    assert count(registry, "night") == Looks(1, 1)
    assert registry.test_scorings("grl") == {"day": Looks(4, 3), "night": Looks(1, 1)}
    assert registry.test_scorings("other") == {}


def test_models_that_are_not_known_are_each_their_own(registry: Registry) -> None:
    open_search(registry)
    for _ in range(3):
        looks = count(registry, model="")
    assert looks == Looks(3, 3)


def test_the_same_scoring_counts_once(registry: Registry) -> None:
    open_search(registry)
    for _ in range(3):
        assert count(registry, scoring_id="finale") == Looks(1, 1)
    assert count(registry, "night", scoring_id="finale") == Looks(1, 1)
    assert count(registry, scoring_id="another") == Looks(2, 1)


def test_what_was_written_can_be_read(registry: Registry) -> None:
    open_search(registry)
    count(registry, model="first", reference="a name\nwith a line, 'quotes' and ü" + "x" * 9000)
    count(registry, "night", model="second")
    first, second = registry.scored_tests("grl")
    assert (first.split, first.stamp, first.model) == ("day", STAMP, "first")
    assert first.reference.startswith("a name\nwith a line, 'quotes' and üxxx")
    assert len(first.reference) == 500
    assert (second.split, second.reference) == ("night", "models:/vgsearch-grl/3")
    assert first.scored_at is not None
    assert first.scored_at.tzinfo is not None


@pytest.mark.parametrize("split", ["", "test/day", "..", "a b"])
def test_bad_names_are_refused(registry: Registry, split: str) -> None:
    open_search(registry)
    with pytest.raises(RegistryError, match="test split's name"):
        count(registry, split)
    with pytest.raises(RegistryError, match="scoring's id"):
        count(registry, scoring_id="a/b")


def test_an_unknown_search_cannot_count(registry: Registry) -> None:
    open_search(registry, "other")
    with pytest.raises(RegistryError, match="no search is named 'grl'"):
        registry.test_scorings("grl")
    if not isinstance(registry, SpooledRegistry):
        with pytest.raises(RegistryError, match="no search is named 'grl'"):
            count(registry)


def test_it_is_no_trial_and_no_other_search(registry: Registry, make_checkpoint: Callable[..., Path]) -> None:
    open_search(registry)
    run = registry.open_trial("grl", "t0", label="", params={}, spec_text="")
    registry.record_checkpoint(run, make_checkpoint("t0", 1), search="grl", uid="t0", epoch=1)
    before = registry.searches()
    count(registry)
    assert [trial.uid for trial in registry.trials("grl")] == ["t0"]
    assert [version.uid for version in registry.versions("grl")] == ["t0"]
    assert registry.searches() == before


def test_recorded_results_belong_to_one_model(
    registry: Registry, make_checkpoint: Callable[..., Path]
) -> None:
    open_search(registry)
    run = registry.open_trial("grl", "t0", label="", params={}, spec_text="")
    registry.record_checkpoint(run, make_checkpoint("t0", 1), search="grl", uid="t0", epoch=1)
    (version,) = registry.versions("grl")
    assert registry.recorded_tests(version, "key") == {}
    files = {"test__day.npz": b"day", "test__tokyo_night.npz": b"night", "table.csv": b"x"}
    registry.log_scores(run, {"test/day/recall_at_1": 50.0}, files, tags={TESTED_TAG: "key"})
    assert registry.recorded_tests(version, "key") == {"day": b"day", "tokyo_night": b"night"}
    assert registry.recorded_tests(version, "other") == {}


def test_a_call_that_waits_for_the_store_is_delivered_once(tmp_path: Path) -> None:
    memory = MemoryRegistry()
    clock = [0.0]
    is_up = [True]

    class Faulty:
        def __getattr__(self, name: str) -> Any:
            from vgsearch.errors import RegistryUnreachableError

            def call(*args: Any, **kwargs: Any) -> Any:
                result = getattr(memory, name)(*args, **kwargs) if name != "open_search" or is_up[0] else None
                if not is_up[0]:
                    raise RegistryUnreachableError("timed out")  # it has arrived, the answer is lost
                return result

            return call

    spool = SpooledRegistry(lambda: Faulty(), tmp_path, clock=lambda: clock[0])  # type: ignore[arg-type, return-value]
    spool.open_search("grl", params={}, config_text="")
    is_up[0] = False
    assert count(spool) is None  # type: ignore[arg-type]
    clock[0] += 1000
    is_up[0] = True
    assert spool.flush() == 0
    assert memory.test_scorings("grl") == {"day": Looks(1, 1)}
    assert count(spool, model="b") == Looks(2, 2)  # type: ignore[arg-type]


SCORINGS = st.builds(
    ScoredTest,
    id=st.sampled_from("abcdef"),
    split=st.sampled_from(["day", "night"]),
    reference=st.just("r"),
    stamp=st.sampled_from(["s", "t"]),
    model=st.sampled_from(["", "m", "n"]),
    scored_at=st.none(),
)


@given(st.lists(SCORINGS, max_size=20))
def test_counting_is_a_plain_loop(scorings: list[ScoredTest]) -> None:
    expected = {}
    for split in ("day", "night"):
        last = {}
        for each in scorings:
            if each.split == split:
                last[each.id] = each
        seen = []
        for each in last.values():
            if not any(each.model and (each.model, each.stamp) == (o.model, o.stamp) for o in seen):
                seen.append(each)
        if last:
            expected[split] = Looks(len(last), len(seen))
    assert count_looks(scorings) == expected


@given(st.text(max_size=300), st.text(max_size=30))
def test_any_text_is_read_back(reference: str, stamp: str) -> None:
    made = new_scoring("day", reference=reference, stamp=stamp, model="m")
    read = scoring_from_text(made.id, made.split, made.to_text())
    assert (read.reference, read.stamp, read.model) == (reference, stamp, "m")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"scored_at": "yesterday"}'])
def test_a_damaged_row_still_counts(text: str) -> None:
    assert count_looks([scoring_from_text("a", "day", text)]) == {"day": Looks(1, 1)}


def test_looks_in_brief() -> None:
    assert [str(looks) for looks in (Looks(1, 1), Looks(3, 2), Looks(4, 2))] == [
        "1",
        "3 (2 different, 1 repeat)",
        "4 (2 different, 2 repeats)",
    ]


def test_a_model_is_its_weights_and_what_is_done_with_them() -> None:
    keys = {model_key("a" * 64, "x" * 64), model_key("b" * 64, "x" * 64), model_key("a" * 64, "y" * 64)}
    assert len(keys) == 3


def test_a_run_in_the_trash_counts_on(mlflow_registry: MlflowRegistry) -> None:
    open_search(mlflow_registry)
    count(mlflow_registry)
    client = mlflow_registry._store.client
    experiment = client.get_experiment_by_name("vgsearch/grl")
    (ledger,) = (
        run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == "test scorings"
    )
    assert ledger.info.status == "FINISHED"
    assert ledger.data.tags["mlflow.parentRunId"] == mlflow_registry.find_run("grl")
    client.delete_run(ledger.info.run_id)
    assert mlflow_registry.test_scorings("grl") == {"day": Looks(1, 1)}
    assert count(mlflow_registry) == Looks(2, 1)
    assert count(mlflow_registry) == Looks(3, 1)


def test_nobody_can_change_what_is_written(mlflow_registry: MlflowRegistry) -> None:
    from mlflow.exceptions import MlflowException

    open_search(mlflow_registry)
    count(mlflow_registry, scoring_id="x")
    client = mlflow_registry._store.client
    experiment = client.get_experiment_by_name("vgsearch/grl")
    (ledger,) = (r for r in client.search_runs([experiment.experiment_id]) if "day/x" in r.data.params)
    with pytest.raises(MlflowException, match="already"):
        client.log_param(ledger.info.run_id, "day/x", "never happened")


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_call_counts_at_most_once(mlflow_registry: MlflowRegistry, after: bool) -> None:
    open_search(mlflow_registry)
    store = mlflow_registry._store
    client = store.client
    expected = 0
    for kill_at in range(1, 10):
        store.client = DiesAfter(client, kill_at, after=after)  # type: ignore[assignment]
        expected += 1
        try:
            count(mlflow_registry, scoring_id=f"s{kill_at}")
        except KeyboardInterrupt:
            store.client = client
            assert count(mlflow_registry, scoring_id=f"s{kill_at}").scorings == expected
        else:
            assert kill_at > 1
            break
    store.client = client
    assert mlflow_registry.test_scorings("grl") == {"day": Looks(expected, 1)}


def _count_from_elsewhere(home: Path, model: str, times: int) -> None:
    from vgsearch.registry.mlflow_registry import MlflowRegistry

    registry = MlflowRegistry(home)
    for _ in range(times):
        registry.count_test_scoring("grl", "day", reference="r", stamp=STAMP, model=model)


@pytest.mark.slow
def test_processes_that_count_at_once_lose_nothing(mlflow_registry: MlflowRegistry, home: Path) -> None:
    open_search(mlflow_registry)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count_from_elsewhere, args=(home, f"m{i}", 5)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert mlflow_registry.test_scorings("grl") == {"day": Looks(15, 3)}
