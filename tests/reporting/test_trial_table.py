from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from vgsearch.reporting.trial_table import LiveTrial, best_first, readable_settings, trial_table

Printed = Callable[..., list[str]]
A = LiveTrial(0, "complete", 4, 4, 41.0, 43.5, 3, 200, {"trial.lr": 0.001}, 52.0)


def test_repeats_stand_below_the_trial_they_repeat() -> None:
    trials = [
        replace(A, number=3, best=50.0),
        A,
        replace(A, number=5, best=60.0, repeat_of=0),
        replace(A, number=4, best=70.0, repeat_of=0),
        replace(A, number=1, best=99.0, state="infeasible"),
        replace(A, number=2, best=None, value=None, epoch=0, state="running"),
        replace(A, number=6, best=80.0, state="failed"),
    ]
    assert [trial.number for trial in best_first(trials)] == [3, 0, 4, 5, 2, 1, 6]


def test_a_repeat_names_its_trial_and_seed(printed: Printed) -> None:
    lines = printed(trial_table([A, replace(A, number=9, repeat_of=0, seed=2)], 1), 100)
    assert lines[2].split()[:2] == ["+", "9"]
    assert lines[2].endswith("complete  trial 0 again, seed 2")
    (line,) = printed(trial_table([replace(A, number=9, repeat_of=0)], 1), 100)[1:]
    assert line.endswith("trial 0 again, on another seed")


@pytest.mark.parametrize("width", [80, 120, 200])
def test_gpu_memory_has_a_column_if_any_trial_has_it(printed: Printed, width: int) -> None:
    assert "GPU" not in printed(trial_table([A], 1), width)[0]
    lines = printed(trial_table([A, replace(A, gpu_peak_bytes=10.44e9)], 1), width)
    assert "GPU GB" in lines[0]
    assert "  -  complete" in lines[1]
    assert "  10.4  complete" in lines[2]
    assert max(map(len, lines)) <= width


def test_a_trial_that_nobody_runs_is_cut_off(printed: Printed) -> None:
    (line,) = printed(trial_table([replace(A, state="running", is_cut_off=True)], 1), 100)[1:]
    assert "  cut off  lr 0.001" in line


def test_branch_labels_become_their_names() -> None:
    settings = {"trial.loss": "1_arcface", "trial.domain": "0", "trial.lr": 0.1, "trial.backbone": "resnet18"}
    assert readable_settings(settings) == {
        "trial.loss": "arcface",
        "trial.lr": 0.1,
        "trial.backbone": "resnet18",
    }


def test_a_trunk_stands_above_all_and_says_what_it_is(printed: Printed) -> None:
    trunk = replace(A, number=7, best=10.0, is_trunk=True, settings={"trial.backbone": "resnet18.tv_in1k"})
    rows = best_first([replace(A, number=3, best=50.0), trunk, A])
    assert [row.number for row in rows] == [7, 3, 0]
    lines = printed(trial_table(rows, 1), 120)
    assert lines[1].split()[:2] == ["trunk", "7"]
    assert lines[1].endswith("others start from it: backbone resnet18.tv_in1k")
    assert not trunk.is_searched
    assert A.is_searched
