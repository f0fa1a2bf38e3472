"""The few database images of each query that can decide a similarity ensemble, for all members at once.

The similarity of an ensemble is a weighted sum of its members' similarities, so these can be kept and added
up instead of multiplied again. All of them do not fit in memory (50 members at SF-XS val size: 13 GB). What
decides whether a query is right is how many images are more similar than its best positive. So we keep, for
each query, its positives, a shortlist of the negatives that a few members find most similar, and for each
member the highest similarity of any negative outside the shortlist. A weighted sum of these bounds every
image outside; where the best positive lies above it, the shortlist alone gives the exact answer (the
threshold idea of Fagin et al., JCSS 2003). Where it does not, the query is multiplied out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.ensembling.ensemble_scoring import BLOCK_ROWS, NEVER, full_float32, to_device
from vgsearch.ensembling.positives import Positives
from vgsearch.ensembling.pot import PotSplit

MAX_KEPT = 128
MIN_KEPT = 32
MAX_BYTES = 768 * 2**20
_GUIDES = 4


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Kept similarities of one split, over its q' queries that have a positive, for m members.

    Attributes:
        asked: int64 (q',), rows of these queries in the split.
        positives: of these queries.
        flat: int64 (p,), positions of all positives in a (q', n) matrix.
        ids: int64 (q', k), the shortlist; places that are left over hold a positive and never count.
        kept: float32 (m, q', k), similarities of the shortlist.
        near: float32 (m, p), similarities of the positives.
        outside: float32 (m, q'), highest similarity of a negative outside the shortlist.
    """

    asked: NDArray[np.int64]
    positives: Positives
    flat: NDArray[np.int64]
    ids: Tensor
    kept: Tensor
    near: NDArray[np.float32]
    outside: Tensor


def build_shortlist(split: PotSplit, device: torch.device | str, *, max_kept: int = MAX_KEPT) -> Shortlist:
    """Multiply every member's descriptors out once, block by block, and keep what can decide.

    Args:
        split: the members, best first: a few spread over them choose the shortlist.
        device: where to multiply, and where the kept similarities stay.
        max_kept: length of a shortlist, fewer where memory or the database do not allow it.
    """
    num_members = len(split.databases)
    asked = split.positives.answerable
    positives = split.positives.of(asked)
    kept = max(1, min(max_kept, _affordable(num_members, len(asked)), positives.num_database))
    _, flat = positives.block(0, len(asked))
    guides = sorted({round(i) for i in np.linspace(0, num_members - 1, min(_GUIDES, num_members))})
    chosen: list[Tensor] = []
    values = torch.full((num_members, len(asked), kept), NEVER, device=device)
    near = np.empty((num_members, len(flat)), dtype=np.float32)
    outside = torch.empty((num_members, len(asked)), device=device)
    with full_float32(), torch.inference_mode():
        transposed = [to_device(split.databases[guide], device).T for guide in guides]
        for rows in blocks(len(asked)):
            total = None
            for guide, database in zip(guides, transposed, strict=True):
                queries = to_device(split.queries[guide][asked[rows]], device)
                total = queries @ database if total is None else torch.addmm(total, queries, database)
            assert total is not None  # there is a member
            total.view(-1).index_fill_(0, _flat_block(positives, rows, device), NEVER * len(guides))
            chosen.append(total.topk(kept, dim=1).indices)
        del transposed
        ids = torch.cat(chosen)
        leftover = _is_positive(ids, positives)
        for member in range(num_members):
            database = to_device(split.databases[member], device).T
            buffer = torch.empty((min(BLOCK_ROWS, len(asked)), positives.num_database), device=device)
            for rows in blocks(len(asked)):
                queries = to_device(split.queries[member][asked[rows]], device)
                similarities = torch.mm(queries, database, out=buffer[: len(queries)])
                own = _flat_block(positives, rows, device)
                span = slice(int(positives.starts[rows.start]), int(positives.starts[rows.stop]))
                near[member, span] = similarities.view(-1)[own].cpu().numpy()
                torch.gather(similarities, 1, ids[rows], out=values[member, rows])
                similarities.view(-1).index_fill_(0, own, NEVER)
                similarities.scatter_(1, ids[rows], NEVER)
                torch.amax(similarities, dim=1, out=outside[member, rows])
            values[member].masked_fill_(leftover, NEVER)
    return Shortlist(asked, positives, flat, ids, values, near, outside)


def blocks(count: int) -> list[slice]:
    """Rows in blocks of `BLOCK_ROWS`."""
    return [slice(start, min(start + BLOCK_ROWS, count)) for start in range(0, count, BLOCK_ROWS)]


def best_positive(near: NDArray[np.float32], positives: Positives) -> NDArray[np.float32]:
    """Highest similarity of a positive for each query, float32 (q',); every query has one."""
    return np.asarray(np.maximum.reduceat(near, positives.starts[:-1]))


def _affordable(num_members: int, num_queries: int) -> int:
    return max(MIN_KEPT, MAX_BYTES // (4 * num_members * max(1, num_queries)))


def _flat_block(positives: Positives, rows: slice, device: torch.device | str) -> Tensor:
    return torch.from_numpy(positives.block(rows.start, rows.stop)[1]).to(device)


def _is_positive(ids: Tensor, positives: Positives) -> Tensor:
    """Which places of the shortlists hold a positive, bool (q', k): a query with few negatives has some."""
    rows = np.repeat(np.arange(positives.num_queries), np.diff(positives.starts))
    known = np.sort(rows * positives.num_database + positives.ids)
    asked = ids.cpu().numpy() + np.arange(len(ids))[:, None] * positives.num_database
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return torch.from_numpy(known[place] == asked).to(ids.device)
