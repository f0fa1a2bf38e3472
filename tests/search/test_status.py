import multiprocessing
import subprocess
import sys
import time

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from vgsearch.errors import SearchError
from vgsearch.search.facts import EpochFacts
from vgsearch.search.plan import end_of_search
from vgsearch.search.status import driver_is_alive, read_status, search_names
from vgsearch.search.study import (
    ENDED,
    EPOCHS,
    NUM_TRIALS,
    REASON,
    REPEAT_OF,
    SEED,
    STATE,
    WALL_S,
    Study,
    journal_path,
)

IDENTITY = {"search": {"objective": "val/night/recall_at_5"}}


def begin(study, lr=0.1, **attributes):
    proposal = create_trial(
        state=TrialState.RUNNING,
        params={"trial.lr": lr},
        distributions={"trial.lr": optuna.distributions.FloatDistribution(0, 1)},
        user_attrs={EPOCHS: 4, **attributes},
    )
    return study.add_running(proposal).number


def report(study, number, epoch, value, **facts):
    study.report(number, epoch, value, EpochFacts(arrival=0, num_queries=200, **facts))


def end(study, number, state, reason=""):
    study.note(number, STATE, state)
    study.note(number, REASON, reason)
    finished = {"complete": TrialState.COMPLETE, "failed": TrialState.FAIL}.get(state, TrialState.PRUNED)
    study.tell(number, finished, 1.0 if state == "complete" else None)


@pytest.fixture
def study(tmp_path):
    study = Study.create(tmp_path, "grl", IDENTITY, {NUM_TRIALS: 5, WALL_S: 5400})
    report(study, begin(study, 0.25), 1, 40.0, seconds=1800, gpus=2.0, gpu_peak_bytes=3e9)
    report(study, 0, 2, 38.0, seconds=1800, gpus=2.0, gpu_peak_bytes=5e9)
    report(study, begin(study), 1, 20.0, seconds=900, gpus=2.0)
    end(study, 1, "stopped", "asha: not among the best 1/3 after epoch 1")
    begin(study)
    end(study, 2, "failed", "loss is not finite")
    begin(study, 0.25, **{REPEAT_OF: 0, SEED: 1})
    yield study
    study.close()


def test_it_says_what_the_study_holds(tmp_path, study):
    status = read_status(tmp_path, "grl")
    assert (status.objective, status.num_trials, status.is_alive) == ("val/night/recall_at_5", 5, True)
    assert status.wall_hours == 1.5
    assert status.gpu_hours == 2.5
    first, second, third, repeat = status.trials
    assert (first.state, first.epoch, first.epochs, first.value) == ("running", 2, 4, 38.0)
    assert (first.best, first.best_epoch, first.num_queries) == (40.0, 1, 200)
    assert (first.gpu_peak_bytes, first.seconds, first.settings) == (5e9, 3600, {"trial.lr": 0.25})
    assert (second.state, second.reason) == ("stopped", "asha: not among the best 1/3 after epoch 1")
    assert (third.state, third.best, third.value, third.epoch) == ("failed", None, None, 0)
    assert (repeat.repeat_of, repeat.seed, first.repeat_of) == (0, 1, None)


def test_reading_writes_nothing_and_hinders_nobody(tmp_path, study):
    before = {path: path.read_bytes() for path in (tmp_path / "studies").iterdir()}
    read_status(tmp_path, "grl")
    assert {path: path.read_bytes() for path in (tmp_path / "studies").iterdir()} == before
    report(study, 0, 3, 41.0)
    assert read_status(tmp_path, "grl").trials[0].best == 41.0


def test_a_driver_that_is_gone_is_not_alive(tmp_path, study):
    study.close()
    assert not read_status(tmp_path, "grl").is_alive
    Study.resume(tmp_path, "grl").close()  # and nobody who looked is in its way


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_a_line_that_is_being_written_is_not_there_yet(tmp_path, study, cut):
    # As a reader finds the journal while the driver's write has come half its way.
    whole = read_status(tmp_path, "grl").trials
    begin(study)
    path = journal_path(tmp_path, "grl")
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_status(tmp_path, "grl").trials == whole


