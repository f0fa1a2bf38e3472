"""Of a run's results a row shows the one that is scored as it asks, and none that is scored otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reporting.paper.recorded import (
    EFFICIENTNET_GRL,
    Recorded,
    paper_config,
    read,
    reranked,
    result,
    row,
    styled,
)
from vgsearch.reporting.paper.filled import fill_table
from vgsearch.reporting.paper.our_tests import OurTest
from vgsearch.reporting.paper.printed import printed_tables
from vgsearch.reporting.paper.scorings import scoring_differences
from vgsearch.reporting.paper.unplaced import unplaced_scores
from vgsearch.rerank.reranking import NamedReranker, RerankerSort
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.translation.translated_name import TranslatedName

ALEXNET_GEM = RerankerSort("imported", "alexnet", "gem")


def night(hits: int) -> RetrievalResult:
    return result("tokyo_night", hits)


def test_missing_splits_have_the_command_that_scores_them(recorded: Recorded) -> None:
    recorded.search("a")
    recorded.trial("a", "a0", paper_config(), 60.0, result("sf_xs", 522, 141))
    filled = row(recorded, 1, 2)
    assert filled.state == "ours"
    assert set(filled.ours) == {("sf_xs", 1), ("sf_xs", 5)}
    assert filled.ours["sf_xs", 5].hits == 522 + 141
    assert filled.commands == (
        "vgsearch evaluate models:/vgsearch-a/1 --on test/tokyo_xs --on test/tokyo_night",
    )
    assert row(recorded, 7, 1).state == "not run"  # fp32 is asked for there


def test_query_methods_and_styles_do_not_pass_for_plain_queries(recorded: Recorded) -> None:
    recorded.search("a")
    recorded.trial(
        "a", "a0", paper_config(precision="fp32"), 60.0, result("sf_xs", 470, method="central_crop")
    )
    native, crop = row(recorded, 7, 0), row(recorded, 7, 1)
    assert (native.state, crop.state) == ("not scored", "ours")
    assert crop.ours["sf_xs", 1].hits == 470
    assert crop.commands[0].endswith("--on test/tokyo_xs --on test/tokyo_night --query-method central_crop")

    recorded.search("b")
    version = recorded.trial("b", "b0", EFFICIENTNET_GRL, 70.0)
    recorded.keep(version, "tokyo_night", styled(night(74), "-fda-queries_to_database-beta0.01-seed0"))
    states = [row(recorded, 4, i).state for i in range(5)]
    assert states == ["not scored", "not scored", "not scored", "ours", "not scored"]


def test_other_betas_seeds_and_styles_are_said_and_do_not_displace_the_defaults(recorded: Recorded) -> None:
    recorded.search("a")
    version = recorded.trial("a", "a0", EFFICIENTNET_GRL, 70.0)
    for end, said in (
        ("-beta0.05-seed0", "FDA beta 0.05 (default 0.01)"),
        ("-beta0.01-seed7", "FDA seed 7 (default 0)"),
        (
            "-beta0.01-seed0-style1a2b3c4d",
            "FDA in the style of the photos 1a2b3c4d of --fda-style (paper: of training photos)",
        ),
        ("", "FDA with a beta and a seed that were not recorded"),
    ):
        own = OurTest("tokyo_night", styled(night(50), f"-fda-train_to_split{end}"))
        assert scoring_differences(own) == [said]
        recorded.keep(version, "tokyo_night", own.result)
    shown = {
        each.scored_as.removeprefix("native fda train_to_split ")
        for each in unplaced_scores(read(recorded), [])
    }
    assert shown == {"beta 0.05", "seed 7", "style 1a2b3c4d", "beta unknown"}
    # The last of all in the order of stamps.
    usual = styled(night(30), "-fda-train_to_split-beta0.01-seed0", images="f" * 16)
    recorded.keep(version, "tokyo_night", usual)
    filled = row(recorded, 4, 1)
    assert (filled.ours["tokyo_night", 1].hits, filled.differences) == (30, ())


def test_what_is_not_usual_is_shown_of_models_without_a_row(recorded: Recorded) -> None:
    recorded.search("a")
    near = result("sf_xs", 400, method="five_crops", size="200px-480x640")
    near = replace(near, stamp=near.stamp.replace("25m", "10m"))
    recorded.trial("a", "a0", paper_config(), 60.0, near, result("sf_xs", 300))
    shown = {each.scored_as for each in unplaced_scores(read(recorded), [])}
    assert shown == {"five_crops within 10m 200px 480x640", "native"}


def test_other_queries_under_the_same_name_are_said(recorded: Recorded) -> None:
    recorded.search("a")
    recorded.trial("a", "a0", paper_config(), 60.0, result("tokyo_xs", 100, queries=250))
    filled = row(recorded, 1, 2)
    assert filled.ours["tokyo_xs", 1].num_queries == 250
    assert "250 queries of Tokyo XS, not 315" in filled.differences


@pytest.mark.parametrize(
    ("method", "table", "index"), [("native", 7, 0), ("central_crop", 7, 1), ("five_crops", 17, 3)]
)
@pytest.mark.parametrize(
    ("size", "said"),
    [
        ("fullsize-480x640", "brought to 480x640 px, not to the database's own size"),
        ("200px", "images at 200px, not at full size"),
    ],
)
def test_another_size_is_said_and_does_not_displace_the_full_one(
    recorded: Recorded, method: str, table: int, index: int, size: str, said: str
) -> None:
    recorded.search("a")
    config = paper_config(precision="fp32")
    other = result("sf_xs", 400, method=method, size=size)
    version = recorded.trial("a", "a0", config, 60.0, other)
    assert row(recorded, table, index).differences == (said,)
    recorded.keep(version, "sf_xs", result("sf_xs", 300, method=method))
    filled = row(recorded, table, index)
    assert (filled.ours["sf_xs", 1].hits, filled.differences) == (300, ())


def test_a_second_order_fills_its_own_row_and_never_that_of_the_first(recorded: Recorded) -> None:
    recorded.search("a")
    version = recorded.trial("a", "a0", paper_config(precision="fp32"), 60.0)
    for hits, sort, n in (
        (501, ALEXNET_GEM, 5),
        (502, ALEXNET_GEM, 10),
        (503, RerankerSort("trained", "alexnet", "gem"), 5),
        (504, RerankerSort("imported", "alexnet", "netvlad"), 5),
        (505, RerankerSort("imported", "resnet50", "gem"), 7),
        (506, RerankerSort("unknown", "vgg16", "gem"), 5),
    ):
        identity = f"{hits:016x}" if sort != ALEXNET_GEM else "0123456789abcdef"
        recorded.keep(version, "sf_xs", reranked(result("sf_xs", hits), sort, n, identity=identity))
    (table,) = printed_tables([9])
    rows = {tuple(each.printed.labels.values())[:3]: each for each in fill_table(table, read(recorded)).rows}
    hits = {labels: each.ours["sf_xs", 1].hits for labels, each in rows.items() if each.ours}
    assert hits == {
        ("alexnet", "gem", "5"): 501,
        ("alexnet", "gem", "10"): 502,
        ("alexnet", "netvlad", "5"): 504,
    }
    assert rows["no re-rank", "-", "-"].state == "not scored"
    assert row(recorded, 10, 1).ours["sf_xs", 1].hits == 503
    # Scored without re-ranking, it is the plain rows' and nobody else's.
    recorded.keep(version, "sf_xs", result("sf_xs", 400))
    assert row(recorded, 9, 0).ours["sf_xs", 1].hits == 400
    assert row(recorded, 9, 1).ours["sf_xs", 1].hits == 501
    assert row(recorded, 9, 1).other_networks == ("re-ranked by warp (0123456789abcdef, fp32)",)


def test_one_command_fills_the_rows_of_one_network(recorded: Recorded) -> None:
    recorded.search("a")
    version = recorded.trial("a", "a0", paper_config(precision="fp32"), 60.0)
    for split in ("sf_xs", "tokyo_xs", "tokyo_night"):
        recorded.keep(version, split, reranked(result(split, 50), ALEXNET_GEM, 10, name="second"))
    recorded.keep(version, "sf_xs", reranked(result("sf_xs", 50), ALEXNET_GEM, 15, name="second"))
    (table,) = printed_tables([9])
    names = [NamedReranker(name, ALEXNET_GEM) for name in ("first", "second")]
    begin = "vgsearch evaluate models:/vgsearch-a/1"
    five, ten, fifteen = fill_table(table, read(recorded), names).rows[1:4]
    everywhere = "--on test/sf_xs --on test/tokyo_xs --on test/tokyo_night"
    assert five.commands == (f"{begin} {everywhere} --rerank geowarp:first --top 5",)
    assert ten.commands == ()
    # A row that has results of one network goes on with that one.
    rest = "--on test/tokyo_xs --on test/tokyo_night --rerank geowarp:second --top 15"
    assert fifteen.commands == (f"{begin} {rest}",)
    resnet = fill_table(table, read(recorded), names).rows[7:10]
    assert {each.commands for each in resnet} == {resnet[0].commands}
    assert resnet[0].commands[-1].endswith("--rerank geowarp:resnet50_gem --top 5,10,15")


def test_results_of_two_networks_are_not_mixed(recorded: Recorded) -> None:
    recorded.search("a")
    version = recorded.trial("a", "a0", paper_config(precision="fp32"), 60.0)
    for split, hits, identity in (
        ("sf_xs", 900, "a" * 16),
        ("sf_xs", 500, "b" * 16),
        ("tokyo_xs", 200, "b" * 16),
        ("tokyo_night", 90, "c" * 16),
    ):
        recorded.keep(version, split, reranked(result(split, hits), ALEXNET_GEM, 5, identity=identity))
    filled = row(recorded, 9, 1)
    assert {split: recall.hits for (split, n), recall in filled.ours.items() if n == 1} == {
        "sf_xs": 500,
        "tokyo_xs": 200,
    }
    assert filled.other_networks == (f"re-ranked by warp ({'b' * 16}, fp32)",)


@pytest.mark.parametrize(
    ("changes", "row_index", "differences"),
    [
        ({}, 1, ()),
        ({"part": "database", "source": "day", "target": "night"}, 2, ()),
        ({"part": "database"}, None, ()),
        ({"target": "dawn"}, None, ()),
        ({"kind": "brighten", "source": "", "target": "", "px": None}, None, ()),
        (
            {"kind": "own"},
            1,
            ("translated by a network of our own training, 1a2b3c4d (paper: pretrained)",),
        ),
        ({"px": 256}, 1, ("translated at 256 px (the authors at 512 px)",)),
    ],
)
def test_a_translated_split_fills_the_row_of_its_photos(
    recorded: Recorded, changes: dict[str, object], row_index: int | None, differences: tuple[str, ...]
) -> None:
    recorded.search("a")
    version = recorded.trial("a", "a0", EFFICIENTNET_GRL, 70.0)
    name = replace(TranslatedName("authors", "queries", "night", "day", 512, "1a2b3c4d"), **changes)  # type: ignore[arg-type]
    recorded.keep(version, "tokyo_night", styled(night(15), name.set_name("")))
    filled = [row(recorded, 3, i) for i in range(3)]
    assert [i for i, each in enumerate(filled) if each.ours] == ([] if row_index is None else [row_index])
    if row_index is not None:
        assert filled[row_index].ours["tokyo_night", 1].hits == 15
        assert filled[row_index].differences == differences
    # Nor does it stand for the plain photos in any other table.
    assert all(row(recorded, number, 0).state == "not scored" for number in (4, 5, 18))


def test_how_a_model_without_a_row_was_scored_is_said_whole(recorded: Recorded) -> None:
    recorded.search("a")
    version = recorded.trial("a", "a0", paper_config(), 60.0)
    bright = TranslatedName("brighten", "queries", "", "", None, "1a2b3c4d")
    own = TranslatedName("own", "database", "day", "night", 64, "1a2b3c4d")
    for each in (
        reranked(night(1), ALEXNET_GEM, 5),
        reranked(styled(night(2), "-fda-queries_to_database-beta0.05-seed0"), ALEXNET_GEM, 10, name="r-50_x"),
        styled(night(3), bright.set_name("")),
        styled(night(4), own.set_name("")),
        replace(night(5), stamp=reranked(night(5), ALEXNET_GEM, 5).stamp + "x"),
    ):
        recorded.keep(version, "tokyo_night", each)
    shown = {each.test.result.at(1).hits: each.scored_as for each in unplaced_scores(read(recorded), [])}
    assert shown == {
        1: "native top 5 re-ranked by warp (imported, alexnet gem)",
        2: "native fda queries_to_database beta 0.05 top 10 re-ranked by r-50_x (imported, alexnet gem)",
        3: "native queries brightened",
        4: "native database day to night trained here at 64 px",
        5: "in an unknown way",
    }
    assert not row(recorded, 1, 2).ours


def test_a_network_of_other_training_photos_is_said_and_not_offered(recorded: Recorded) -> None:
    recorded.search("a")
    version = recorded.trial("a", "a0", paper_config(precision="fp32"), 60.0)
    sort = RerankerSort("trained", "alexnet", "gem")
    said = "re-ranked by a network that was trained on demo_city/train (paper: sf_xs/train)"
    recorded.keep(version, "sf_xs", reranked(result("sf_xs", 500), sort, 5, trained_on="demo_city/train"))
    assert row(recorded, 10, 1).differences == (said,)
    (table,) = printed_tables([10])
    names = [NamedReranker(photos, sort, f"{photos}/train") for photos in ("demo_city", "sf_xs")]
    commands = fill_table(table, read(recorded), names).rows[2].commands
    assert [" --rerank geowarp:sf_xs " in command for command in commands] == [True]
    commands = fill_table(table, read(recorded), names[:1]).rows[2].commands
    assert len(commands) == 2
    # One that was trained as the paper's displaces it.
    recorded.keep(version, "sf_xs", reranked(result("sf_xs", 400), sort, 5, identity="f" * 16))
    filled = row(recorded, 10, 1)
    assert (filled.ours["sf_xs", 1].hits, filled.differences) == (400, ())
