"""How alike each query and each of its candidates are after warping, many queries at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.data.framing import OWN_SIZE, Framing
from vgsearch.data.index import ImageIndex
from vgsearch.data.prefetch import Prefetcher
from vgsearch.errors import DivergedError
from vgsearch.models.precision import Precision, autocast, resolve_precision
from vgsearch.rerank.close_scores import Scores, error_spread, in_doubt
from vgsearch.rerank.feature_cache import FeatureCache
from vgsearch.rerank.network import GeoWarpNetwork, scoring
from vgsearch.rerank.photos import Ints, PhotoBatch, PhotoGroup, PhotoSource, equal_runs, framed_sizes

_SAMPLE = 64


@dataclass(frozen=True)
class Machine:
    """With what pairs are scored.

    Attributes:
        device: Where the network is.
        precision: Number format of the encoder; what follows it is computed in float32.
        batch_size: Pairs at once.
        loader_threads: That decode photos.
        scratch: Folder for a file of local features, should there be many.
    """

    device: torch.device
    precision: Precision
    batch_size: int
    loader_threads: int
    scratch: Path


@dataclass(frozen=True)
class _Side:
    """The photos of one side of the pairs.

    Attributes:
        index: Where they are.
        ids: Rows of it, int64 (m,).
        sizes_px: Height and width, int64 (m, 2).
        features: Of all m.
    """

    index: ImageIndex
    ids: Ints
    sizes_px: Ints
    features: FeatureCache


def score_candidates(
    network: GeoWarpNetwork,
    queries: ImageIndex,
    database: ImageIndex,
    candidates: NDArray[np.int64],
    *,
    machine: Machine,
    progress: Callable[[int], None] | None = None,
) -> Scores:
    """Score every query with each of its candidates.

    Every photo is encoded once as it is, whatever the number of its pairs, and each pair once more when it
    is warped. A score depends on its pair alone, up to the rounding of the precision; in bfloat16 the other
    pairs decide how well it is known.

    In bfloat16, whose three digits do not tell near candidates apart, photos as they are are encoded in
    float32, and so are again the pairs that lie too near another one of their query for the error that is
    measured on some of them. The orders are then those of float32 but for about one query in a hundred.

    Args:
        network: On the machine's device.
        queries: q photos of any sizes.
        database: n photos of any sizes.
        candidates: Rows of the database, int64 (q, k); a negative one fills up.
        machine: See there.
        progress: Called with the number of forward passes of a photo just finished, of `num_passes`; pairs
            that are scored again are not counted.

    Returns:
        float32 (q, k): see `GeoWarpNetwork.similarity`; minus infinity where there is no candidate.

    Raises:
        ImageError: A photo cannot be read; the message names it.
        DivergedError: A score is NaN; the message names the pair.
        StorageError: There is no room for the features.
    """
    is_rough = machine.precision.dtype == torch.bfloat16
    exact = replace(machine, precision=resolve_precision("fp32", machine.device))
    asked = np.flatnonzero((candidates >= 0).any(axis=1))
    used = np.unique(candidates[candidates >= 0])
    framing = framing_of(network)
    with scoring(network), torch.inference_mode():
        sides = [
            _described(network, index, ids, framing, exact if is_rough else machine, progress)
            for index, ids in ((queries, asked), (database, used))
        ]
        query_rows, ranks = np.nonzero(candidates[asked] >= 0)
        database_rows = np.searchsorted(used, candidates[asked][query_rows, ranks])
        pairs = np.column_stack([query_rows, database_rows])

        def scores_of(chosen: Ints, machine: Machine, progress: Callable[[int], None] | None) -> Scores:
            found = _score_pairs(network, sides[0], sides[1], chosen, framing, machine, progress)
            if np.isnan(found).any():
                query, row = chosen[int(np.argmax(np.isnan(found)))]
                raise DivergedError(
                    f"{queries.absolute(int(asked[query]))} and {database.absolute(int(used[row]))} score "
                    f"NaN (precision={machine.precision.name}); the network diverged, or try precision: fp32"
                )
            return found

        scores = scores_of(pairs, machine, progress)
        result = np.full(candidates.shape, -np.inf, dtype=np.float32)
        result[asked[query_rows], ranks] = scores
        if is_rough:
            places = np.column_stack([asked[query_rows], ranks])
            _settle(result, places, lambda rows: scores_of(pairs[rows], exact, None))
    return result


def _settle(result: Scores, places: Ints, exactly: Callable[[Ints], Scores]) -> None:
    """Replace the scores whose order is open.

    Args:
        result: float32 (q, k), changed in place.
        places: Query and rank of each pair, int64 (p, 2).
        exactly: Scores pairs, given by their numbers, in float32.
    """
    rough = result[places[:, 0], places[:, 1]]
    sample = np.unique(np.linspace(0, len(places) - 1, _SAMPLE).round().astype(np.int64))
    known = np.full(len(places), np.nan, dtype=np.float32)
    known[sample] = exactly(sample)
    if len(sample) < len(places):
        mean, deviation = error_spread(rough[sample], known[sample])
        doubtful = in_doubt(result, deviation)[places[:, 0], places[:, 1]]
        again = np.flatnonzero(doubtful & np.isnan(known))
        known[again] = exactly(again)
        # What stays is compared with what was settled, so it must not keep the mean error.
        rough = rough - np.float32(mean)
    result[places[:, 0], places[:, 1]] = np.where(np.isnan(known), rough, known)


def num_passes(candidates: NDArray[np.int64]) -> int:
    """Forward passes of a photo that `score_candidates` reports: each photo once, and both of each pair."""
    there = candidates >= 0
    return int(there.any(axis=1).sum()) + len(np.unique(candidates[there])) + 2 * int(there.sum())


def framing_of(network: GeoWarpNetwork) -> Framing:
    """How photos are brought to a network that re-ranks."""
    side_px = network.config.resize_px
    return OWN_SIZE if side_px is None else Framing("shorter_side", side_px, side_px)


def _described(
    network: GeoWarpNetwork,
    index: ImageIndex,
    ids: Ints,
    framing: Framing,
    machine: Machine,
    progress: Callable[[int], None] | None,
) -> _Side:
    """Encode photos as they are."""
    sizes_px = framed_sizes(index, ids, framing, machine.loader_threads)
    dtype = torch.float32 if machine.precision.dtype == torch.float32 else torch.float16
    features = FeatureCache(len(ids), network.encoder.channels, dtype, machine.scratch)
    batches = equal_runs(sizes_px, np.arange(len(ids)), 2 * machine.batch_size, pixels=sizes_px.prod(axis=1))
    planned = [PhotoBatch((PhotoGroup(index, ids[rows]),)) for rows in batches]
    with _loading(planned, framing, machine) as loading:
        for rows, (photos,) in zip(batches, loading, strict=True):
            images = network.normalise(photos.to(machine.device, non_blocking=True))
            with autocast(machine.precision, machine.device):
                features.put(rows, network.local_features(images))
            if progress is not None:
                progress(len(rows))
    return _Side(index, ids, sizes_px, features)


def _score_pairs(
    network: GeoWarpNetwork,
    queries: _Side,
    database: _Side,
    pairs: Ints,
    framing: Framing,
    machine: Machine,
    progress: Callable[[int], None] | None,
) -> Scores:
    """Score pairs of rows of both sides, int64 (p, 2); float32 (p,)."""
    sizes_px = np.concatenate([queries.sizes_px[pairs[:, 0]], database.sizes_px[pairs[:, 1]]], axis=1)
    pixels = np.maximum(sizes_px[:, :2].prod(axis=1), sizes_px[:, 2:].prod(axis=1))
    # Queries whose nearest photo is the same come together, so that a batch shares photos on both sides.
    batches = equal_runs(sizes_px, _by_nearest(pairs), machine.batch_size, pixels=pixels)
    distinct = [[np.unique(pairs[rows, side], return_inverse=True) for side in (0, 1)] for rows in batches]
    planned = [
        PhotoBatch(
            tuple(
                PhotoGroup(side.index, side.ids[found])
                for side, (found, _) in zip((queries, database), both, strict=True)
            )
        )
        for both in distinct
    ]
    scores = torch.empty(len(pairs), dtype=torch.float32, device=machine.device)
    with _loading(planned, framing, machine) as loading:
        for rows, both, photos in zip(batches, distinct, loading, strict=True):
            sides = []
            for side, (found, inverse), each in zip((queries, database), both, photos, strict=True):
                images = network.normalise(each.to(machine.device, non_blocking=True))
                features = side.features.get(found, machine.device)
                places = torch.from_numpy(inverse.reshape(-1)).to(machine.device)
                sides.append((_taken(images, places), features[places]))
            (first, first_features), (second, second_features) = sides
            with autocast(machine.precision, machine.device):
                scores[torch.from_numpy(rows).to(machine.device)] = network.similarity(
                    first, second, first_features=first_features, second_features=second_features
                )
            if progress is not None:
                progress(2 * len(rows))
    found_scores: Scores = scores.cpu().numpy()
    return found_scores


def _taken(images: Tensor, places: Tensor) -> Tensor:
    return images[places].contiguous(memory_format=torch.channels_last)


def _by_nearest(pairs: Ints) -> Ints:
    """Pairs ordered by their query's first candidate, then by query: a query's pairs stay together."""
    _, first, inverse = np.unique(pairs[:, 0], return_index=True, return_inverse=True)
    nearest = pairs[first, 1][inverse.reshape(-1)]
    order: Ints = np.lexsort((pairs[:, 0], nearest)).astype(np.int64)
    return order


def _loading(
    batches: list[PhotoBatch], framing: Framing, machine: Machine
) -> Prefetcher[PhotoBatch, Tensor, list[Tensor]]:
    source = PhotoSource(batches, framing, pin_memory=machine.device.type == "cuda")
    return Prefetcher(source, len(batches), threads=machine.loader_threads)
