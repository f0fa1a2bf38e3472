"""Counter-based draws against a plain SplitMix64, and their statistics."""

from __future__ import annotations

import numpy as np
from scipy import stats

from vgsearch.data.draws import Salt, random_bits, random_permutation, random_uniforms

MASK = 2**64 - 1
GAMMA = 0x9E3779B97F4A7C15


def mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def plain_bits(key: tuple[int, ...], index: int, count: int) -> list[int]:
    state = 0
    for word in key:
        state = mix(((state + GAMMA) & MASK) ^ word)
    start = mix(((state + GAMMA) & MASK) ^ index)
    words = []
    for _ in range(count):  # SplitMix64 as published: add gamma, finalise
        start = (start + GAMMA) & MASK
        words.append(mix(start))
    return words


def test_finaliser_is_splitmix64() -> None:
    # The first outputs of SplitMix64 seeded with 1234567, as given by its authors' reference code.
    state, words = 1234567, []
    for _ in range(3):
        state = (state + GAMMA) & MASK
        words.append(mix(state))
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_bits_equal_a_plain_loop() -> None:
    index = np.array([0, 1, 7, 2**40])
    words = random_bits((3, 11, 5), index, 6)
    assert words.shape == (4, 6)
    assert words.tolist() == [plain_bits((3, 11, 5), int(i), 6) for i in index]


def test_draws_do_not_depend_on_batch_layout() -> None:
    index = np.arange(40)
    whole = random_uniforms((1, 2, 3), index, 5)
    parts = np.concatenate([random_uniforms((1, 2, 3), part, 5) for part in np.split(index, [3, 4, 20])])
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(random_uniforms((1, 2, 3), index[order], 5), whole[order])
    np.testing.assert_array_equal(random_uniforms((1, 2, 3), index, 2), whole[:, :2])


def test_uniforms_are_uniform_and_uncorrelated() -> None:
    keys = [(Salt.AUGMENT, seed, epoch) for seed in (0, 1, 2, 2**31 - 1) for epoch in (0, 1, 2, 49)]
    p_values, correlations = [], []
    for key in keys:
        uniforms = random_uniforms(key, np.arange(5000), 4)
        assert uniforms.min() >= 0
        assert uniforms.max() < 1
        for lane in range(4):
            p_values.append(stats.kstest(uniforms[:, lane], "uniform").pvalue)
            correlations.append(np.corrcoef(uniforms[:-1, lane], uniforms[1:, lane])[0, 1])
            correlations.append(np.corrcoef(uniforms[:, lane], uniforms[:, lane - 1])[0, 1])
    # Of a good generator the p-values are themselves uniform, and correlations are normal with 1 / sqrt(n).
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3
    assert np.std(correlations) * np.sqrt(5000) < 1.25
    assert np.abs(correlations).max() * np.sqrt(5000) < 4.5


def test_seeds_epochs_and_salts_give_unrelated_streams() -> None:
    index = np.arange(10_000)
    keys = [(3, 0, 0), (3, 0, 1), (3, 1, 0), (4, 0, 0), (1, 0, 3)]
    columns = np.stack([random_uniforms(key, index, 1)[:, 0] for key in keys])
    correlation = np.corrcoef(columns) - np.eye(len(keys))
    assert np.abs(correlation).max() < 4 / np.sqrt(10_000)
    # The same draw for consecutive epochs and seeds is uniform too.
    across = [
        random_uniforms((3, seed, epoch), index[:1], 1)[0, 0] for seed in range(40) for epoch in range(40)
    ]
    assert stats.kstest(across, "uniform").pvalue > 1e-3


def test_permutation_is_a_fair_shuffle() -> None:
    assert sorted(random_permutation((1, 0, 0, 0), 1000).tolist()) == list(range(1000))
    first = [random_permutation((1, 0, 0, p), 6)[0] for p in range(3000)]
    assert stats.chisquare(np.bincount(first, minlength=6)).pvalue > 1e-3
    assert random_permutation((1, 0, 0, 0), 0).shape == (0,)
