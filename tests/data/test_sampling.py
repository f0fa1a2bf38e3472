"""Shuffled streams: passes, dropped remainders and reproducibility."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.data.draws import Salt
from vgsearch.data.sampling import MixedStream, ShuffledStream, even_shares


def stream(
    num_items: int, batch_size: int, *, drop_last: bool, seed: int = 0, epoch: int = 0
) -> ShuffledStream:
    return ShuffledStream(
        num_items, batch_size, seed=seed, epoch=epoch, salt=Salt.CLASS_ORDER, drop_last=drop_last
    )


@settings(deadline=None, max_examples=30)
@given(batch_size=st.integers(1, 9), extra=st.integers(0, 30))
def test_dropping_the_last_batch(batch_size: int, extra: int) -> None:
    num_items = batch_size + extra
    batches_per_pass = num_items // batch_size
    shuffled = stream(num_items, batch_size, drop_last=True)
    for first in (0, batches_per_pass, 2 * batches_per_pass):
        items = np.concatenate([shuffled.batch(first + i) for i in range(batches_per_pass)])
        assert len(np.unique(items)) == len(items) == batches_per_pass * batch_size
        assert items.min() >= 0
        assert items.max() < num_items


@settings(deadline=None, max_examples=30)
@given(num_items=st.integers(1, 20), batch_size=st.integers(1, 50))
def test_keeping_the_last_batch(num_items: int, batch_size: int) -> None:
    shuffled = stream(num_items, batch_size, drop_last=False)
    count = 3 * num_items // batch_size + 1
    items = np.concatenate([shuffled.batch(i) for i in range(count)])
    for start in range(0, 3 * num_items, num_items):
        assert sorted(items[start : start + num_items].tolist()) == list(range(num_items))


def test_batches_may_be_asked_for_in_any_order() -> None:
    forwards = stream(20, 6, drop_last=True)
    expected = [forwards.batch(i) for i in range(12)]
    backwards = stream(20, 6, drop_last=True)
    for i in reversed(range(12)):
        np.testing.assert_array_equal(backwards.batch(i), expected[i])


def test_passes_epochs_and_seeds_differ() -> None:
    base = stream(100, 100, drop_last=True)
    orders = [base.batch(0), base.batch(1)]
    orders += [
        stream(100, 100, drop_last=True, seed=1).batch(0),
        stream(100, 100, drop_last=True, epoch=1).batch(0),
    ]
    for i, order in enumerate(orders):
        for other in orders[:i]:
            assert (order == other).mean() < 0.1


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5)), min_size=1, max_size=4))
def test_a_mixture_has_each_parts_batches_side_by_side(parts: list[tuple[int, int]]) -> None:
    streams = [stream(size, share, drop_last=False) for size, share in parts]
    mixed = MixedStream(streams, [size for size, _ in parts])
    width = sum(share for _, share in parts)
    for number in (0, 1, 7):
        expected = []
        for i, one in enumerate(streams):
            expected += [sum(size for size, _ in parts[:i]) + item for item in one.batch(number).tolist()]
        assert mixed.batch(number).tolist() == expected
        assert mixed.positions(number).tolist() == list(range(number * width, (number + 1) * width))


def test_parts_of_a_mixture_have_orders_of_their_own() -> None:
    orders = [
        ShuffledStream(50, 50, seed=0, epoch=0, salt=Salt.TARGET_ORDER, drop_last=False, part=part).batch(
            number
        )
        for part in range(3)
        for number in range(2)
    ]
    for i, order in enumerate(orders):
        for other in orders[:i]:
            assert (order == other).mean() < 0.2


@given(st.integers(0, 100), st.integers(1, 9))
def test_even_shares(total: int, parts: int) -> None:
    shares = even_shares(total, parts)
    assert sum(shares) == total
    assert len(shares) == parts
    assert shares == sorted(shares, reverse=True)
    assert shares[0] - shares[-1] <= 1


def test_too_few_items() -> None:
    with pytest.raises(ValueError, match="3 items don't fill a batch of 4"):
        stream(3, 4, drop_last=True)
    with pytest.raises(ValueError, match="0 items"):
        stream(0, 4, drop_last=False)
