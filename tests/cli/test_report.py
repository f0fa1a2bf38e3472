"""`vgsearch report --paper` over a real store, and how results come into it."""

import csv
import shlex

import pytest
import typer

from tests.reporting.paper.recorded import Recorded, paper_config, result
from vgsearch.cli.main import app
from vgsearch.registry.kept_tests import kept_tests
from vgsearch.reporting.paper.commands import train_commands
from vgsearch.reporting.paper.interpretation import asked_by
from vgsearch.reporting.paper.our_runs import read_our_runs
from vgsearch.reporting.paper.printed import printed_tables
from vgsearch.retrieval.recall import RetrievalResult


@pytest.fixture
def recorded_home(tmp_path, own_store):
    """An MLflow store with one answer to Table 1."""
    from vgsearch.registry.mlflow_registry import MlflowRegistry

    home = tmp_path / "runs"
    recorded = Recorded(MlflowRegistry(home, None), tmp_path / "checkpoints")
    recorded.search("losses")
    version = recorded.trial("losses", "t0", paper_config(), 61.0, result("sf_xs", 600), finale=True)
    recorded.registry.set_champion("losses", version.version)
    return home


def test_a_table_beside_a_recorded_run(vgsearch, recorded_home):
    run = vgsearch("report", "--paper", "--table", 1, "--home", recorded_home)
    assert run.code == 0, run.err
    assert "60.0 [56.9, 63.0]" in run.out
    assert "(3) ours: models:/vgsearch-losses/1 (champion); val/recall_at_1 61.0" in run.out
    assert (
        "    vgsearch evaluate models:/vgsearch-losses/1 --on test/tokyo_xs --on test/tokyo_night" in run.out
    )
    assert run.out.splitlines()[-1] == "Of 5 rows: 4 not run, 1 ours. 0 of them are no target."
    assert "Table 2" not in run.out


def test_files_hold_the_same(vgsearch, recorded_home, tmp_path):
    for name in ("paper.csv", "paper.md"):
        run = vgsearch("report", "--paper", "--out", tmp_path / "out" / name)
        assert run.code == 0, run.err
        assert f"written: {tmp_path / 'out' / name}" in run.out
    with (tmp_path / "out" / "paper.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {line["table"] for line in lines} == {str(number) for number in range(1, 19)}
    # One network in three tables: two recalls in Tables 1 and 6, three in Table 15.
    ours = [(line["table"], line["ours"]) for line in lines if line["ours"]]
    assert ours == [("1", "60.0")] * 2 + [("6", "60.0")] * 2 + [("15", "60.0")] * 3
    assert "| ours (3) |" in (tmp_path / "out" / "paper.md").read_text()


def test_without_a_store_nothing_is_made(vgsearch, tmp_path):
    run = vgsearch("report", "--paper", "--table", 6)
    assert run.code == 0, run.err
    assert "runs has no MLflow store, so nothing of ours is shown" in run.out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "add --paper"),
        (["--paper", "--table", 19], "numbered 1 to 18, got 19"),
        (["--paper", "--out", "tables.txt"], "ends in .md or .csv, got tables.txt"),
    ],
)
def test_what_cannot_be_done_is_one_line(vgsearch, arguments, message):
    run = vgsearch("report", *arguments)
    assert run.code == 2
    assert message in run.err
    assert len(run.err.splitlines()) == 1


def test_the_commands_that_it_prints_can_be_typed():
    commands = {
        command
        for table in printed_tables()
        for row in table.rows
        for command in train_commands(table.number, asked_by(table.number, row), table.splits)
    }
    for command in commands:
        _, *arguments = shlex.split(command)
        parser = typer.main.get_command(app)
        while hasattr(parser, "commands"):
            context = typer.Context(parser)
            parser.parse_args(context, arguments)
            words = [*context._protected_args, *context.args]
            name, parser, arguments = parser.resolve_command(context, words)
        parser.make_context(name, arguments)
    verbs = {command.split()[1] for command in commands}
    assert verbs == {"tune", "evaluate", "soup", "import", "warp", "translate"}


def test_other_ways_of_scoring_are_kept_apart(vgsearch, own_searched_store):
    registry, home, _ = own_searched_store
    command = ("evaluate", registry.versions("pot")[0].reference, "--on", "test/day", "--home", home)
    for options in ((), ("--query-method", "central_crop"), ("--fda", "queries_to_database")):
        run = vgsearch(*command, *options)
        assert run.code == 0, run.err
    (scored,) = [run for run in read_our_runs(registry).runs if run.tests]
    # Artifacts are those of a store that other tests share.
    assert {
        (test.split, test.asked.query_method, test.fda and test.fda.setting) for test in scored.tests
    } >= {
        ("day", "native", None),
        ("day", "central_crop", None),
        ("day", "native", "queries_to_database"),
    }


def test_what_evaluate_scores_is_kept_with_the_model(vgsearch, own_searched_store):
    registry, home, _ = own_searched_store
    version = registry.versions("pot")[0]
    run = vgsearch("evaluate", version.reference, "--on", "test/day", "--on", "val", "--home", home)
    assert run.code == 0, run.err
    (scoring,) = registry.scored_tests("pot")
    kept = [
        (split, RetrievalResult.from_npz(npz)) for split, npz in kept_tests(registry, version, scoring.model)
    ]
    (own,) = [result for split, result in kept if (split, result.stamp) == ("day", scoring.stamp)]
    assert f"R@1 {own.at(1)}" in run.out
    assert not any(split == "val" for split, _ in kept)
    assert kept_tests(registry, version, "another-key") == []
