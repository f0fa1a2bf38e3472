"""Every command that the report prints does what it says: its trial, once decided, answers the row."""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from vgsearch.config.document import SearchDocument, load_document
from vgsearch.config.soup import load_soup
from vgsearch.config.warp_training import load_warp_training
from vgsearch.reporting.paper.asked import Asked, AskedTranslation
from vgsearch.reporting.paper.commands import Means, score_commands, search_name, train_commands
from vgsearch.reporting.paper.interpretation import asked_by
from vgsearch.reporting.paper.matching import answers, differences
from vgsearch.reporting.paper.our_runs import OurRun
from vgsearch.reporting.paper.printed import printed_tables
from vgsearch.rerank.reranking import RerankerSort

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
        test_folders=document.data.tests,
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
        is_plain = asked.query_method == "native" and not (asked.fda or asked.reranker or asked.translation)
        needs_more = asked.reranker is not None or asked.translation is not None
        assert len(commands) == (1 if is_plain else 3 if needs_more else 2)
        if not is_plain:
            assert commands[-1][:3] == ["vgsearch", "evaluate", f"models:/vgsearch-{document.name}@champion"]


def test_rows_that_ask_for_one_network_share_its_search() -> None:
    by_name: dict[str, set[tuple[object, ...]]] = {}
    for table in printed_tables():
        for row in table.rows:
            asked = asked_by(table.number, row)
            if asked.criterion is None:
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


IMPORTED = RerankerSort("imported", "resnet50", "gem")
TRAINED = RerankerSort("trained", "alexnet", "netvlad")


def test_a_network_that_reranks_is_imported_or_trained_first() -> None:
    asked = Asked("resnet18.tv_in1k", reranker=IMPORTED, top=10)
    assert score_commands("m", asked, ["sf_xs"], Means(tops=(5, 10))) == [
        "vgsearch import geowarp weights/resnet50_gem_regression.pth --encoder resnet50 "
        "--encoder-weights weights/resnet50_gem.pth --name resnet50_gem",
        "vgsearch evaluate m --on test/sf_xs --rerank geowarp:resnet50_gem --top 5,10",
    ]
    (training, scoring) = score_commands("m", replace(asked, reranker=TRAINED), ["sf_xs"])
    words = shlex.split(training)
    assert words[:4] == ["vgsearch", "warp", "train", "warps/geowarp.yaml"]
    settings = load_warp_training(REPOSITORY / words[3], settings_of(words)).settings
    assert (settings.network.encoder, settings.network.pooling) == ("alexnet", "netvlad")
    assert settings.data.train == "sf_xs/train"
    assert scoring == f"vgsearch evaluate m --on test/sf_xs --rerank geowarp:{settings.name} --top 10"


def test_a_network_that_is_there_is_not_made_again() -> None:
    asked = Asked("resnet18.tv_in1k", reranker=TRAINED, top=5)
    assert score_commands("m", asked, ["sf_xs"], Means(reranker="mine")) == [
        "vgsearch evaluate m --on test/sf_xs --rerank geowarp:mine --top 5"
    ]


def test_photos_are_translated_before_they_are_scored() -> None:
    asked = Asked("resnet18.tv_in1k", translation=AskedTranslation("database", "day", "night"))
    means = Means(folders={"tokyo_night": "/our data/tokyo_night/test"})
    assert score_commands("m", asked, ["tokyo_night"], means) == [
        "vgsearch translate '/our data/tokyo_night/test' tokyo_night_database_as_night --part database "
        "--from day --to night --weights weights/robotcar_2day",
        "vgsearch evaluate m --on tokyo_night_database_as_night",
    ]
