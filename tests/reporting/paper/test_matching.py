"""A row is answered by declared settings; one that differs in any of them does not answer it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from tests.reporting.paper.recorded import IMAGES, Recorded, key_of, paper_config, result
from vgsearch.registry.kept_tests import keep_test
from vgsearch.reporting.paper.asked import Asked
from vgsearch.reporting.paper.filled import FilledRow, fill_table
from vgsearch.reporting.paper.matching import answers, differences, find_match, scoring_differences
from vgsearch.reporting.paper.our_runs import OurRun, OurTest, read_our_runs
from vgsearch.reporting.paper.printed import printed_tables
from vgsearch.reporting.paper.unplaced import unplaced_scores
from vgsearch.retrieval.recall import RetrievalResult

RESNET = Asked("resnet18.tv_in1k")
EFFICIENTNET_GRL = paper_config(backbone="tf_efficientnetv2_s.in1k", domain={"grl_alpha": 0.3})


def read(recorded: Recorded) -> tuple[OurRun, ...]:
    found = read_our_runs(recorded.registry)
    assert not found.unreadable
    return found.runs


def row(recorded: Recorded, table: int, index: int) -> FilledRow:
    (printed,) = printed_tables([table])
    return fill_table(printed, read(recorded)).rows[index]


@pytest.fixture
def run(recorded: Recorded) -> Any:
    """Record one trial with some settings changed, and read it."""
    recorded.search("a")

    def make(state: str = "complete", **changes: object) -> OurRun:
        recorded.trial("a", "t0", paper_config(**changes), 50.0, state=state)
        return read(recorded)[0]

    return make


def test_the_papers_own_settings_answer(run: Any) -> None:
    own = run()
    assert answers(own, RESNET)
    assert differences(own, RESNET) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "resnet18.a1_in1k"},
        {"weights": "none"},
        {"weights": "weights/resnet18_places365.pth"},
        {"loss": {"name": "cosface", "scale": 30, "margin_cos": 0.35}},
        {"loss": {"name": "cosface", "scale": 64, "margin_cos": 0.4}},
        {"loss": {"name": "combined", "scale": 30, "margin_cos": 0.4}},
        {"domain": {"grl_alpha": 0.3}},
        {"augment": {"hflip": 0.5}},
        {"epochs": 4},
        {"iterations_per_epoch": 9999},
        {"state": "stopped"},
    ],
)
def test_each_setting_of_a_row_decides(run: Any, changes: dict[str, object]) -> None:
    assert not answers(run(**changes), RESNET)


def test_what_a_row_leaves_open_is_said_where_it_differs(run: Any) -> None:
    own = run(lr=1e-4, image_px=256, frozen_bn="eval", seed=7, precision="fp32", pooling={"p": 4})
    assert answers(own, RESNET)
    assert differences(own, RESNET) == [
        "pooling.p 4.0 (paper 3.0)",
        "image_px 256 (paper 512)",
        "lr 0.0001 (paper 1e-05)",
        "frozen_bn eval (paper batch)",
    ]


def test_precision_decides_where_the_row_names_it(run: Any) -> None:
    own = run(precision="bf16")
    assert answers(own, Asked("resnet18.tv_in1k", precision="mixed"))
    assert not answers(own, Asked("resnet18.tv_in1k", precision="fp32"))


def test_weights_from_elsewhere_are_told_by_their_file(run: Any) -> None:
    own = run(backbone={"name": "resnet18.tv_in1k", "weights": "/w/ResNet18_Places365.pth"})
    assert answers(own, Asked("resnet18.tv_in1k", weights="places365"))
    assert not answers(own, Asked("resnet18.tv_in1k", weights="gldv2"))


def test_alpha_zero_is_no_reversal_but_said(run: Any) -> None:
    own = run(domain={"grl_alpha": 0})
    assert answers(own, RESNET)
    assert differences(own, RESNET) == ["a domain classifier with alpha 0"]
    assert not answers(own, Asked("resnet18.tv_in1k", grl_alpha=0.3))


def test_a_name_says_nothing(recorded: Recorded) -> None:
    recorded.search("paper_resnet18_arcface_s64_m0.5")
    recorded.trial("paper_resnet18_arcface_s64_m0.5", "arcface", paper_config(), 90.0, result("sf_xs", 476))
    asked = Asked("resnet18.tv_in1k", loss="arcface", scale=64, margin=0.5)
    assert find_match(read(recorded), asked) is None


def test_of_several_the_best_on_val_stands_whatever_its_tests(recorded: Recorded) -> None:
    recorded.search("a")
    recorded.search("b")
    recorded.trial("a", "a0", paper_config(), 60.0, result("sf_xs", 900))
    recorded.trial("b", "b0", paper_config(seed=1), 61.0, result("sf_xs", 100))
    recorded.trial("b", "b1", paper_config(seed=2), 60.5, result("sf_xs", 999))
    filled = row(recorded, 1, 2)
    assert filled.match is not None
    assert (filled.match.run.reference, filled.match.num_matching) == ("models:/vgsearch-b/1", 3)
    assert filled.ours["sf_xs", 1].hits == 100


def test_values_of_another_objective_do_not_outbid(recorded: Recorded) -> None:
    recorded.search("a")
    recorded.search("b", objective="val/mean/recall_at_5")
    recorded.trial("a", "a0", paper_config(), 60.0)
    recorded.trial("b", "b0", paper_config(), 80.0, objective="val/mean/recall_at_5")
    match = find_match(read(recorded), RESNET)
    assert match is not None
    assert match.run.search == "a"


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
    keep(recorded, version, "tokyo_night", styled("queries_to_database", 74))
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
        own = OurTest("tokyo_night", styled("train_to_split", 50, end))
        assert scoring_differences(own) == [said]
        keep(recorded, version, "tokyo_night", own.result)
    shown = {
        each.scored_as.removeprefix("native fda train_to_split ")
        for each in unplaced_scores(read(recorded), [])
    }
    assert shown == {"beta 0.05", "seed 7", "style 1a2b3c4d", "beta unknown"}
    # The last of all in the order of stamps.
    keep(recorded, version, "tokyo_night", styled("train_to_split", 30, "-beta0.01-seed0", images="f" * 16))
    filled = row(recorded, 4, 1)
    assert (filled.ours["tokyo_night", 1].hits, filled.differences) == (30, ())


def test_what_is_not_usual_is_shown_of_models_without_a_row(recorded: Recorded) -> None:
    recorded.search("a")
    near = result("sf_xs", 400, method="five_crops", size="200px-480x640")
    near = replace(near, stamp=near.stamp.replace("25m", "10m"))
    recorded.trial("a", "a0", paper_config(), 60.0, near, result("sf_xs", 300))
    shown = {each.scored_as for each in unplaced_scores(read(recorded), [])}
    assert shown == {"five_crops within 10m 200px 480x640", "native"}


def styled(setting: str, hits: int, end: str = "-beta0.01-seed0", *, images: str = "") -> RetrievalResult:
    """A result on Tokyo Night in other styles."""
    plain, name = result("tokyo_night", hits), f"tokyo_night-fda-{setting}{end}"
    images = images or hashlib.md5(name.encode()).hexdigest()[:16]
    return replace(plain, set_name=f"test/{name}", stamp=plain.stamp.replace(IMAGES, images))


def keep(recorded: Recorded, version: Any, split: str, own: Any) -> None:
    recorded.registry.count_test_scoring(
        version.search, split, reference="x", stamp=own.stamp, model=key_of(version)
    )
    keep_test(recorded.registry, version, key_of(version), split, stamp=own.stamp, content=own.to_npz_bytes())


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
    keep(recorded, version, "sf_xs", result("sf_xs", 300, method=method))
    filled = row(recorded, table, index)
    assert (filled.ours["sf_xs", 1].hits, filled.differences) == (300, ())


def test_a_branch_of_a_trunk_is_said(recorded: Recorded) -> None:
    recorded.search("a", search={"branch": {"trunk_epochs": 3}})
    recorded.trial("a", "a0", paper_config(), 60.0)
    assert row(recorded, 1, 2).differences == ("branched from a trunk of 3 epochs",)


def test_soups_answer_by_method_and_criterion(recorded: Recorded) -> None:
    recorded.search("a")
    scores = result("tokyo_night", 55, method="central_crop")
    for uid, method, criterion in (
        ("soup-1", "uniform", "test/tokyo_night/recall_at_5"),
        ("soup-2", "greedy", "val/recall_at_1"),
        ("soup-3", "greedy", "test/tokyo_night/recall_at_5"),
    ):
        recorded.combination("a", uid, "soup", paper_config(), {"method": method}, criterion, scores)
    filled = [row(recorded, 16, i) for i in range(16)]
    found = {i: each.match.run.reference for i, each in enumerate(filled) if each.match is not None}
    assert found == {0: "models:/vgsearch-a/2", 7: "models:/vgsearch-a/3"}
    assert filled[7].ours["tokyo_night", 1].hits == 55
    assert filled[7].match is not None
    assert filled[7].match.run.selected_on_test
