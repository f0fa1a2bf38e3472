"""What a row of the paper asks for, in the keys of our search files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vgsearch.rerank.reranking import RerankerSort
from vgsearch.translation.translated_folder import SplitPart

LossName = Literal["cosface", "arcface", "sphereface"]
PrecisionKind = Literal["fp32", "mixed"]

MARGIN_KEYS: dict[LossName, str] = {
    "cosface": "margin_cos",
    "arcface": "margin_rad",
    "sphereface": "margin_mul",
}

EPOCHS = 3
ITERATIONS_PER_EPOCH = 10_000
"""The paper's training: three epochs of 10,000 iterations (section 4)."""

GRL_REASON = (
    "the paper's published code never reverses the gradient: it multiplies by alpha in the forward pass, and "
    "the gradient keeps its sign"
)
SOUP_TEST_REASON = (
    "chosen by recalls of the test sets themselves, and its published code averages integer buffers into "
    "floats"
)
SOUP_VAL_REASON = (
    "its published code ranks the pot by R@5, accepts by R@1 and averages integer buffers into floats; six "
    "of the eight criteria are test sets"
)


@dataclass(frozen=True)
class AskedTranslation:
    """Which photos of a split are translated by ToDayGAN, and from what to what.

    Attributes:
        part: Its queries or its database.
        source: What they show.
        target: What they become.
    """

    part: SplitPart
    source: str
    target: str


@dataclass(frozen=True)
class Asked:
    """One row in our terms.

    Attributes:
        backbone: timm name.
        weights: `imagenet`, or a word that the name of a weights file holds.
        loss: Margin loss.
        scale: Factor on the logits.
        margin: In the loss's own unit.
        grl_alpha: Strength of gradient reversal; None without.
        hflip: Probability of a horizontal flip in training.
        epochs: Planned epochs.
        precision: Number format of training where the row states it (AMP on or off).
        query_method: How queries are brought to the network.
        fda: At scoring, whose style goes where by Fourier domain adaptation; empty for none.
        criterion: Of a greedy soup, the recall that it was chosen by; None for a single network.
        reranker: What sort of network re-ranks; None for none.
        top: How many candidates of each query it re-ranks; 0 without one.
        translation: Which photos are translated; None for none.
        no_target: Why its figures are no target; empty where they are one.
    """

    backbone: str
    weights: str = "imagenet"
    loss: LossName = "cosface"
    scale: float = 30.0
    margin: float = 0.4
    grl_alpha: float | None = None
    hflip: float = 0.0
    epochs: int = EPOCHS
    precision: PrecisionKind | None = None
    query_method: str = "native"
    fda: str = ""
    criterion: str | None = None
    reranker: RerankerSort | None = None
    top: int = 0
    translation: AskedTranslation | None = None
    no_target: str = ""
