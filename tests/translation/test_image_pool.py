"""The pool of past translations: who comes out for whom."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vgsearch.translation.image_pool import ImagePool


def images(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 2, 2)


def values(batch: torch.Tensor) -> list[float]:
    return batch[:, 0, 0, 0].tolist()


def test_exchange():
    pool = ImagePool(2)
    keep, swap_last = [0.5, 0.9], [0.51, 0.9]
    assert values(pool.exchange(images(1, 2), np.array([swap_last, swap_last]))) == [1, 2]
    assert values(pool.exchange(images(3), np.array([keep]))) == [3]
    assert values(pool.exchange(images(4, 5, 6), np.array([swap_last, [0.9, 0.1], swap_last]))) == [2, 1, 4]
    state = pool.state_dict()
    again = ImagePool(2)
    again.load_state_dict(state, torch.device("cpu"))
    assert values(again.exchange(images(7, 8), np.array([swap_last, [0.9, 0.1]]))) == [6, 5]
    with pytest.raises(ValueError, match="pool of 1 cannot hold 2"):
        ImagePool(1).load_state_dict(state, torch.device("cpu"))


def test_no_pool():
    given = images(1, 2)
    assert torch.equal(ImagePool(0).exchange(given, np.full((2, 2), 0.99)), given)


def test_no_gradient_goes_through():
    given = images(1.0).clone().requires_grad_()
    assert not ImagePool(3).exchange(given, np.zeros((1, 2))).requires_grad
