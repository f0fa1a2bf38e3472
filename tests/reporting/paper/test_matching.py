"""A row is answered by declared settings; one that differs in any of them does not answer it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.reporting.paper.recorded import Recorded, paper_config, read, result, row
from vgsearch.reporting.paper.asked import Asked
from vgsearch.reporting.paper.matching import answers, differences, find_match
from vgsearch.reporting.paper.our_runs import OurRun

RESNET = Asked("resnet18.tv_in1k")


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