def test_every_prefix_of_a_journal_is_read_or_refused_in_words(tmp_path, study):
    journal = journal_path(tmp_path, "grl").read_bytes()
    for length in range(1, len(journal), 13):
        journal_path(tmp_path, "grl").write_bytes(journal[:length])
        refusal = ""
        try:
            read_status(tmp_path, "grl")
        except SearchError as error:
            refusal = str(error)
        assert not refusal or "only just begun" in refusal


def test_a_damaged_journal_is_one_line(tmp_path, study):
    path = journal_path(tmp_path, "grl")
    path.write_bytes(b"no journal\n" + path.read_bytes())
    with pytest.raises(SearchError, match=r"grl\.journal is damaged") as refusal:
        read_status(tmp_path, "grl")
    assert "\n" not in str(refusal.value)


def test_an_unknown_search_with_the_nearest_and_all(tmp_path, study):
    Study.create(tmp_path, "losses", IDENTITY).close()
    with pytest.raises(SearchError, match="no search 'loses' in .*; nearest: losses; there are: grl, losses"):
        read_status(tmp_path, "loses")
    with pytest.raises(SearchError, match="holds none"):
        read_status(tmp_path / "elsewhere", "grl")
    with pytest.raises(SearchError, match=r"no search '\.\./studies/grl'"):
        read_status(tmp_path, "../studies/grl")
    assert search_names(tmp_path) == ["grl", "losses"]


def test_two_who_look_do_not_see_each_other(tmp_path, study):
    import fcntl

    study.close()
    with journal_path(tmp_path, "grl").with_suffix(".lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not driver_is_alive(tmp_path, "grl")


def _drive(home, ready, stop):
    study = Study.create(home, "busy", IDENTITY)
    number = begin(study)
    ready.set()
    epoch = 0
    while not stop.is_set():
        epoch += 1
        report(study, number, epoch, float(epoch % 90))
    study.close()


def test_it_can_be_read_while_a_driver_writes(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Event(), context.Event()
    driver = context.Process(target=_drive, args=(tmp_path, ready, stop))
    driver.start()
    try:
        assert ready.wait(60)
        epochs = []
        until = time.monotonic() + 2
        while time.monotonic() < until:
            status = read_status(tmp_path, "busy")
            assert status.is_alive
            epochs.append(status.trials[0].epoch)
    finally:
        stop.set()
        driver.join(60)
    assert epochs == sorted(epochs)
    assert epochs[-1] > epochs[0]
    assert driver.exitcode == 0
    assert not read_status(tmp_path, "busy").is_alive


def test_the_command_needs_neither_torch_nor_ray(tmp_path, study):
    code = (
        "import sys; from vgsearch.cli.main import app\n"
        f"app(['status', 'grl', '--home', {str(tmp_path)!r}], standalone_mode=False)\n"
        "heavy = {'torch', 'ray', 'mlflow', 'timm', 'scipy', 'faiss'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "a driver is running" in done.stdout
    assert done.stdout.splitlines()[-1].lstrip().startswith("optuna-dashboard ")


def test_a_search_is_over_once_its_driver_said_so_of_this_plan(tmp_path, study):
    study.set_setting(ENDED, end_of_search(5, "budget: 2 hours are spent"))
    assert not read_status(tmp_path, "grl").is_over, "two trials still run"
    for number in (0, 3):
        end(study, number, "complete")
    over = read_status(tmp_path, "grl")
    assert (over.is_over, over.cut_short_by) == (True, "budget: 2 hours are spent")
    study.set_setting(NUM_TRIALS, 9)
    extended = read_status(tmp_path, "grl")
    assert (extended.is_over, extended.cut_short_by) == (False, "")
