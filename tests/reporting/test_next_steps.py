from __future__ import annotations

import shlex
from pathlib import Path

from vgsearch.reporting.next_steps import next_steps, render_next_steps


def commands(*args: object, **options: object) -> list[str]:
    return [step.command for step in next_steps(*args, **options)]  # type: ignore[arg-type]


def test_defaults_need_no_options() -> None:
    assert commands("demo", "search_spaces/demo.yaml", test_splits=["day", "night"]) == [
        "vgsearch ui",
        "vgsearch best demo",
        "vgsearch evaluate models:/vgsearch-demo@champion --on day",
        "vgsearch tune search_spaces/demo.yaml --resume",
    ]


def test_another_home_and_data_root_are_named_where_they_matter() -> None:
    steps = commands("s", Path("a b.yaml"), home=Path("/my runs"), data_root=Path("d"))
    assert [shlex.split(step) for step in steps] == [
        ["vgsearch", "ui", "--home", "/my runs"],
        ["vgsearch", "best", "s", "--home", "/my runs"],
        [
            "vgsearch",
            "evaluate",
            "models:/vgsearch-s@champion",
            "--on",
            "val",
            "--home",
            "/my runs",
            "--data-root",
            "d",
        ],
        ["vgsearch", "tune", "a b.yaml", "--resume", "--home", "/my runs", "--data-root", "d"],
    ]


def test_without_a_champion_there_is_nothing_to_load() -> None:
    assert commands("demo", "demo.yaml", has_champion=False) == [
        "vgsearch ui",
        "vgsearch tune demo.yaml --resume",
    ]


def test_rendered_lines_can_be_pasted() -> None:
    steps = next_steps("demo", "demo.yaml")
    lines = render_next_steps(steps).splitlines()
    assert [shlex.split(line, comments=True) for line in lines] == [
        shlex.split(step.command) for step in steps
    ]
    assert len({line.index("#") for line in lines}) == 1
    assert render_next_steps([]) == ""


def test_a_search_is_resumed_with_the_same_overrides():
    command = next_steps("demo", "demo.yaml", overrides=["trial.epochs=1", "data={train: a b}"])[-1].command
    assert command == "vgsearch tune demo.yaml --resume --set trial.epochs=1 --set 'data={train: a b}'"


def test_a_long_command_does_not_widen_the_column_of_the_others():
    steps = next_steps("demo", "demo.yaml", overrides=["trial.loss={name: cosface}"] * 9)
    first = render_next_steps(steps).splitlines()[0]
    assert len(first) < 160
