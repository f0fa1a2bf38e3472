from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from vgsearch.reporting.live_table import LiveTable
from vgsearch.reporting.trial_table import LiveTrial

SETTINGS = {"trial.loss": "cosface", "trial.loss.0_cosface.scale": 42.1234}


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def make(
    *, terminal: bool, width: int = 100, height: int = 30, num_trials: int = 4
) -> tuple[LiveTable, io.StringIO, Clock]:
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, width=width, height=height, force_terminal=terminal, color_system=None)
    table = LiveTable(console, search="demo", objective="val/recall_at_1", num_trials=num_trials, clock=clock)
    return table, file, clock


def last_frame(file: io.StringIO) -> list[str]:
    """What a terminal shows at the end: escape sequences removed, from the last headline on."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).replace("\r", "")
    return ("demo:" + text.rpartition("demo:")[2]).splitlines()


def test_without_a_terminal_each_epoch_is_one_line() -> None:
    table, file, _ = make(terminal=False)
    with table:
        table.update(LiveTrial(0, "running", 0, 2, settings=SETTINGS))
        table.update(LiveTrial(0, "running", 1, 2, 50.0, 50.0, 1, 200, SETTINGS, 12.0))
        table.update(LiveTrial(0, "running", 1, 2, 50.0, 50.0, 1, 200, SETTINGS, 12.0))
        table.note("a remark [not markup]")
        table.beat()
        table.update(LiveTrial(0, "running", 2, 2, 45.0, 50.0, 1, 200, SETTINGS, 75.0))
        table.update(LiveTrial(0, "complete", 2, 2, 45.0, 50.0, 1, 200, SETTINGS, 75.0))
        table.update(
            LiveTrial(1, "failed", 0, 2, reason="loss is not finite at epoch 1, iteration 3 " + "x" * 80)
        )
    assert file.getvalue().splitlines() == [
        "trial 0 starts: loss cosface, scale 42.1",
        "trial 0, epoch 1/2: val/recall_at_1 50.0 [43.1, 56.9], best 50.0 [43.1, 56.9], 12 s",
        "a remark [not markup]",
        "trial 0, epoch 2/2: val/recall_at_1 45.0 [38.3, 51.9], best 50.0 [43.1, 56.9], 1:15",
        "trial 0 is complete after epoch 2/2, best 50.0 [43.1, 56.9]",
        "trial 1 failed after epoch 0/2, best -: loss is not finite at epoch 1, iteration 3 " + "x" * 80,
    ]


def test_an_epoch_and_the_end_may_come_together() -> None:
    table, file, _ = make(terminal=False)
    with table:
        table.update(LiveTrial(3, "stopped", 1, 4, 20.0, 20.0, 1, 0, {}, 9.0, "2 of 3 at epoch 1"))
    assert file.getvalue().splitlines() == [
        "trial 3, epoch 1/4: val/recall_at_1 20.0, best 20.0, 9 s",
        "trial 3 was stopped after epoch 1/4, best 20.0: 2 of 3 at epoch 1",
    ]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_has_the_best_first(width: int) -> None:
    table, file, clock = make(terminal=True, width=width)
    with table:
        table.update(LiveTrial(0, "running", 1, 4, 30.0, 30.0, 1, 200, SETTINGS, 12.0))
        table.update(LiveTrial(1, "complete", 4, 4, 41.0, 43.5, 3, 200, SETTINGS, 52.0))
        table.update(LiveTrial(2, "running", 0, 4))
        clock.now_s = 65
    headline, header, *rows = last_frame(file)
    assert headline.startswith("demo: 1 of 4 trials ended, val/recall_at_1, 1:05 so far")
    assert header.split() == ["trial", "epoch", "best", "last", "time", "state", "settings"]
    assert [row.split()[0] for row in rows if row.strip()] == ["1", "0", "2"]
    assert rows[0].split()[1:7] == ["4/4", "43.5", "[36.8,", "50.4]", "41.0", "52"]
    assert max(map(len, rows)) <= width


def test_why_a_trial_ended_is_in_the_table() -> None:
    table, file, _ = make(terminal=True, width=120)
    with table:
        table.update(LiveTrial(0, "failed", 0, 4, settings=SETTINGS, reason="loss is not finite"))
    assert "failed  loss is not finite; loss cosface" in " ".join(last_frame(file))


def test_time_left_follows_from_the_pace_of_this_session() -> None:
    table, file, clock = make(terminal=True, num_trials=6)
    with table:
        table.update(LiveTrial(0, "complete", 4, 4, 30.0, 30.0, 1, 200))  # done before a resume
        table.update(LiveTrial(1, "running", 2, 4, 30.0, 30.0, 1, 200))  # half done then
        clock.now_s = 60
        assert "left" not in last_frame(file)[0]
        table.update(LiveTrial(1, "complete", 4, 4, 30.0, 30.0, 1, 200))  # half a trial in a minute
    assert "1:00 so far, about 8:00 left" in last_frame(file)[0]


def test_a_trial_that_is_stopped_early_counts_as_done() -> None:
    table, file, clock = make(terminal=True, num_trials=4)
    with table:
        table.update(LiveTrial(0, "running", 0, 4))
        clock.now_s = 30
        table.update(LiveTrial(0, "stopped", 1, 4, 30.0, 30.0, 1, 200))
    assert "about 1:30 left" in last_frame(file)[0]


def test_beats_redraw_the_clock_but_not_too_often() -> None:
    table, file, clock = make(terminal=True)
    with table:
        before = len(file.getvalue())
        table.beat()
        clock.now_s = 0.1
        table.beat()
        assert len(file.getvalue()) == before
        clock.now_s = 5
        table.beat()
        assert "5 s so far" in last_frame(file)[0]


def test_more_trials_than_lines_are_counted() -> None:
    table, file, _ = make(terminal=True, height=12, num_trials=50)
    with table:
        for number in range(50):
            table.update(LiveTrial(number, "complete", 1, 1, float(number), float(number), 1, 200))
    frame = [line for line in last_frame(file) if line.strip()]
    assert len(frame) <= 12
    assert frame[2].split()[0] == "49"
    assert frame[-1] == "and 43 more"


def test_remarks_stay_above_the_table() -> None:
    table, file, _ = make(terminal=True)
    with table:
        table.update(LiveTrial(0, "running", 0, 4))
        table.note("a [remark]")
    assert "a [remark]" in file.getvalue()
    assert "a [remark]" not in "\n".join(last_frame(file))


def test_an_exception_passes_and_restores_the_cursor() -> None:
    table, file, _ = make(terminal=True)
    with pytest.raises(KeyboardInterrupt), table:
        raise KeyboardInterrupt
    assert file.getvalue().rstrip().endswith("\x1b[?25h")


def test_repeats_are_counted_for_themselves_and_their_time_is_planned() -> None:
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, width=140, height=30, force_terminal=True, color_system=None)
    table = LiveTable(
        console, search="demo", objective="val/recall_at_1", num_trials=2, num_repeats=3, clock=clock
    )
    with table:
        table.update(LiveTrial(0, "running", 0, 4))
        table.update(LiveTrial(1, "running", 0, 4))
        clock.now_s = 50
        table.update(LiveTrial(0, "complete", 4, 4, 30.0, 30.0, 1, 200))
        table.update(LiveTrial(1, "stopped", 1, 4, 20.0, 20.0, 1, 200))
        assert "2 of 2 trials ended, val/recall_at_1, 50 s so far, about 2:00 left" in last_frame(file)[0]
        clock.now_s = 100
        table.update(LiveTrial(2, "running", 0, 4, repeat_of=0))
        table.update(LiveTrial(2, "running", 2, 4, 35.0, 35.0, 1, 200, repeat_of=0))
    headline, _, *rows = last_frame(file)
    # 7 epochs in 100 s; 2 of this repeat are left, and 8 of the two not begun.
    assert "2 of 2 trials ended, 0 of 3 repeats, val/recall_at_1, 1:40 so far, about 2:23 left" in headline
    assert [row.split()[:2] for row in rows[:3]] == [["0", "4/4"], ["+", "2"], ["1", "1/4"]]


def test_a_repeat_is_announced_as_one() -> None:
    table, file, _ = make(terminal=False)
    with table:
        table.update(LiveTrial(9, "running", 0, 2, settings=SETTINGS, repeat_of=3, seed=2))
        table.update(LiveTrial(4, "infeasible", 1, 2, 9.0, 9.0, 1, 0, {}, 9.0, "query_ms 31 > 20"))
    assert file.getvalue().splitlines() == [
        "trial 9 starts: trial 3 again, seed 2",
        "trial 4, epoch 1/2: val/recall_at_1 9.0, best 9.0, 9 s",
        "trial 4 broke a constraint after epoch 1/2, best 9.0: query_ms 31 > 20",
    ]


def test_a_trunk_is_none_of_the_trials_and_takes_its_time() -> None:
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, width=140, height=30, force_terminal=True, color_system=None)
    table = LiveTable(console, search="demo", objective="val/recall_at_1", num_trials=2, clock=clock)
    with table:
        table.update(LiveTrial(0, "running", 0, 2, is_trunk=True))
        clock.now_s = 10
        table.update(LiveTrial(0, "running", 1, 2, 9.0, 9.0, 1, 200, is_trunk=True))
        table.update(LiveTrial(1, "running", 0, 3))
    headline, _, *rows = last_frame(file)
    # An epoch took 10 s; one of the trunk is left, three of this trial, three of one not begun.
    assert "0 of 2 trials ended, val/recall_at_1, 10 s so far, about 1:10 left" in headline
    assert rows[0].split()[:3] == ["trunk", "0", "1/2"]


def test_a_trunk_is_announced_as_one() -> None:
    table, file, _ = make(terminal=False)
    with table:
        table.update(LiveTrial(0, "running", 0, 1, settings={"backbone": "vgg16"}, is_trunk=True))
        table.update(LiveTrial(0, "complete", 1, 1, 9.0, 9.0, 1, 0, {}, 9.0, is_trunk=True))
    assert file.getvalue().splitlines() == [
        "trunk 0 starts: others start from it: backbone vgg16",
        "trunk 0, epoch 1/1: val/recall_at_1 9.0, best 9.0, 9 s",
        "trunk 0 is complete after epoch 1/1, best 9.0",
    ]
