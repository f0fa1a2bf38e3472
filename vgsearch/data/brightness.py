"""Dark photos told from bright ones, where nothing else says which were taken at night."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from vgsearch.data.index import ImageIndex

Floats = NDArray[np.float64]

_REC_601 = (0.299, 0.587, 0.114)
_MAX_THREADS = 8
NUM_LEVELS = 256


def upper_half_luminance(index: ImageIndex) -> Floats:
    """Mean luminance of the upper half of each image, where the sky is if there is any.

    Returns:
        float64 (n,), Rec. 601 luma, 0 to 255.

    Raises:
        ImageError: an image cannot be read.
    """
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        means = list(pool.map(lambda i: _upper_half_mean(index, i), range(len(index))))
    luminance: Floats = np.asarray(means, np.float64) @ np.asarray(_REC_601)
    return luminance


def _upper_half_mean(index: ImageIndex, i: int) -> Floats:
    """Mean red, green and blue, float64 (3,)."""
    pixels = index.read(i).numpy()
    upper: Floats = pixels[:, : max(1, pixels.shape[1] // 2)].mean(axis=(1, 2), dtype=np.float64)
    return upper


def separation(values: Floats, threshold: float) -> float:
    """Which part of the variance lies between the sides of a threshold, 0 to 1 (Otsu's eta).

    Evenly spread values give 0.75, two heaps apart nearly 1.
    """
    dark = values < threshold
    share = float(dark.mean())
    if share in (0.0, 1.0):
        return 0.0
    between = share * (1 - share) * (values[dark].mean() - values[~dark].mean()) ** 2
    return float(between / values.var())


def otsu_threshold(values: Floats) -> float:
    """The level that parts values best, by the variance between both sides (Otsu, IEEE TSMC 1979).

    Where several levels do equally well (a gap between two heaps), the middle of them.

    Args:
        values: float64 (n,), 0 to 255; they are counted in 256 levels.

    Returns:
        A threshold t, at the upper border of a level: values below it are on the dark side. NaN if all values
        share one level.
    """
    counts = np.bincount(np.clip(values, 0, NUM_LEVELS - 1).astype(np.int64), minlength=NUM_LEVELS)
    below = np.cumsum(counts)[:-1]
    above = len(values) - below
    weighted = np.cumsum(counts * np.arange(NUM_LEVELS))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_below, mean_above = weighted[:-1] / below, (weighted[-1] - weighted[:-1]) / above
        between = below * above * (mean_below - mean_above) ** 2
    between = np.where((below > 0) & (above > 0), between, -1.0)
    best = float(between.max())
    if best <= 0:
        return float("nan")
    first = int(np.argmax(between >= best * (1 - 1e-12)))
    beyond = np.flatnonzero(between[first:] < best * (1 - 1e-12))
    last = first + int(beyond[0]) - 1 if beyond.size else len(between) - 1
    return (first + last) / 2 + 1


def histogram_lines(values: Floats, threshold: float, *, bars: int = 16, width: int = 40) -> list[str]:
    """A histogram to read in a terminal, one line for each range of luminance, at most 64 columns wide."""
    edges = np.linspace(0, NUM_LEVELS, bars + 1)
    counts = np.histogram(values, edges)[0]
    longest = max(1, int(counts.max()))
    lines = []
    for low, high, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True):
        parts = [f"{low:>4.0f}-{high - 1:<3.0f} {count:>5}", "#" * round(width * count / longest)]
        parts += ["< threshold"] if low < threshold <= high else []
        lines.append(" ".join(part for part in parts if part))
    return lines
