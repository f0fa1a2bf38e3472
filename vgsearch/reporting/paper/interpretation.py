"""From the words of a printed row to what it asks for; what the paper leaves unsaid has its defaults."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from vgsearch.config.geowarp import PoolingName
from vgsearch.reporting.paper.asked import (
    GRL_REASON,
    SOUP_TEST_REASON,
    SOUP_VAL_REASON,
    Asked,
    AskedTranslation,
    LossName,
    PrecisionKind,
)
from vgsearch.reporting.paper.printed import PrintedRow
from vgsearch.rerank.reranking import RerankerKind, RerankerSort

Labels = Mapping[str, str]

# timm's pre-training that is nearest to torchvision's IMAGENET1K_V1 weights, which the paper started from.
BACKBONES = {
    "resnet18": "resnet18.tv_in1k",
    "efficientnetb0": "efficientnet_b0.ra_in1k",
    "efficientnetb1": "efficientnet_b1.ft_in1k",
    "efficientnetb2": "efficientnet_b2.ra_in1k",
    "efficientnetv2s": "tf_efficientnetv2_s.in1k",
    "mobilenetv3s": "mobilenetv3_small_100",
    "mobilenetv3l": "mobilenetv3_large_100",
    "convnexttiny": "convnext_tiny.fb_in1k",
    "swintiny": "swin_tiny_patch4_window7_224.ms_in1k",
}
QUERY_METHODS = {
    "-": "native",
    "single query": "single_query",
    "central crop": "central_crop",
    "five crops": "five_crops",
    "nearest crop": "nearest_crop",
    "maj voting": "majority_voting",
}
_LOSSES: dict[str, LossName] = {
    "cosplace cosface": "cosface",
    "cosface": "cosface",
    "arcface": "arcface",
    "sphereface": "sphereface",
}
FDA_SETTINGS = {
    "None": "",
    "FDA from sf-xs to tokyo-night": "train_to_split",
    "FDA from the tokyo-night database to tokyo-night queries": "database_to_queries",
    "FDA from tokyo-night queries to the tokyo-night database": "queries_to_database",
    "FDA from tokyo-night queries to the tokyo-night database (without overwrite)": "queries_to_database_add",
}
TRANSLATIONS = {
    "None": None,
    "Night query images to day": AskedTranslation("queries", "night", "day"),
    "Day database images to night": AskedTranslation("database", "day", "night"),
}
_POOLINGS: dict[str, PoolingName] = {"gem": "gem", "netvlad": "netvlad"}
_CRITERIA = {"sf-xs val": "val", "sf-xs test": "test/sf_xs", "tokyo xs": "test/tokyo_xs"}
_CRITERIA["tokyo night"] = "test/tokyo_night"

# The plain ResNet-18 has the figures of Table 15's row "AMP OFF" wherever the paper prints it.
_FP32_IF_RESNET: dict[str, PrecisionKind] = {BACKBONES["resnet18"]: "fp32"}
_RESNET = Asked(BACKBONES["resnet18"])
_MOBILENET = Asked(BACKBONES["mobilenetv3l"])
_EFFICIENTNET = Asked(BACKBONES["efficientnetv2s"])
_EFFICIENTNET_GRL = replace(_EFFICIENTNET, grl_alpha=0.3, no_target=GRL_REASON)


def asked_by(table: int, row: PrintedRow) -> Asked:
    """What a row asks for.

    Args:
        table: The table's number, 1 to 18.
        row: As the paper prints it.
    """
    return _READERS[table](row.labels)


def backbone_of(printed: str) -> str:
    """The timm name of a backbone, in any of the paper's spellings."""
    letters = re.sub(r"[ -]", "", printed.lower())
    return BACKBONES[re.sub(r"(?<=v[23][sl])(mall|arge)$", "", letters)]


def _losses(labels: Labels) -> Asked:
    loss = _LOSSES[labels["Loss Function"].lower()]
    # The paper does not say it of the other rows.
    precision: PrecisionKind | None = "fp32" if labels["Loss Function"].startswith("CosPlace") else None
    asked = replace(_RESNET, loss=loss, scale=float(labels["s"]), margin=float(labels["m"]))
    return replace(asked, precision=precision)


