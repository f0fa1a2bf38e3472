"""Local descriptors of some photos at some positions, for clusters to begin with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vgsearch.data.draws import Salt, random_permutation, random_uniforms
from vgsearch.data.framing import Framing
from vgsearch.data.index import ImageIndex
from vgsearch.data.prefetch import Prefetcher
from vgsearch.errors import DivergedError
from vgsearch.models.precision import Precision, autocast
from vgsearch.rerank.network import GeoWarpNetwork
from vgsearch.rerank.photos import PhotoBatch, PhotoGroup, PhotoSource

NUM_PHOTOS = 500
NUM_POSITIONS = 100


def sample_local_descriptors(
    network: GeoWarpNetwork,
    photos: ImageIndex,
    framing: Framing,
    *,
    seed: int,
    batch_size: int,
    device: torch.device,
    precision: Precision,
    loader_threads: int = 2,
    num_photos: int = NUM_PHOTOS,
    num_positions: int = NUM_POSITIONS,
    progress: Callable[[int], None] = lambda count: None,
) -> Tensor:
    """Draw photos, and of each the same number of positions of the encoder's map.

    Args:
        network: Whose encoder describes; on `device`.
        photos: n photos; all of them are taken where there are no more than `num_photos`.
        framing: How a photo becomes the picture that is described: of one size, in one view.
        seed: Of both draws. What is drawn of a photo depends neither on batches nor on other photos.
        batch_size: Photos a batch.
        device: Where the network is.
        precision: Of the encoder.
        loader_threads: That decode photos.
        num_photos: How many photos.
        num_positions: How many positions of each; all of them where the map has no more.
        progress: Called with the number of photos just finished.

    Returns:
        float32 (min(n, num_photos) * min(h * w, num_positions), c) on `device`, of norm 1; by photo in index
        order.

    Raises:
        ImageError: A photo cannot be read.
        DivergedError: A descriptor is NaN or infinite.
    """
    rows = np.sort(random_permutation((Salt.CLUSTER_PHOTOS, seed), len(photos))[:num_photos])
    batches = [
        PhotoBatch((PhotoGroup(photos, rows[start : start + batch_size]),))
        for start in range(0, len(rows), batch_size)
    ]
    source = PhotoSource(batches, framing, pin_memory=device.type == "cuda")
    found = []
    with (
        Prefetcher(source, len(batches), threads=loader_threads) as loading,
        torch.inference_mode(),
        autocast(precision, device),
    ):
        for batch, (images,) in zip(batches, loading, strict=True):
            feature_map = network.encoder(network.normalise(images.to(device, non_blocking=True)))
            local = F.normalize(feature_map.float().flatten(2), dim=1).mT
            draws = random_uniforms((Salt.CLUSTER_POSITIONS, seed), batch.groups[0].ids, local.shape[1])
            chosen = torch.from_numpy(np.argsort(draws, axis=1)[:, :num_positions]).to(device)
            found.append(local.take_along_dim(chosen[:, :, None], dim=1).flatten(0, 1))
            progress(len(batch))
    sampled = torch.cat(found)
    if not sampled.isfinite().all():
        raise DivergedError(
            f"local descriptors must be finite, but the encoder gives NaN or infinity for {photos.root} "
            f"(precision={precision.name}); try precision: fp32"
        )
    return sampled
