"""What a network costs who uses it: bytes to store a descriptor, milliseconds to describe a query."""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vgsearch.config.search import EvalConfig
from vgsearch.data.decode import image_size
from vgsearch.data.index import ImageIndex
from vgsearch.data.resize import resize_shorter_side
from vgsearch.models.precision import Precision, autocast
from vgsearch.retrieval.extraction import evaluating

BYTES_PER_VALUE = 4
"""A descriptor is stored in float32."""

_CANDIDATES = 32
_WARM_UP_S = 0.1
_BUDGET_S = 0.5


def descriptor_bytes(descriptor_dim: int) -> int:
    """Bytes of one stored descriptor."""
    return BYTES_PER_VALUE * descriptor_dim


def measure_query_ms(
    network: nn.Module,
    queries: ImageIndex,
    *,
    eval_config: EvalConfig,
    device: torch.device,
    precision: Precision,
    budget_s: float = _BUDGET_S,
) -> float:
    """Milliseconds to describe one query photo: a batch of one, pixels in and descriptor out on the host.

    The photo is a typical one, of the middle area among a few of the queries, at the size at which it is
    scored; decoding it does not count. The network runs as when it is scored, uncompiled. No random number is
    drawn, and every module is left in the mode it was in. Whatever else uses the device meanwhile is part of
    the time.

    Args:
        network: maps uint8 (1, 3, h, w) to (1, d), on `device`.
        queries: at least one image.
        eval_config: `resize_px` applies to the photo.
        device: where the network is.
        precision: autocast's number format.
        budget_s: seconds to spend; once to warm up and once with the clock it runs however slow it is.

    Returns:
        The median over the repeats.

    Raises:
        ImageError: a photo cannot be read.
    """
    photo = _typical_photo(queries, eval_config.resize_px)
    start_s = time.perf_counter()
    times_ms: list[float] = []
    # Autocast encloses the repeats: it keeps its half-precision copies of the weights until it is left.
    with evaluating(network), autocast(precision, device), torch.inference_mode():
        while True:
            _describe(network, photo, device)
            if time.perf_counter() - start_s >= min(_WARM_UP_S, budget_s / 5):
                break
        while not times_ms or time.perf_counter() - start_s < budget_s:
            before_s = time.perf_counter()
            _describe(network, photo, device)
            times_ms.append(1000.0 * (time.perf_counter() - before_s))
    return statistics.median(times_ms)


def _describe(network: nn.Module, photo: torch.Tensor, device: torch.device) -> NDArray[np.float32]:
    """Descriptor on the host, float32 (1, d); copying it waits for a GPU."""
    descriptor: NDArray[np.float32] = network(photo.to(device)).float().cpu().numpy()
    return descriptor


def _typical_photo(queries: ImageIndex, resize_px: int | None) -> torch.Tensor:
    """The query of the middle area among some that are spread over the index, uint8 (1, 3, h, w)."""
    rows = np.unique(np.linspace(0, len(queries) - 1, _CANDIDATES).astype(np.int64)).tolist()

    def area_px(row: int) -> int:
        height, width = image_size(queries.absolute(row))
        return height * width

    middle = sorted(rows, key=area_px)[len(rows) // 2]
    image = queries.read(middle)
    return (image if resize_px is None else resize_shorter_side(image, resize_px))[None]
