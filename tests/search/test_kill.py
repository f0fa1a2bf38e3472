"""The driver is killed again and again; what is resumed must end where an uninterrupted search ends."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from optuna.trial import TrialState

from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.search.study import journal_path, read_trials

pytestmark = pytest.mark.slow

KILLS = 20
# What differs between any two runs of one search: the clock.
CLOCK = ("time/", "cost/query_ms", "train/images_per_s")
LONGER = ("--set", "search.num_trials=6", "--set", "search.finalists={top: 1, seeds: 1}")


def start(space_file, city, home, *extra):
    command = [sys.executable, "-m", "vgsearch.cli.main", "tune", str(space_file)]
    return subprocess.Popen(
        [*command, "--home", str(home), "--data-root", str(city.parent), *extra],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def journal_size(home):
    path = journal_path(home, "quick")
    return path.stat().st_size if path.exists() else 0


def wait_for_growth(process, home, size, timeout_s=120):
    """Wait until the study has grown past `size`; False if the driver has ended."""
    until = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < until:
        if journal_size(home) > size:
            return True
        time.sleep(0.02)
    return False


def wait_for_trials(process, home, count, timeout_s=120):
    """Wait until the study holds `count` trials."""
    until = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < until:
        if journal_size(home) and len(read_trials(home, "quick")) >= count:
            return
        time.sleep(0.1)
    raise AssertionError("the search did not get that far")


def training_workers(driver):
    """Process ids of the Ray workers that train below `driver`."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listing.stdout.splitlines()[1:]]
    parents = {int(pid): int(parent) for pid, parent, _ in rows}

    def is_below(pid):
        while pid in parents and pid != driver:
            pid = parents[pid]
        return pid == driver

    return [int(pid) for pid, _, args in rows if "ray::" in args and "train" in args and is_below(int(pid))]


def comparable(home):
    """Every suggestion, state and value of the study."""
    return [
        (
            trial.state,
            trial.params,
            trial.intermediate_values,
            {
                key: trial.user_attrs.get(f"vgsearch.{key}")
                for key in ("state", "reason", "repeat_of", "seed")
            },
        )
        for trial in read_trials(home, "quick")
    ]


def recorded(home):
    """Every metric of every run in MLflow but those of the clock."""
    return [
        {
            epoch: {name: value for name, value in metrics.items() if not name.startswith(CLOCK)}
            for epoch, metrics in record.history.items()
        }
        for record in MlflowRegistry(home, None).trials("quick")
    ]


def kill_at_random(space_file, city, home, rng):
    """Kill the driver, its worker, or both, at a random moment, again and again; leave nobody running."""
    process, kinds = None, []
    while len(kinds) < KILLS:
        if process is None or process.poll() is not None:
            begun = journal_size(home) and read_trials(home, "quick")
            process = start(
                space_file, city, home, "--deterministic", *LONGER, *(["--resume"] if begun else [])
            )
        if not wait_for_growth(process, home, journal_size(home) + int(rng.integers(0, 700))):
            raise AssertionError(f"the search ended after {len(kinds)} kills: {process.communicate()[0]}")
        time.sleep(float(rng.uniform(0, 0.5)))
        kind = ("driver", "worker", "both")[int(rng.integers(3))]
        if kind != "driver":
            for worker in training_workers(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        if kind != "worker":
            if rng.integers(2):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            process.stdout.close()
        kinds.append(kind)
    if process.poll() is None:
        process.kill()
        process.wait()
        process.stdout.close()
    return kinds


def test_kills_at_random_moments_change_nothing(space_file, tiny_city, tmp_path):
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    process = start(space_file, tiny_city, quiet, "--deterministic", *LONGER)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output

    kinds = kill_at_random(space_file, tiny_city, killed, np.random.default_rng(0))
    assert {"driver", "worker", "both"} == set(kinds)
    process = start(space_file, tiny_city, killed, *LONGER, "--resume")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output

    assert comparable(killed) == comparable(quiet)
    assert len(comparable(killed)) == 7
    assert recorded(killed) == recorded(quiet)
    records = MlflowRegistry(killed, None).trials("quick")
    assert [record.uid for record in records] == [
        trial.user_attrs["vgsearch.uid"] for trial in read_trials(killed, "quick")
    ]
    assert all(record.state != "running" for record in records)
    versions = MlflowRegistry(killed, None).versions("quick")
    assert len({version.uid for version in versions}) == len(versions) == len(records)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_resumable_search_and_says_how(space_file, tiny_city, tmp_path, number):
    process = start(space_file, tiny_city, tmp_path / "runs")
    wait_for_trials(process, tmp_path / "runs", 1)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "--resume" in output
    assert "Traceback" not in output
    process = start(space_file, tiny_city, tmp_path / "runs", "--resume")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert all(trial.state.is_finished() for trial in read_trials(tmp_path / "runs", "quick"))


def test_a_killed_worker_is_replaced_and_the_trial_goes_on(space_file, tiny_city, tmp_path):
    home = tmp_path / "runs"
    process = start(space_file, tiny_city, home, "--set", "trial.epochs=12")
    wait_for_trials(process, home, 1)
    until = time.monotonic() + 60
    while not (workers := training_workers(process.pid)) and time.monotonic() < until:
        time.sleep(0.1)
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    trials = read_trials(home, "quick")
    assert len(trials) == 3
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials), output
