"""Model Stock's ratio by hand, and its weights against a plain computation from the paper."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.ensembling.model_stock import mean_and_cosine, stock, stock_ratio


@pytest.mark.parametrize(
    ("cosine", "count", "ratio"),
    [
        (1.0, 2, 1.0),  # all agree: the mean
        (0.0, 2, 0.0),  # at right angles: the anchor
        (0.5, 2, 2 / 3),  # 60 degrees: 2 * 0.5 / 1.5
        (0.5, 3, 3 / 4),  # 3 * 0.5 / (1 + 2 * 0.5)
        (0.25, 5, 5 / 8),  # 1.25 / 2
        (-0.3, 2, 0.0),
    ],
)
def test_the_ratio_by_hand(cosine, count, ratio):
    assert stock_ratio(cosine, count) == pytest.approx(ratio)


@given(st.floats(-1, 1), st.integers(2, 50))
def test_the_ratio_lies_between_anchor_and_mean_and_grows_with_agreement(cosine, count):
    assert 0 <= stock_ratio(cosine, count) <= 1
    assert stock_ratio(min(1.0, cosine + 0.1), count) >= stock_ratio(cosine, count) - 1e-12


def test_bad_arguments():
    with pytest.raises(ValueError, match="at least 2"):
        stock_ratio(0.5, 1)
    with pytest.raises(ValueError, match="cosine"):
        stock_ratio(1.5, 2)
    with pytest.raises(ValueError, match="at least 2"):
        list(stock({"a": torch.zeros(1)}, [{"a": torch.zeros(1)}]))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(0, 1000))
def test_the_mean_cosine_is_that_of_all_pairs(count, seed):
    moves = torch.randn(count, 12, generator=torch.Generator().manual_seed(seed)).double()
    mean, cosine = mean_and_cosine(iter(moves), count)
    pairs = [torch.cosine_similarity(a, b, dim=0).item() for a, b in itertools.combinations(moves, 2)]
    torch.testing.assert_close(mean, moves.mean(dim=0))
    assert cosine == pytest.approx(sum(pairs) / len(pairs), abs=1e-9)


def test_weights_are_those_of_the_paper_tensor_by_tensor():
    generator = torch.Generator().manual_seed(0)
    anchor = {
        "w": torch.randn(4, 6, generator=generator),
        "b": torch.randn(5, generator=generator),
        "frozen": torch.randn(3, generator=generator),
        "count": torch.tensor(7),
    }
    common = {name: torch.randn(anchor[name].shape, generator=generator) for name in ("w", "b")}
    models = []
    for k in range(3):
        model = {name: tensor.clone() for name, tensor in anchor.items()}
        for name in ("w", "b"):
            model[name] += 0.1 * common[name] + 0.1 * torch.randn(anchor[name].shape, generator=generator)
        model["count"] = torch.tensor(10 + k)
        models.append(model)
    ratios = {}
    ours = dict(stock(anchor, models, ratios))
    for name in ("w", "b"):
        moves = [(model[name] - anchor[name]).double().flatten() for model in models]
        cosines = [torch.cosine_similarity(a, b, dim=0) for a, b in itertools.combinations(moves, 2)]
        cosine = float(sum(cosines) / len(cosines))
        t = 3 * cosine / (1 + 2 * cosine)
        assert 0 < t < 1
        assert ratios[name] == pytest.approx(t, abs=1e-5)
        mean = sum(model[name].double() for model in models) / 3
        torch.testing.assert_close(
            ours[name].double(), t * mean + (1 - t) * anchor[name].double(), atol=1e-6, rtol=1e-5
        )
    assert torch.equal(ours["frozen"], anchor["frozen"])  # nobody moved it
    assert "frozen" not in ratios
    assert ours["count"].item() == 10


def test_two_models_at_right_angles_leave_the_anchor():
    anchor = {"w": torch.tensor([1.0, 1.0])}
    ours = dict(stock(anchor, [{"w": torch.tensor([2.0, 1.0])}, {"w": torch.tensor([1.0, 3.0])}]))
    assert torch.equal(ours["w"], anchor["w"])
