"""Whose descriptors say which positives of a GeoWarp training are near their query."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from vgsearch.cli.named_model import extraction_bar, named_model
from vgsearch.cli.rerankers import find_reranker, names_reranker
from vgsearch.config.geowarp import TORCHVISION_ENCODERS
from vgsearch.config.search import EvalConfig
from vgsearch.config.warp_training import WarpTraining
from vgsearch.data.framing import Framing
from vgsearch.data.index import ImageIndex
from vgsearch.errors import ConfigError, DataError
from vgsearch.models.netvlad import NUM_CLUSTERS, NetVLAD, netvlad_of_clusters
from vgsearch.models.pooling import GeM
from vgsearch.models.precision import Precision
from vgsearch.models.weights_file import read_weights_file
from vgsearch.rerank.baseline import BaselinePooling, PooledEncoder
from vgsearch.rerank.checkpoint import load_baseline
from vgsearch.rerank.local_sample import NUM_PHOTOS, sample_local_descriptors
from vgsearch.rerank.network import GeoWarpNetwork
from vgsearch.rerank.pooling_tensors import pooling_of_file, read_authors_pooling
from vgsearch.retrieval.kmeans import k_means

_IN_WORDS = {"gem": "GeM", "netvlad": "NetVLAD"}


def pairs_by(training: WarpTraining, model: str | None) -> str:
    """The describer in a few words, for the lineage."""
    return model or f"{training.network.encoder} + {_IN_WORDS[training.network.pooling]}"


def pair_describer(
    training: WarpTraining,
    photos: ImageIndex,
    network: GeoWarpNetwork,
    model: str | None,
    *,
    home: Path,
    device: torch.device,
    precision: Precision,
    threads: int,
    console: Console,
) -> nn.Module:
    """The network that `--model` names, or the encoder itself, pooled as the training says.

    Its pooling is the one in the file of `encoder_weights`, where that holds a baseline of the authors. Else
    GeM has its usual power, and NetVLAD begins with clusters of the training photos.

    Args:
        training: Its settings.
        photos: Of the training.
        network: Whose encoder it is; on `device`.
        model: As the user wrote it; None for the encoder's own descriptors.
        home: Absolute.
        device: Where it runs.
        precision: Of the encoder.
        threads: That decode photos.
        console: Where the progress goes.

    Returns:
        On `device`: uint8 (b, 3, h, w) to float32 (b, d) of norm 1.

    Raises:
        ConfigError: `network.pooling` is not what the file of `encoder_weights` holds.
        DataError: The photos make no clusters.
        VgsearchError: There is no such model, or it cannot be read.
    """
    if model is not None:
        if names_reranker(model):
            return load_baseline(find_reranker(model, home, option="--model"), device)
        return named_model(model, home).network
    pooling: BaselinePooling | None = _pooling_of_weights(training, network.encoder.channels)
    if pooling is None:
        pooling = GeM()
        if training.network.pooling == "netvlad":
            pooling = _clustered(training, photos, network, device, precision, threads, console)
    return PooledEncoder(network, pooling).to(device)


def _pooling_of_weights(training: WarpTraining, channels: int) -> BaselinePooling | None:
    """What a baseline of the authors pools with; None for other weights."""
    weights = Path(training.encoder_weights).expanduser()
    if training.network.encoder not in TORCHVISION_ENCODERS or not weights.is_file():
        return None
    tensors = read_weights_file(weights)
    found = pooling_of_file(tensors, str(weights))
    if found not in (None, training.network.pooling):
        raise ConfigError(
            [
                f"network.pooling: is {training.network.pooling}, but encoder_weights {weights} is a "
                f"baseline with {found}; set network.pooling: {found}, or name a --model"
            ]
        )
    return read_authors_pooling(tensors, str(weights), channels)


def _clustered(
    training: WarpTraining,
    photos: ImageIndex,
    network: GeoWarpNetwork,
    device: torch.device,
    precision: Precision,
    threads: int,
    console: Console,
) -> NetVLAD:
    """NetVLAD with clusters of local descriptors of the training photos."""
    count = min(len(photos), NUM_PHOTOS)
    with extraction_bar(console, "sampling local descriptors", count) as advance:
        sampled = sample_local_descriptors(
            network,
            photos,
            Framing("exact", training.height_px, training.width_px),
            seed=training.seed,
            batch_size=EvalConfig().batch_size,
            device=device,
            precision=precision,
            loader_threads=threads,
            progress=advance,
        )
    try:
        centroids = torch.from_numpy(k_means(sampled.cpu().numpy(), NUM_CLUSTERS, seed=training.seed))
        pooling = netvlad_of_clusters(centroids.to(device), sampled)
    except (DataError, ValueError) as error:
        raise DataError(
            f"{photos.root}: its photos make no clusters for network.pooling: netvlad ({error}); give more "
            "of them, a larger height_px and width_px, or set network.pooling: gem"
        ) from error
    text = f"{NUM_CLUSTERS} clusters of {len(sampled)} local descriptors from {count} photos"
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    return pooling
