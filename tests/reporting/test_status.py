from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from vgsearch.reporting.status import render_status, render_steps, status_steps
from vgsearch.reporting.trial_table import LiveTrial

DONE = LiveTrial(0, "complete", 4, 4, 41.0, 43.5, 3, 200, {"trial.lr": 0.001}, 52.0, gpu_peak_bytes=5e9)
RUNNING = replace(DONE, number=1, state="running", epoch=1, best=20.0, value=20.0)


def shown(
    printed: Callable[..., list[str]],
    trials: Sequence[LiveTrial],
    *,
    is_alive: bool,
    is_over: bool = False,
    cut_short_by: str = "",
    gpu_hours: float = 0.5,
    width: int = 100,
) -> list[str]:
    status = render_status(
        trials,
        search="demo",
        objective="val/recall_at_1",
        is_alive=is_alive,
        num_trials=5,
        is_over=is_over,
        cut_short_by=cut_short_by,
        wall_hours=1.25,
        gpu_hours=gpu_hours,
    )
    return printed(status, width)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_search_under_way(printed: Callable[..., list[str]], width: int) -> None:
    lines = shown(printed, [RUNNING, DONE], is_alive=True, width=width)
    assert lines[0] == "Search demo, ranked by val/recall_at_1: a driver is running"
    assert lines[1] == "1 of 5 trials ended, 1 running; 1.25 hours and 0.50 GPU-hours spent"
    below = [] if width > 100 else ["", "trial", "0", "1"]
    assert [(line.split() or [""])[0] for line in lines[2:]] == ["trial", "0", "1", *below]
    assert "43.5 [36.8, 50.4]" in lines[3]
    assert max(map(len, lines)) <= width


def test_a_search_whose_driver_is_gone(printed: Callable[..., list[str]]) -> None:
    lines = shown(printed, [DONE, replace(RUNNING, is_cut_off=True)], is_alive=False, gpu_hours=0)
    assert lines[0].endswith("no driver is running")
    assert lines[1] == "1 of 5 trials ended, 1 cut off; 1.25 hours spent"
    assert "cut off" in lines[4]


def test_a_search_that_was_cut_short_says_by_what(printed: Callable[..., list[str]]) -> None:
    reason = "budget: 2 hours are spent"
    lines = shown(printed, [DONE], is_alive=False, is_over=True, cut_short_by=reason)
    assert lines[0].endswith("it has ended")
    assert lines[2] == f"cut short: {reason}"


@pytest.mark.parametrize("width", [80, 100, 200])
def test_reasons_and_settings_are_never_cut(printed: Callable[..., list[str]], width: int) -> None:
    reason = "asha: not among the best 1/3 after epoch 1, and more words than a line has room for"
    lines = shown(printed, [replace(DONE, state="stopped", reason=reason)], is_alive=False, width=width)
    assert "…" not in "".join(lines)
    words = " ".join(lines).split()
    assert set(f"{reason}; lr 0.001".split()) <= set(words)


def test_repeats_are_counted_for_themselves(printed: Callable[..., list[str]]) -> None:
    repeat = replace(DONE, number=2, repeat_of=0, seed=1)
    lines = shown(printed, [DONE, repeat, replace(repeat, number=3, state="running")], is_alive=True)
    assert lines[1].startswith("1 of 5 trials ended, 1 of 2 repeats ended, 1 running;")


def test_trunks_are_counted_for_themselves(printed: Callable[..., list[str]]) -> None:
    trunk = replace(DONE, number=2, is_trunk=True)
    lines = shown(printed, [DONE, trunk, RUNNING], is_alive=True)
    assert lines[1].startswith("1 of 5 trials ended, 1 of 1 trunks ended, 1 running;")


def test_a_trunk_alone_is_no_champion_and_no_trial_that_is_left() -> None:
    trunk = replace(DONE, number=0, is_trunk=True)
    assert not any("vgsearch best" in command for command in commands([trunk], num_trials=2))
    steps = status_steps(
        [replace(trunk, state="running")],
        search="demo",
        is_alive=False,
        num_trials=2,
        is_over=False,
        home=None,
    )
    assert "the 2 trials that are left" in steps[0].purpose


def commands(
    trials: Sequence[LiveTrial],
    *,
    is_alive: bool = False,
    num_trials: int = 1,
    is_over: bool = False,
    home: Path | None = None,
) -> list[str]:
    steps = status_steps(
        trials, search="demo", is_alive=is_alive, num_trials=num_trials, is_over=is_over, home=home
    )
    return [step.command for step in steps]


def test_the_next_command() -> None:
    best, resume = "vgsearch best demo", "vgsearch tune FILE --resume"
    assert commands([RUNNING], is_alive=True, num_trials=5) == []
    assert commands([DONE, RUNNING], is_alive=True, num_trials=5) == [best]
    assert commands([DONE, RUNNING], num_trials=2) == [resume, best]
    assert commands([DONE], num_trials=2) == [resume, best]
    assert commands([DONE]) == [resume, best], "its champion was not scored yet"
    assert commands([DONE], is_over=True) == [best]
    assert commands([DONE], num_trials=5, is_over=True) == [best], "a spent budget begins no more"
    failed = replace(DONE, state="failed")
    assert commands([failed], is_over=True, home=Path("/a b")) == [
        "vgsearch tune FILE --resume --home '/a b'"
    ]


def test_the_last_line_opens_the_study() -> None:
    last = render_steps([], Path("/a b/studies/demo.journal")).splitlines()[-1]
    assert shlex.split(last, comments=True) == ["optuna-dashboard", "/a b/studies/demo.journal"]
