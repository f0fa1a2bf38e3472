from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.data.demo_hash import floor_int, hash_keys, unit, value_noise

words = st.integers(-(2**31), 2**31 - 1)


def loop_hash(*keys: int) -> int:
    mixed = 0x9E3779B9
    for key in keys:
        mixed = ((mixed ^ (key % 2**32)) * 0x85EBCA6B) % 2**32
        mixed ^= mixed >> 13
        mixed = (mixed * 0xC2B2AE35) % 2**32
        mixed ^= mixed >> 16
    return mixed


@given(st.lists(words, min_size=1, max_size=4))
def test_agrees_with_a_loop_over_python_integers(keys: list[int]) -> None:
    arrays = [np.array([key], np.int32) for key in keys]
    assert hash_keys(*arrays).tolist() == [loop_hash(*keys)]
    assert hash_keys(*arrays, 7).tolist() == [loop_hash(*keys, 7)]


def test_broadcasts_and_leaves_its_keys_alone() -> None:
    rows, columns = np.arange(3, dtype=np.int32)[:, None], np.arange(4, dtype=np.uint32)
    hashes = hash_keys(columns, rows)
    assert hashes.shape == (3, 4)
    assert hashes[2, 1] == loop_hash(1, 2)
    assert columns.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("field", range(4))
def test_fields_are_uniform_and_independent(field: int) -> None:
    hashes = hash_keys(np.arange(40_000))
    values = unit(hashes, field)
    assert values.dtype == np.float32
    assert values.min() == 0
    assert values.max() < 1
    assert np.histogram(values, 8, (0, 1))[0] == pytest.approx(5_000, rel=0.06)
    assert abs(np.corrcoef(values, unit(hashes, (field + 1) % 4))[0, 1]) < 0.03


def test_neighbouring_keys_are_unrelated() -> None:
    values = unit(hash_keys(np.arange(200)[:, None], np.arange(200)[None]))
    assert abs(np.corrcoef(values[1:].ravel(), values[:-1].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1]) < 0.03


def test_noise_meets_its_lattice_and_is_continuous() -> None:
    whole = np.arange(-3, 4, dtype=np.float32)
    lattice = unit(hash_keys(floor_int(whole), floor_int(whole), 5))
    assert value_noise(whole, whole, 5) == pytest.approx(lattice)
    x = np.linspace(-2, 3, 5_000, dtype=np.float32)
    noise = value_noise(x, np.full_like(x, 0.3), 5)
    assert np.abs(np.diff(noise)).max() < 0.01
    assert 0 <= noise.min() < noise.max() < 1
