"""Model Stock (Jang, Yun & Han, ECCV 2024): the mean, drawn back to the weights that all started from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from vgsearch.ensembling.averaging import Stream, Weights, open_weights


def stock_ratio(cosine: float, count: int) -> float:
    """How much of the mean there is in the result; the rest is the anchor.

    The paper's ratio for k models whose displacements from the anchor have the pairwise cosine `cos` is
    `k cos / ((k - 1) cos + 1)`; for two models that is `2 cos / (1 + cos)`. At right angles nothing but the
    anchor is left; below zero, which the paper leaves open, it stays so.

    Args:
        cosine: -1 to 1.
        count: k, at least 2.

    Returns:
        0 to 1.

    Raises:
        ValueError: `count` below 2 or a cosine outside [-1, 1].
    """
    if count < 2 or not -1 <= cosine <= 1:
        raise ValueError(f"at least 2 models and a cosine in [-1, 1] are needed, got {count} and {cosine}")
    if cosine <= 0:
        return 0.0
    return min(1.0, count * cosine / ((count - 1) * cosine + 1))


def stock(anchor: Weights, models: Sequence[Weights], ratios: dict[str, float] | None = None) -> Stream:
    """The weights of a model stock, tensor by tensor; each tensor has a ratio of its own, as in the paper.

    The models are read side by side, one tensor at a time, so memory does not grow with their number.

    Args:
        anchor: What all were fine-tuned from.
        models: At least two.
        ratios: Filled with the ratio of every floating tensor that moved, where it is given.

    Yields:
        Tensors in the models' own dtypes; what is not floating comes from the first model.

    Raises:
        CheckpointError: A model cannot be read, or is of another architecture.
        ValueError: Fewer than two models.
    """
    if len(models) < 2:
        raise ValueError(f"a model stock needs at least 2 models, got {len(models)}")
    with ExitStack() as stack:
        start = stack.enter_context(open_weights(anchor))
        opened = [stack.enter_context(open_weights(model)) for model in models]
        for source in opened:
            source.require_like(start.dtypes(), start.shapes())
        for name in opened[0].names:
            kept = opened[0].tensor(name)
            if not kept.is_floating_point():
                yield name, kept.clone()
                continue
            wide = torch.promote_types(kept.dtype, torch.float32)
            origin = start.tensor(name).to(wide)
            moved = (source.tensor(name).to(wide) - origin for source in opened)
            mean_move, cosine = mean_and_cosine(moved, len(opened))
            ratio = 1.0 if cosine is None else stock_ratio(cosine, len(opened))
            if ratios is not None and cosine is not None:
                ratios[name] = ratio
            yield name, (origin + ratio * mean_move).to(kept.dtype)


def mean_and_cosine(moves: Iterable[Tensor], count: int) -> tuple[Tensor, float | None]:
    """The mean of some vectors and the mean cosine of their pairs, reading each once.

    The unit vectors u of k vectors give it without any pair: `|sum u|^2 = k + k (k - 1) cos`.

    Args:
        moves: `count` floating tensors of one shape, one at a time.
        count: k, at least 2.

    Returns:
        Their mean, and the cosine; None if one of them is zero, so that it has no direction.
    """
    total: Tensor | None = None
    units: Tensor | None = None
    has_still = False
    for move in moves:
        length = torch.linalg.vector_norm(move, dtype=torch.float64).item()
        has_still |= length == 0 or not math.isfinite(length)
        unit = move / length if length else torch.zeros_like(move)
        total = move if total is None else total + move
        units = unit if units is None else units + unit
    assert total is not None
    assert units is not None
    if has_still:
        return total / count, None
    squared = torch.linalg.vector_norm(units, dtype=torch.float64).item() ** 2
    return total / count, min(1.0, max(-1.0, (squared - count) / (count * (count - 1))))
