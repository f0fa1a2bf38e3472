"""Moving batches to a device, and descriptors back, without making either side wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from vgsearch.retrieval.image_loader import LoadedBatch


def on_device(batches: Iterable[LoadedBatch], device: torch.device) -> Iterator[LoadedBatch]:
    """The same batches on `device`; on CUDA one is copied on its own stream while another is computed."""
    if device.type != "cuda":
        for batch in batches:
            yield LoadedBatch(batch.ids, batch.images.to(device))
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    copied: tuple[LoadedBatch, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(stream):
            moved = LoadedBatch(batch.ids, batch.images.to(device, non_blocking=True))
            arrival = stream.record_event()
        if copied is not None:
            yield _handed_over(*copied, device)
        copied = (moved, arrival)
    if copied is not None:
        yield _handed_over(*copied, device)


def _handed_over(batch: LoadedBatch, arrival: torch.cuda.Event, device: torch.device) -> LoadedBatch:
    """Let the computing stream use what the copying stream brought."""
    computing = torch.cuda.current_stream(device)
    computing.wait_event(arrival)
    batch.images.record_stream(computing)
    return batch


class DescriptorReturn:
    """Collects descriptors on the host, a few batches behind the device so that its queue never drains."""

    def __init__(self, device: torch.device, lag: int = 2) -> None:
        """Keep at most `lag` batches on their way; on the CPU nothing is ever on its way."""
        self._lag = lag if device.type == "cuda" else 0
        self._on_way: deque[tuple[NDArray[np.int64], torch.Tensor, torch.cuda.Event | None]] = deque()

    def send(
        self, ids: NDArray[np.int64], descriptors: torch.Tensor
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Start one batch's way back, float (b, d), and yield those that have arrived, float32 (b, d)."""
        descriptors = descriptors.float()
        if descriptors.device.type == "cuda":
            host = torch.empty(descriptors.shape, dtype=torch.float32, pin_memory=True)
            host.copy_(descriptors, non_blocking=True)
            self._on_way.append((ids, host, torch.cuda.current_stream(descriptors.device).record_event()))
        else:
            self._on_way.append((ids, descriptors.cpu(), None))
        yield from self._arrived(self._lag)

    def rest(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Wait for all that are still on their way."""
        yield from self._arrived(0)

    def _arrived(self, left: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        while len(self._on_way) > left:
            ids, host, arrival = self._on_way.popleft()
            if arrival is not None:
                arrival.synchronize()
            yield ids, host.numpy()
