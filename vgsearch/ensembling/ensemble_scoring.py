"""Ranks of the first positives from one float32 matrix product: how a candidate ensemble is scored.

No neighbour list is made. A query's first positive stands behind as many images as are more similar to the
query than the most similar positive, so a maximum over positives and one over the rest answer recall at 1,
and only the queries that miss it have to count. This is for choosing among candidates: what is reported goes
through `retrieval.scoring`, which solves near-ties in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.ensembling.positives import Positives
from vgsearch.retrieval.recall import DEPTH

NEVER = -4.0
"""Below every similarity."""

BLOCK_ROWS = 1024


def first_hit_ranks(
    database: NDArray[np.float32],
    queries: NDArray[np.float32],
    positives: Positives,
    *,
    device: torch.device | str = "cpu",
    depth: int = DEPTH,
) -> NDArray[np.int32]:
    """Rank of each query's first positive by similarity, equal similarities by row of the database.

    Args:
        database: float32 (n, d), rows of norm 1.
        queries: float32 (q, d), rows of norm 1.
        positives: of these queries.
        device: where to multiply.
        depth: ranks from here on are not told apart.

    Returns:
        int32 (q,), 0-based, -1 from `depth` on and where there is no positive: as
        `RetrievalResult.first_hit_rank`, up to the float32 rounding of near-ties.
    """
    ranks = np.full(len(queries), -1, dtype=np.int32)
    transposed = to_device(database, device).T
    with full_float32(), torch.inference_mode():
        buffer = torch.empty((min(BLOCK_ROWS, len(queries)), len(database)), device=transposed.device)
        for start in range(0, len(queries), BLOCK_ROWS):
            rows = to_device(queries[start : start + BLOCK_ROWS], device)
            similarities = torch.mm(rows, transposed, out=buffer[: len(rows)])
            ranks[start : start + len(rows)] = block_ranks(similarities, positives, start, depth)
    return ranks


def block_ranks(similarities: Tensor, positives: Positives, start: int, depth: int) -> NDArray[np.int32]:
    """Ranks for the queries from `start` on, from their similarities (b, n), which are overwritten."""
    ranks = np.full(len(similarities), -1, dtype=np.int32)
    own = positives.of(np.arange(start, start + len(similarities)))
    asked = own.answerable
    if len(asked) == 0:
        return ranks
    _, flat = own.block(0, own.num_queries)
    where = torch.from_numpy(flat).to(similarities.device)
    flattened = similarities.view(-1)
    of_positives = flattened[where].cpu().numpy()
    flattened.index_fill_(0, where, NEVER)
    best = np.maximum.reduceat(of_positives, own.starts[asked])
    rival = similarities.amax(dim=1).cpu().numpy()[asked]
    ranks[asked[rival < best]] = 0
    # At depth 1 only a draw is worth counting: whoever has a nearer rival is out.
    behind = np.flatnonzero(rival == best if depth == 1 else rival >= best)
    if len(behind):
        others = similarities[torch.from_numpy(asked[behind]).to(similarities.device)]
        bar = torch.from_numpy(best[behind]).to(similarities.device)[:, None]
        ahead = (others > bar).sum(dim=1, dtype=torch.int32).cpu().numpy()
        equal = others == bar
        for i in np.flatnonzero(equal.sum(dim=1, dtype=torch.int32).cpu().numpy()):
            mine = slice(own.starts[asked[behind[i]]], own.starts[asked[behind[i]] + 1])
            first = own.ids[mine][of_positives[mine] == best[behind[i]]].min()
            ahead[i] += int(equal[i, :first].sum())
        ranks[asked[behind]] = np.where(ahead < depth, ahead, -1)
    return ranks


def to_device(rows: NDArray[np.float32], device: torch.device | str) -> Tensor:
    """Rows as a tensor; a read-only memory map is copied, which torch would otherwise warn about."""
    array = rows if rows.flags.writeable and rows.flags.c_contiguous else np.array(rows, order="C")
    return torch.from_numpy(array).to(device)


@contextmanager
def full_float32() -> Iterator[None]:
    """Products in full float32, whatever the caller set: TF32 and bf16 move neighbours."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
