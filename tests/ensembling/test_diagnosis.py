from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from vgsearch.config.trial import TrialConfig
from vgsearch.ensembling.diagnosis import choose_pairs, compare_pair, compare_starts
from vgsearch.models.network import build_network
from vgsearch.training.initial_state import InitialState


@cache
def built(seed: int) -> dict[str, Tensor]:
    trial = TrialConfig(backbone="test_resnet", weights="none", descriptor_dim=16, image_px=64, seed=seed)
    return build_network(trial).state_dict()


def weights(seed: int = 0) -> dict[str, Tensor]:
    """A network's weights, to be spoilt."""
    return {name: tensor.clone() for name, tensor in built(seed).items()}


def test_a_network_and_itself() -> None:
    facts = compare_pair(weights(), weights(), "same")
    assert (facts.distance, facts.backbone_distance, facts.linear_distance) == (0, 0, 0)
    assert (facts.batch_norm.num_moved, facts.batch_norm.mean_shift) == (0, 0)
    assert facts.batch_norm.num_layers == sum(name.endswith("running_mean") for name in weights()) > 0
    assert facts.differing_integers == ()
    assert facts.start == "same"


def test_distances_by_hand() -> None:
    first, second = weights(0), weights(1)
    # Statistics and counters are no weights: they must not count.
    for name, tensor in second.items():
        if name.endswith(("running_mean", "running_var")):
            tensor += 5
        if name.endswith("num_batches_tracked"):
            tensor += 3
    facts = compare_pair(first, second, "different")

    def by_hand(prefix: str) -> float:
        names = [n for n in first if n.startswith(prefix) and "running" not in n and "num_batches" not in n]
        a = torch.cat([first[name].double().flatten() for name in names])
        b = torch.cat([second[name].double().flatten() for name in names])
        return float((a - b).norm() / ((a.norm() + b.norm()) / 2))

    assert facts.distance == pytest.approx(by_hand(""))
    assert facts.backbone_distance == pytest.approx(by_hand("backbone."))
    assert facts.linear_distance == pytest.approx(by_hand("linear."))
    # Two linear layers that were drawn apart: random directions.
    assert facts.linear_distance == pytest.approx(math.sqrt(2), abs=0.1)
    assert facts.differing_integers == tuple(n for n in first if n.endswith("num_batches_tracked"))


def test_statistics_in_standard_deviations() -> None:
    first, second = weights(), weights()
    layers = [name.removesuffix(".running_mean") for name in first if name.endswith("running_mean")]
    for layer in layers:
        for state in (first, second):
            state[f"{layer}.running_var"].fill_(4.0)
    for layer, shift in zip(layers[:3], (1.0, 3.0, 2.0), strict=True):
        second[f"{layer}.running_mean"] += 2 * shift
    moved = compare_pair(first, second, "same").batch_norm
    assert moved.num_moved == 3
    assert moved.mean_shift == pytest.approx(2.0, rel=1e-4)
    assert (moved.farthest, moved.farthest_shift) == (layers[1], pytest.approx(3.0, rel=1e-4))
    assert moved.spread_change == 0
    for layer in layers:
        second[f"{layer}.running_mean"].copy_(first[f"{layer}.running_mean"])
        second[f"{layer}.running_var"] *= math.e**2
    wider = compare_pair(first, second, "same").batch_norm
    assert wider.num_moved == len(layers)
    assert wider.spread_change == pytest.approx(1.0, rel=1e-4)
    assert compare_pair(second, first, "same").batch_norm.spread_change == pytest.approx(wider.spread_change)


def test_other_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="same tensors"):
        compare_pair(weights(), {name: t for name, t in weights().items() if "linear" not in name}, "same")


@pytest.mark.parametrize(
    ("first", "second", "start"),
    [
        (InitialState("a", "b"), InitialState("a", "b"), "same"),
        (InitialState("a", "b"), InitialState("c", "b"), "same backbone"),
        (InitialState("a", "b"), InitialState("c", "d"), "different"),
        (InitialState("a", "b"), None, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_starts(first: InitialState | None, second: InitialState | None, start: str) -> None:
    assert compare_starts(first, second) == start
    assert compare_starts(second, first) == start


def test_pairs() -> None:
    assert choose_pairs(5, 3) == [(0, 1), (0, 2), (0, 3)]
    assert choose_pairs(2, 3) == [(0, 1)]
    every = choose_pairs(9, 3, all_pairs=True)
    assert sorted(every) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert all(a < b for a, b in every)
    assert all(first != second for first, second in pairwise(every))
    for count, top_k in ((1, 3), (3, 0)):
        with pytest.raises(ValueError, match="two models"):
            choose_pairs(count, top_k)
