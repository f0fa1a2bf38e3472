"""What two networks have in common before either is scored: their start, their statistics, their distance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from vgsearch.training.initial_state import InitialState

Weights = Mapping[str, Tensor]

Start = Literal["same", "same backbone", "different", "unknown"]

_MEAN = "running_mean"
_VAR = "running_var"
_EPS = 1e-5  # BatchNorm's own: a channel that never varies is not infinitely far from another


@dataclass(frozen=True)
class BatchNormDistance:
    """How far the running statistics of two networks' BatchNorm layers are apart.

    Attributes:
        num_layers: BatchNorm layers that keep statistics.
        num_moved: of them, those whose statistics differ at all (frozen ones do not).
        mean_shift: distance of the means in standard deviations: for each layer the root mean square over its
            channels of (m1 - m2) / sqrt((v1 + v2) / 2); of the layers that moved, the median; 0 without any.
        spread_change: likewise of |ln(s1 / s2)|, s being standard deviations: 0.1 is about 10 percent.
        farthest: the layer with the largest shift; "" if none moved.
        farthest_shift: its shift.
    """

    num_layers: int
    num_moved: int
    mean_shift: float
    spread_change: float
    farthest: str
    farthest_shift: float


@dataclass(frozen=True)
class PairFacts:
    """Two networks of one architecture, compared tensor by tensor.

    Attributes:
        start: whether they were trained from the same weights.
        distance: of all learned weights, relative: |a - b| over the mean of |a| and |b|; statistics and
            integer buffers do not count. Independent random directions are at 1.41.
        backbone_distance: of the backbone's alone.
        linear_distance: of the linear layer's alone.
        batch_norm: of the running statistics.
        differing_integers: names of the integer buffers that differ; a soup keeps its first ingredient's.
    """

    start: Start
    distance: float
    backbone_distance: float
    linear_distance: float
    batch_norm: BatchNormDistance
    differing_integers: tuple[str, ...]


def compare_starts(first: InitialState | None, second: InitialState | None) -> Start:
    """Whether two trials began with the same weights; "unknown" where a record says nothing."""
    if first is None or second is None:
        return "unknown"
    if first.network == second.network:
        return "same"
    return "same backbone" if first.backbone == second.backbone else "different"


def compare_pair(first: Weights, second: Weights, start: Start) -> PairFacts:
    """Compare the weights of two networks.

    Args:
        first: state dict of a `DescriptorNetwork`.
        second: of another with the same tensors.
        start: what `compare_starts` says of the two.

    Raises:
        ValueError: the two have other tensors.
    """
    if {name: tensor.shape for name, tensor in first.items()} != {n: t.shape for n, t in second.items()}:
        raise ValueError("two networks of one architecture have the same tensors, but these have not")
    learned = [
        name for name, tensor in first.items() if tensor.is_floating_point() and not _is_statistic(name)
    ]
    return PairFacts(
        start=start,
        distance=_relative_distance(first, second, learned),
        backbone_distance=_relative_distance(first, second, _under("backbone.", learned)),
        linear_distance=_relative_distance(first, second, _under("linear.", learned)),
        batch_norm=_batch_norm_distance(first, second),
        differing_integers=tuple(
            name
            for name, tensor in first.items()
            if not tensor.is_floating_point() and not torch.equal(tensor, second[name])
        ),
    )


def choose_pairs(count: int, top_k: int, *, all_pairs: bool = False) -> list[tuple[int, int]]:
    """Which of `count` models, best first, are compared: the best with each of the `top_k` after it.

    Args:
        count: at least 2.
        top_k: at least 1; fewer where there are not so many.
        all_pairs: these `top_k` among each other, too.

    Returns:
        pairs of indices, the better one first.

    Raises:
        ValueError: too few.
    """
    if count < 2 or top_k < 1:
        raise ValueError(f"a pair needs two models and top_k >= 1, got {count} and {top_k}")
    members = range(min(count, top_k + 1))
    return list(combinations(members, 2)) if all_pairs else [(0, index) for index in members[1:]]


def _relative_distance(first: Weights, second: Weights, names: Iterable[str]) -> float:
    """|a - b| / ((|a| + |b|) / 2) over the named tensors as one vector; 0 where both are 0."""
    apart = ours = theirs = 0.0
    for name in names:
        a, b = first[name].double(), second[name].double()
        apart += float((a - b).square().sum())
        ours += float(a.square().sum())
        theirs += float(b.square().sum())
    size = (ours**0.5 + theirs**0.5) / 2
    return apart**0.5 / size if size else 0.0


def _batch_norm_distance(first: Weights, second: Weights) -> BatchNormDistance:
    layers = [name.removesuffix(_MEAN) for name in first if name.rpartition(".")[2] == _MEAN]
    shifts: dict[str, float] = {}
    changes = []
    for layer in layers:
        (mean_1, var_1), (mean_2, var_2) = (
            (weights[layer + _MEAN].double(), weights[layer + _VAR].double()) for weights in (first, second)
        )
        if torch.equal(mean_1, mean_2) and torch.equal(var_1, var_2):
            continue
        shift = (mean_1 - mean_2) / ((var_1 + var_2) / 2 + _EPS).sqrt()
        change = ((var_1 + _EPS) / (var_2 + _EPS)).log() / 2
        shifts[layer.rstrip(".")] = float(shift.square().mean().sqrt())
        changes.append(float(change.square().mean().sqrt()))
    farthest = max(shifts, key=lambda layer: shifts[layer], default="")
    return BatchNormDistance(
        num_layers=len(layers),
        num_moved=len(shifts),
        mean_shift=_median(list(shifts.values())),
        spread_change=_median(changes),
        farthest=farthest,
        farthest_shift=shifts.get(farthest, 0.0),
    )


def _median(values: list[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).quantile(0.5)) if values else 0.0


def _is_statistic(name: str) -> bool:
    return name.rpartition(".")[2] in (_MEAN, _VAR)


def _under(prefix: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(prefix)]
