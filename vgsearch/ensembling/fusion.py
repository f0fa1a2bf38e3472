"""Stored descriptors of several members as one matrix: what an `EnsembleNetwork` would have given."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vgsearch.models.ensemble_network import Fusion, fused_length, normalised_weights

_BLOCK_ROWS = 2048


def fuse_descriptors(
    members: Sequence[NDArray[np.float32]], fusion: Fusion, weights: Sequence[float]
) -> NDArray[np.float32]:
    """Fuse the members' descriptors of the same images.

    Args:
        members: float32 (n, d_i) each, rows of norm 1; may be memory maps, which are read block by block.
        fusion: see `EnsembleNetwork`.
        weights: one for each member, positive; scaled to sum 1.

    Returns:
        float32 (n, d), rows of norm 1.

    Raises:
        ValueError: numbers of images that differ, weights that do not fit, or unequal lengths with `mean`.
    """
    scaled = normalised_weights(weights, len(members))
    if len({len(member) for member in members}) != 1:
        raise ValueError(f"members must describe the same images, got {[len(member) for member in members]}")
    length = fused_length([member.shape[1] for member in members], fusion)
    assert length is not None  # every member tells its length
    fused = np.empty((len(members[0]), length), dtype=np.float32)
    for start in range(0, len(fused), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        if fusion == "mean":
            total = np.float32(scaled[0]) * members[0][rows]
            for member, weight in zip(members[1:], scaled[1:], strict=True):
                total += np.float32(weight) * member[rows]
            fused[rows] = normalised(total)
            continue
        column = 0
        for member, weight in zip(members, scaled, strict=True):
            columns = slice(column, column + member.shape[1])
            np.multiply(member[rows], np.float32(math.sqrt(weight)), out=fused[rows, columns])
            column += member.shape[1]
    return fused


def normalised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to norm 1 in place; a zero row stays one, as in `torch.nn.functional.normalize`."""
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    rows /= np.maximum(norms, np.float32(1e-12))[:, None]
    return rows
