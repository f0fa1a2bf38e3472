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
from vgsearch.data.framing import Framing
from vgsearch.data.index import ImageIndex
from vgsearch.models.precision import Precision, autocast
from vgsearch.retrieval.extraction import describe_images, inferring
from vgsearch.retrieval.query_methods import framing_of, rows_per_image

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
    """Milliseconds to describe one query photo: pixels in and descriptor out on the host, its crops together.

    The photo is a typical one, of the middle area among a few of the queries, at the size at which it is
    scored; decoding it does not count. The network runs as when it is scored, uncompiled. No random number is
    drawn, and every module is left in the mode it was in. Whatever else uses the device meanwhile is part of
    the time.

    Args:
        network: maps uint8 (b, 3, h, w) to (b, d), on `device`.
        queries: at least one image.
        eval_config: of the queries, see `query_config`.
        device: where the network is.
        precision: autocast's number format.
        budget_s: seconds to spend; once to warm up and once with the clock it runs however slow it is.

    Returns:
        The median over the repeats.

    Raises:
        ImageError: a photo cannot be read.
    """
    pictures = _typical_pictures(queries, framing_of(eval_config))
    # Where each crop searches for itself, its descriptor is kept.
    num_views = len(pictures) // rows_per_image(eval_config)
    start_s = time.perf_counter()
    times_ms: list[float] = []
    # Autocast encloses the repeats: it keeps its half-precision copies of the weights until it is left.
    with inferring(network, device, precision), autocast(precision, device), torch.inference_mode():
        while True:
            _describe(network, pictures, num_views, device)
            if time.perf_counter() - start_s >= min(_WARM_UP_S, budget_s / 5):
                break
        while not times_ms or time.perf_counter() - start_s < budget_s:
            before_s = time.perf_counter()
            _describe(network, pictures, num_views, device)
            times_ms.append(1000.0 * (time.perf_counter() - before_s))
    return statistics.median(times_ms)


def _describe(
    network: nn.Module, pictures: torch.Tensor, num_views: int, device: torch.device
) -> NDArray[np.float32]:
    """Descriptors on the host, float32 (rows, d); copying them waits for a GPU."""
    described = describe_images(network, pictures.to(device), num_views)
    rows: NDArray[np.float32] = described.float().cpu().numpy()
    return rows


def _typical_pictures(queries: ImageIndex, framing: Framing) -> torch.Tensor:
    """The query of the middle area among some that are spread over the index, uint8 (views, 3, h, w)."""
    rows = np.unique(np.linspace(0, len(queries) - 1, _CANDIDATES).astype(np.int64)).tolist()

    def area_px(row: int) -> int:
        height, width = image_size(queries.absolute(row))
        return height * width

    middle = sorted(rows, key=area_px)[len(rows) // 2]
    return torch.stack(framing.views(queries.read(middle)))
