"""The driver dies after each of its writes in turn; resumed, the search must end as if it had not."""

import shutil
import signal
from itertools import count

import pytest

from tests.search.ledger_run import in_child, run_in_child, start_in_child
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.search.study import read_trials

pytestmark = pytest.mark.slow

AT_ONCE = 2
OVERRIDES = (
    "search.num_trials=4",
    "trial.epochs=2",
    "search.constraints.query_ms=50",
    "search.finalists={top: 1, seeds: 1}",
)
# The same with a trunk for each of two architectures.
BRANCHED = (*OVERRIDES, "search.branch={trunk_epochs: 1}", "trial.descriptor_dim=!choice [16, 32]")
ENDS = (
    "vgsearch.state",
    "vgsearch.reason",
    "vgsearch.repeat_of",
    "vgsearch.seed",
    "vgsearch.epochs",
    "vgsearch.trunk",
)


@pytest.fixture(scope="module")
def empty_home(tmp_path_factory):
    """A home with a fresh MLflow store, which takes seconds to make."""
    home = tmp_path_factory.mktemp("empty")
    in_child(_make_store, home)
    return home


def _make_store(home):
    MlflowRegistry(home)


def snapshot(home):
    """All that a search leaves, without what differs between any two searches: tokens, run ids and times."""
    trials = read_trials(home, "quick")
    study = [
        (
            trial.number,
            trial.state,
            trial.params,
            trial.value,
            trial.intermediate_values,
            trial.constraints,
            {key: trial.user_attrs.get(key) for key in ENDS},
            {e: trial.user_attrs[f"vgsearch.epoch.{e}"] for e in trial.intermediate_values},
        )
        for trial in trials
    ]
    number_of = {trial.user_attrs["vgsearch.uid"]: trial.number for trial in trials}
    registry = MlflowRegistry(home)
    runs = [
        (
            number_of[r.uid],
            r.label,
            r.state,
            r.reason,
            dict(r.params),
            {e: dict(m) for e, m in r.history.items()},
        )
        for r in registry.trials("quick")
    ]
    versions = [(number_of[v.uid], v.epoch, v.weights_sha256, v.aliases) for v in registry.versions("quick")]
    (search,) = registry.searches()
    return study, sorted(runs, key=lambda run: run[0]), sorted(versions), search.state


@pytest.mark.parametrize(("overrides", "trunks"), [(OVERRIDES, 0), (BRANCHED, 2)])
def test_a_kill_after_any_write_changes_nothing(
    space_file, tiny_city, empty_home, tmp_path, overrides, trunks
):
    def fresh(name):
        return shutil.copytree(empty_home, tmp_path / name)

    quiet = fresh("quiet")
    code, writes = run_in_child(space_file, tiny_city.parent, quiet, overrides)
    assert code == 0
    expected = in_child(snapshot, quiet)
    states = [row[6]["vgsearch.state"] for row in expected[0]]
    assert {"complete", "stopped", "infeasible"} <= set(states), "the search meets every kind of end"
    assert sum(row[6]["vgsearch.repeat_of"] is not None for row in expected[0]) == 1
    assert sum(row[6]["vgsearch.trunk"] is not None for row in expected[0]) == trunks

    for first in count(1, AT_ONCE):
        homes = {write: fresh(f"killed_{write}") for write in range(first, first + AT_ONCE)}
        killed = {
            write: start_in_child(space_file, tiny_city.parent, home, overrides, die_after=write)[0]
            for write, home in homes.items()
        }
        for process in killed.values():
            process.join()
        # The driver's clock is among its writes, so that there may be a few more or less.
        if any(process.exitcode == 0 for process in killed.values()):
            break
        assert {process.exitcode for process in killed.values()} == {-signal.SIGKILL}, f"write {first}"
        resumed = {
            write: start_in_child(space_file, tiny_city.parent, home, overrides)[0]
            for write, home in homes.items()
        }
        for write, process in resumed.items():
            process.join()
            assert process.exitcode == 0, f"resumed after write {write} of {writes}"
            assert in_child(snapshot, homes[write]) == expected, f"after write {write} of {writes}"
            shutil.rmtree(homes[write])
    assert first > 0.8 * writes
