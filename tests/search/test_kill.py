"""The driver is killed again and again; what is resumed must end where an uninterrupted search ends."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from optuna.trial import TrialState

from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.search.study import journal_path, read_trials

pytestmark = pytest.mark.slow

KILLS = 5


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


def comparable(home):
    return [(trial.state, trial.params, trial.intermediate_values) for trial in read_trials(home, "quick")]


def test_kills_at_random_moments_change_nothing(space_file, tiny_city, tmp_path):
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    process = start(space_file, tiny_city, quiet)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output

    rng = np.random.default_rng(0)
    for kill in range(KILLS):
        process = start(space_file, tiny_city, killed, *(["--resume"] if journal_size(killed) else []))
        if wait_for_growth(process, killed, journal_size(killed) + int(rng.integers(0, 900))):
            time.sleep(float(rng.uniform(0, 0.5)))
        if kill % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        process.stdout.close()
    process = start(space_file, tiny_city, killed, "--resume")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output

    assert comparable(killed) == comparable(quiet)
    records = MlflowRegistry(killed, None).trials("quick")
    assert [record.uid for record in records] == [
        trial.user_attrs["vgsearch.uid"] for trial in read_trials(killed, "quick")
    ]
    for record, trial in zip(records, read_trials(killed, "quick"), strict=True):
        epochs = {epoch: metrics for epoch, metrics in record.history.items() if epoch}
        told = {epoch: metrics["val/recall_at_1"] for epoch, metrics in epochs.items()}
        assert told == trial.intermediate_values
        assert record.state != "running"
    versions = MlflowRegistry(killed, None).versions("quick")
    assert len({version.uid for version in versions}) == len(versions) == len(records)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_resumable_search_and_says_how(space_file, tiny_city, tmp_path, number):
    process = start(space_file, tiny_city, tmp_path / "runs")
    assert wait_for_growth(process, tmp_path / "runs", 1500)
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
    wait_for_growth(process, home, 1500)
    workers = subprocess.run(
        ["pgrep", "-g", str(os.getpgid(process.pid)), "-f", "ray::"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    assert workers
    for worker in workers:
        os.kill(int(worker), signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    trials = read_trials(home, "quick")
    assert len(trials) == 3
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
