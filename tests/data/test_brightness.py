from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vgsearch.data.brightness import histogram_lines, otsu_threshold, separation, upper_half_luminance
from vgsearch.data.index import index_folder


def variance_between(values: list[float], level: int) -> float:
    """Of the two sides of a level, value by value."""
    dark = [int(value) for value in values if int(value) <= level]
    bright = [int(value) for value in values if int(value) > level]
    if not dark or not bright:
        return 0.0
    means = sum(dark) / len(dark), sum(bright) / len(bright)
    return len(dark) * len(bright) * (means[0] - means[1]) ** 2


@given(st.lists(st.floats(0, 255), min_size=1, max_size=40))
def test_otsu_finds_what_a_plain_loop_finds(values: list[float]) -> None:
    threshold = otsu_threshold(np.array(values))
    best = max(variance_between(values, level) for level in range(255))
    if best == 0:
        assert np.isnan(threshold)
    else:
        assert variance_between(values, int(np.ceil(threshold)) - 1) == pytest.approx(best, rel=1e-9)


def test_a_gap_is_parted_in_its_middle() -> None:
    assert otsu_threshold(np.array([10.0, 20.0, 20.0, 220.0, 230.0])) == pytest.approx(120.5, abs=1)


def test_separation_is_the_share_of_variance_between() -> None:
    assert separation(np.array([10.0, 10.0, 200.0, 200.0]), 100) == pytest.approx(1)
    assert separation(np.arange(256.0), 128) == pytest.approx(0.75, abs=1e-4)
    assert separation(np.array([1.0, 2.0]), 100) == 0


def test_luminance_is_of_the_upper_half(tmp_path: Path) -> None:
    pixels = np.zeros((10, 6, 3), np.uint8)
    pixels[:5] = (200, 100, 50)
    pixels[5:] = 255  # street lamps below
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(np.full((1, 3), 80, np.uint8)).save(tmp_path / "b.png")
    index = index_folder(tmp_path, cache_dir=tmp_path / "cache")
    expected = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert upper_half_luminance(index) == pytest.approx([expected, 80], abs=0.01)


def test_the_histogram_counts_all_and_is_narrow() -> None:
    values = np.array([0.0, 15.9, 16.0, 255.0] + [100.0] * 100)
    lines = histogram_lines(values, 50)
    assert [int(line[8:14]) for line in lines] == [2, 1, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if "threshold" in line] == [lines[3]]
