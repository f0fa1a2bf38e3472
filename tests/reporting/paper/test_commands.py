"""Every command that the report prints does what it says: its trial, once decided, answers the row."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path

import pytest

from vgsearch.config.document import SearchDocument, load_document
from vgsearch.config.soup import load_soup
from vgsearch.reporting.paper.asked import Asked
from vgsearch.reporting.paper.commands import score_commands, search_name, train_commands
from vgsearch.reporting.paper.interpretation import asked_by
from vgsearch.reporting.paper.matching import answers, differences
from vgsearch.reporting.paper.our_runs import OurRun
from vgsearch.reporting.paper.printed import printed_tables

REPOSITORY = Path(__file__).parents[3]


@cache
def loaded(file: str, overrides: tuple[str, ...]) -> SearchDocument:
    return load_document(REPOSITORY / file, overrides)


def run_of(document: SearchDocument) -> OurRun:
    return OurRun(
        reference="models:/x/1",
        search=document.name,
        kind="trial",
        trial=document.default_trial()[0],
        method="",
        criterion="",
        objective=document.search.objective,
        val_percent=None,
        is_champion=True,
        is_whole=True,
        selected_on_test=False,
        trunk_epochs=0,
        train_folder=document.data.train,
        tests=(),
    )


def settings_of(words: list[str]) -> tuple[str, ...]:
    return tuple(words[i + 1] for i, word in enumerate(words) if word == "--set")


@pytest.mark.parametrize("number", range(1, 19))
def test_a_command_trains_what_its_row_asks_for(number: int) -> None:
    (table,) = printed_tables([number])
    for row in table.rows:
        asked = asked_by(number, row)
        commands = [shlex.split(command) for command in train_commands(number, asked, table.splits)]
        if asked.method:
            assert commands == []
            continue
        program, verb, file, *rest = commands[0]
        assert program == "vgsearch"
        if asked.criterion is not None:
            assert verb == "soup"
            soup = load_soup(REPOSITORY / file, settings_of(rest)).settings
            assert asked.criterion in soup.criteria
            assert soup.method == "greedy"
            assert {"--allow-test-selection", "--score-tests"} <= set(rest)
            continue
        assert verb == "tune"
        document = loaded(file, settings_of(rest))
        run = run_of(document)
        assert answers(run, asked)
        assert differences(run, asked) == []
        # One trial, decided to the last key, to its end; its champion is scored on the table's splits.
        assert not document.space.parameters()
        assert (document.search.num_trials, document.search.scheduler.name) == (1, "none")
        assert set(table.splits) <= set(document.data.tests)
        assert len(commands) == (1 if asked.query_method == "native" and not asked.fda else 2)
        if len(commands) == 2:
            assert commands[1][:3] == ["vgsearch", "evaluate", f"models:/vgsearch-{document.name}@champion"]


def test_rows_that_ask_for_one_network_share_its_search() -> None:
    by_name: dict[str, set[tuple[object, ...]]] = {}
    for table in printed_tables():
        for row in table.rows:
            asked = asked_by(table.number, row)
            if asked.criterion is None and not asked.method:
                network = (asked.backbone, asked.weights, asked.loss, asked.scale, asked.margin)
                network += (asked.grl_alpha, asked.epochs, asked.precision)
                by_name.setdefault(search_name(asked), set()).add(network)
    assert all(len(networks) == 1 for networks in by_name.values())
    assert len(by_name) == 23


def test_a_recorded_model_is_scored_where_it_has_not_been() -> None:
    asked = Asked("resnet18.tv_in1k", query_method="five_crops", fda="queries_to_database")
    assert score_commands("models:/vgsearch-losses/7", asked, ["tokyo_xs"]) == [
        "vgsearch evaluate models:/vgsearch-losses/7 --on test/tokyo_xs --query-method five_crops "
        "--fda queries_to_database"
    ]
