"""What each printed row asks for, against a reading of the paper by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from vgsearch.config.trial import TrialConfig
from vgsearch.reporting.paper.asked import Asked, AskedTranslation
from vgsearch.reporting.paper.interpretation import BACKBONES, asked_by, backbone_of
from vgsearch.reporting.paper.printed import printed_tables
from vgsearch.rerank.reranking import RerankerSort

ASKED = {table.number: [asked_by(table.number, row) for row in table.rows] for table in printed_tables()}
RESNET, EFFICIENTNET = "resnet18.tv_in1k", "tf_efficientnetv2_s.in1k"


def test_losses_have_their_own_margins() -> None:
    assert [(each.loss, each.scale, each.margin) for each in ASKED[1]] == [
        ("cosface", 30, 0.4),
        ("cosface", 64, 0.35),
        ("cosface", 30, 0.4),
        ("arcface", 64, 0.5),
        ("sphereface", 30, 1.5),
    ]
    assert {each.backbone for each in ASKED[1]} == {RESNET}


@pytest.mark.parametrize(
    ("printed", "timm_name"),
    [
        ("Mobilenet V3 Large", "mobilenetv3_large_100"),
        ("MobileNet V3 L", "mobilenetv3_large_100"),
        ("MobileNet V3 S", "mobilenetv3_small_100"),
        ("Efficientnet V2 Small", EFFICIENTNET),
        ("EfficientNet V2 S", EFFICIENTNET),
        ("Resnet 18", RESNET),
        ("ResNet-18", RESNET),
        ("ResNet18", RESNET),
        ("EfficientNet B1", "efficientnet_b1.ft_in1k"),
        ("Swin Tiny", "swin_tiny_patch4_window7_224.ms_in1k"),
    ],
)
def test_backbones_in_every_spelling(printed: str, timm_name: str) -> None:
    assert backbone_of(printed) == timm_name


def test_the_backbones_are_those_of_table_15() -> None:
    assert {each.backbone for each in ASKED[15]} == set(BACKBONES.values())
    assert [(each.weights, each.precision) for each in ASKED[15][:4]] == [
        ("imagenet", "fp32"),
        ("places365", "fp32"),
        ("gldv2", "fp32"),
        ("imagenet", "mixed"),
    ]
    assert [each.epochs for each in ASKED[15]] == [3] * 11 + [4, 3, 3]
    assert [each.loss for each in ASKED[15]].index("sphereface") == 8


def test_what_is_no_target_and_why() -> None:
    reversal = [each for table in (2, 3, 4, 5, 18) for each in ASKED[table]]
    assert all(("never reverses" in each.no_target) == (each.grl_alpha is not None) for each in reversal)
    assert Counter(each.grl_alpha for each in ASKED[2]) == {None: 3, 0.3: 3, 0.5: 1, 0.7: 1}
    assert all("test sets" in each.no_target for each in ASKED[8] + ASKED[16])
    on_val = [each for each in ASKED[16] if each.criterion in ("val/recall_at_1", "val/recall_at_5")]
    assert len(on_val) == 4
    assert not any(each.no_target.startswith("chosen by recalls of the test sets") for each in on_val)
    plain = [number for number in ASKED if number not in (2, 3, 4, 5, 8, 16, 18)]
    assert not any(each.no_target for number in plain for each in ASKED[number])


def test_translated_rows_say_which_photos_and_from_what_to_what() -> None:
    assert [each.translation for each in ASKED[3]] == [
        None,
        AskedTranslation("queries", "night", "day"),
        AskedTranslation("database", "day", "night"),
    ]
    assert not any(each.translation for number in ASKED if number != 3 for each in ASKED[number])


def test_reranked_rows_say_by_what_and_how_many() -> None:
    reranked = {
        number: [(each.reranker, each.top) for each in rows if each.reranker]
        for number, rows in ASKED.items()
    }
    assert {number: len(rows) for number, rows in reranked.items() if rows} == {
        **{5: 4, 6: 1, 9: 14, 10: 9, 11: 14, 12: 6, 13: 14, 14: 6, 18: 14}
    }
    assert reranked[6] == [(RerankerSort("imported", "resnet50", "netvlad"), 10)]
    for number in (9, 11, 13, 18):
        assert reranked[number] == [
            (RerankerSort("imported", encoder, pooling), n)
            for encoder in ("alexnet", "resnet50", "vgg16")
            for pooling in ("gem", "netvlad")
            for n in ((5,) if encoder == "vgg16" else (5, 10, 15))
        ]
    for number in (10, 12, 14):
        assert {sort.kind for sort, _ in reranked[number]} == {"trained"}
    # The rest of each is the network of its first row.
    for number in (5, 9, 10, 11, 12, 13, 14, 18):
        assert {replace(each, reranker=None, top=0) for each in ASKED[number]} == {ASKED[number][0]}


def test_queries_and_styles() -> None:
    assert {each.query_method for each in ASKED[17]} == {
        *("native", "single_query", "central_crop", "five_crops", "nearest_crop", "majority_voting")
    }
    assert [each.fda for each in ASKED[4]] == [
        *("", "train_to_split", "database_to_queries", "queries_to_database", "queries_to_database_add")
    ]
    assert {each.criterion for each in ASKED[16]} == {
        f"{split}/recall_at_{n}"
        for split in ("val", "test/sf_xs", "test/tokyo_xs", "test/tokyo_night")
        for n in (1, 5)
    }


def test_what_is_left_unsaid_is_cosplaces() -> None:
    asked, default = Asked(RESNET), TrialConfig()
    assert (asked.loss, asked.scale, asked.hflip) == (
        default.loss.name,
        default.loss.scale,
        default.augment.hflip,
    )
    assert asked.margin == default.loss.margin_cos  # type: ignore[union-attr]
    assert asked.backbone == default.backbone
