"""Float32 nearest-neighbour search by torch alone: matrix products in blocks and a running top list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray


def search(
    database: NDArray[np.float32],
    queries: NDArray[np.float32],
    count: int,
    device: torch.device,
    *,
    database_block: int = 65536,
    query_block: int = 2048,
) -> NDArray[np.int64]:
    """The `count <= n` nearest rows of each query by Euclidean distance, int64 (q, count).

    The database passes over the device block by block, so that its size is bounded by host memory only.
    """
    asked = torch.tensor(queries, device=device)
    scores = torch.full((len(queries), count), -torch.inf, device=device)
    ids = torch.full((len(queries), count), -1, dtype=torch.int64, device=device)
    with torch.inference_mode(), _full_float32(device):
        for first_row in range(0, len(database), database_block):
            rows = torch.tensor(database[first_row : first_row + database_block], device=device)
            half_squares = rows.square().sum(dim=1) / 2
            for start in range(0, len(asked), query_block):
                block = slice(start, start + query_block)
                # |q - x|^2 falls as q.x - |x|^2 / 2 grows; |q|^2 is the same for all rows.
                near = (asked[block] @ rows.T - half_squares).topk(min(count, len(rows)), dim=1)
                all_scores = torch.cat([scores[block], near.values], dim=1)
                all_ids = torch.cat([ids[block], near.indices + first_row], dim=1)
                best = all_scores.topk(count, dim=1)
                scores[block] = best.values
                ids[block] = all_ids.gather(1, best.indices)
    return np.asarray(ids.cpu().numpy())


@contextmanager
def _full_float32(device: torch.device) -> Iterator[None]:
    """Products in full float32, whatever the caller set: TF32 and bf16 move neighbours."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