def _reversal(labels: Labels) -> Asked:
    asked = Asked(backbone_of(labels["Backbone"]))
    if labels["GRL"] == "/":
        return replace(asked, precision=_FP32_IF_RESNET.get(asked.backbone))
    return replace(asked, grl_alpha=float(labels["GRL"]), no_target=GRL_REASON)


def _translated(labels: Labels) -> Asked:
    return replace(_EFFICIENTNET_GRL, translation=TRANSLATIONS[labels["Augmentation"]])


def _restyled(labels: Labels) -> Asked:
    return replace(_EFFICIENTNET_GRL, fda=FDA_SETTINGS[labels["Augmentation"]])


def _reranked(base: Asked, kind: RerankerKind) -> Callable[[Labels], Asked]:
    def read(labels: Labels) -> Asked:
        if labels["n"] == "-":
            return base
        sort = RerankerSort(kind, labels["Re-rank aux network"], _POOLINGS[labels["Pooling"]])
        return replace(base, reranker=sort, top=int(labels["n"]))

    return read


def _backbones(labels: Labels) -> Asked:
    name, *additions = labels["Backbone"].split(" + ")
    epochs = re.fullmatch(r"(?P<name>.+) \((?P<epochs>[0-9]+) training epoches\)", name)
    asked = Asked(backbone_of((epochs["name"] if epochs else name).removesuffix(" AMP OFF")))
    if epochs:
        asked = replace(asked, epochs=int(epochs["epochs"]))
    # Only the ResNet-18 is there twice, with AMP and without.
    if asked.backbone == _RESNET.backbone:
        asked = replace(asked, precision="fp32" if "AMP OFF" in name else "mixed")
    for addition in additions:
        if addition == "SphereFace":
            asked = replace(asked, loss="sphereface", margin=1.5)
        elif words := re.fullmatch(r"GeoWarp \((\w+)\+(\w+)\+([0-9]+)\)", addition):
            # Its figures are those of Table 13, with the authors' models.
            sort = RerankerSort("imported", words[1], _POOLINGS[words[2]])
            asked = replace(asked, reranker=sort, top=int(words[3]))
        else:
            asked = replace(asked, weights={"Place365": "places365", "GLDV 2": "gldv2"}[addition])
    return asked


def _queries(labels: Labels) -> Asked:
    return Asked(
        backbone_of(labels["Backbone"]),
        query_method=QUERY_METHODS[labels["Query Method"]],
        precision=_FP32_IF_RESNET.get(backbone_of(labels["Backbone"])),
    )


def _soups(labels: Labels) -> Asked:
    split, _, n = labels["Criteria"].rpartition(" R@")
    criterion = f"{_CRITERIA[split]}/recall_at_{n}"
    return Asked(
        backbone_of(labels["Backbone"]),
        # The figures equal those of the ingredients with central crops (Table 7), not native ones.
        query_method="central_crop",
        criterion=criterion,
        no_target=SOUP_VAL_REASON if criterion.startswith("val") else SOUP_TEST_REASON,
    )


_READERS: dict[int, Callable[[Labels], Asked]] = {
    1: _losses,
    2: _reversal,
    3: _translated,
    4: _restyled,
    5: _reranked(_EFFICIENTNET_GRL, "imported"),
    6: _backbones,
    7: _queries,
    8: _soups,
    9: _reranked(replace(_RESNET, precision="fp32"), "imported"),
    10: _reranked(replace(_RESNET, precision="fp32"), "trained"),
    11: _reranked(replace(_MOBILENET, epochs=4), "imported"),
    12: _reranked(replace(_MOBILENET, epochs=4), "trained"),
    13: _reranked(_EFFICIENTNET, "imported"),
    14: _reranked(_EFFICIENTNET, "trained"),
    15: _backbones,
    16: _soups,
    17: _queries,
    18: _reranked(_EFFICIENTNET_GRL, "imported"),
}
