"""Descriptors of a whole index: images of one size together, decoded ahead, one matrix in index order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vgsearch.config.search import EvalConfig
from vgsearch.data.index import ImageIndex
from vgsearch.errors import DataError, DivergedError
from vgsearch.models.backbones import Backbone
from vgsearch.models.ensemble_network import EnsembleNetwork
from vgsearch.models.folded import Pairs, example_photo, foldable_pairs, folded
from vgsearch.models.precision import Precision, autocast
from vgsearch.models.view_mean import mean_of_views
from vgsearch.retrieval.batch_plan import plan_batches
from vgsearch.retrieval.device_feed import DescriptorReturn, on_device
from vgsearch.retrieval.image_loader import load_batches, network_sizes
from vgsearch.retrieval.query_methods import framing_of, rows_per_image

_KNOWN_PAIRS: WeakKeyDictionary[nn.Module, Pairs] = WeakKeyDictionary()


def extract_descriptors(
    network: nn.Module,
    index: ImageIndex,
    *,
    eval_config: EvalConfig,
    device: torch.device,
    precision: Precision,
    loader_threads: int = 2,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Describe every image of `index`.

    Args:
        network: maps uint8 (b, 3, h, w) to float (b, d) of norm 1; on `device` already. It runs in eval
            mode and every module is left in the mode it was in.
        index: n images, at least one, of any sizes.
        eval_config: how these very images are brought to the network, as `query_methods` decides it for
            database and queries; any target is decided.
        device: where the network is.
        precision: autocast's number format.
        loader_threads: decoding threads.
        progress: called with the number of images just finished.

    Returns:
        float32 (n * rows_per_image, d), C-contiguous, rows of norm 1 in index order, those of one image
        together. A row depends on its image alone, up to the rounding of `precision`.

    Raises:
        ImageError: an image cannot be read; the message names it.
        DataError: the index is empty.
        DivergedError: a descriptor is NaN or infinite; the message names the image.
    """
    if len(index) == 0:
        raise DataError(f"an index of at least one image is needed to describe it, got none in {index.root}")
    framing = framing_of(eval_config)
    num_rows = rows_per_image(eval_config)
    sizes_px = network_sizes(index, framing, loader_threads)
    batches = load_batches(
        index,
        list(plan_batches(sizes_px, eval_config.batch_size, framing)),
        threads=loader_threads,
        pin_memory=device.type == "cuda",
    )
    gathered = _Gathered(index, num_rows, precision, progress)
    returning = DescriptorReturn(device)
    # Autocast encloses the loop: it keeps its half-precision copies of the weights until it is left.
    with closing(batches), inferring(network, device, precision), autocast(precision, device):
        for batch in on_device(batches, device):
            with torch.inference_mode():
                described = describe_images(network, batch.images, framing.num_views // num_rows)
            for ids, rows in returning.send(batch.ids, described):
                gathered.put(ids, rows)
        for ids, rows in returning.rest():
            gathered.put(ids, rows)
    return gathered.descriptors


def describe_images(network: nn.Module, images: Tensor, num_views: int) -> Tensor:
    """Describe pictures; views of one photo become one row, each member of an ensemble taking its own mean.

    Args:
        network: as of `extract_descriptors`.
        images: uint8 (b * num_views, 3, h, w), the views of one photo together.
        num_views: views that become one row.

    Returns:
        float (b, d), rows of norm 1.
    """
    if num_views == 1:
        return cast(Tensor, network(images))
    if isinstance(network, EnsembleNetwork):
        return cast(Tensor, network(images, num_views))
    return mean_of_views(network(images), num_views)


class _Gathered:
    """The matrix under way; its width is known with the first batch."""

    def __init__(
        self, index: ImageIndex, num_rows: int, precision: Precision, progress: Callable[[int], None] | None
    ) -> None:
        self.descriptors: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)
        self._index = index
        self._num_rows = num_rows
        self._precision = precision
        self._progress = progress

    def put(self, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Store the rows of images `ids`, float32 (b * rows, d); `DivergedError` if one is not finite."""
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            image = self._index.absolute(int(ids[np.argmin(finite) // self._num_rows]))
            raise DivergedError(
                f"descriptors must be finite, but the network gives NaN or infinity for {image} "
                f"(precision={self._precision.name}); its weights diverged, or try precision: fp32"
            )
        if self.descriptors.size == 0:
            shape = (self._num_rows * len(self._index), rows.shape[1])
            self.descriptors = np.empty(shape, dtype=np.float32)
        self.descriptors.reshape(len(self._index), -1)[ids] = rows.reshape(len(ids), -1)
        if self._progress is not None:
            self._progress(len(ids))


@contextmanager
def inferring(network: nn.Module, device: torch.device, precision: Precision) -> Iterator[None]:
    """Eval mode inside, with BatchNorm folded into the convolutions, ready for autocast to `precision`.

    All that describes images does it in here, so that the same image has the same descriptor everywhere.
    """
    with evaluating(network), folded(network, _pairs(network, device), precision.dtype):
        yield


def _pairs(network: nn.Module, device: torch.device) -> Pairs:
    """What can be folded in its backbones, found once for each network."""
    if network not in _KNOWN_PAIRS:
        example = example_photo(device)
        _KNOWN_PAIRS[network] = [
            (f"{name}.{convolution}", f"{name}.{norm}")
            for name, backbone in network.named_modules()
            if isinstance(backbone, Backbone) and _has_batch_norm(backbone)
            for convolution, norm in foldable_pairs(backbone, example)
        ]
    return _KNOWN_PAIRS[network]


def _has_batch_norm(backbone: Backbone) -> bool:
    """Without any, which is so of the networks that take one image size alone, there is nothing to ask."""
    return any(isinstance(module, _BatchNorm) for module in backbone.modules())


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode inside; outside, each module's own mode again (frozen parts may differ from the rest)."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
