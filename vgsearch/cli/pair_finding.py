"""The pairs of a GeoWarp training: which positives are near their query, and by whose descriptors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from vgsearch.cli.named_model import extraction_bar, named_model
from vgsearch.cli.rerankers import find_reranker, names_reranker
from vgsearch.cli.stopping import checked
from vgsearch.config.geowarp import TORCHVISION_ENCODERS
from vgsearch.config.search import EvalConfig
from vgsearch.config.warp_training import WarpTraining
from vgsearch.data.framing import Framing
from vgsearch.data.gallery_split import split_gallery
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
from vgsearch.retrieval.extraction import extract_descriptors
from vgsearch.retrieval.kmeans import k_means
from vgsearch.retrieval.neighbours import nearest, squared_distances

_IN_WORDS = {"gem": "GeM", "netvlad": "NetVLAD"}


def pairs_by(training: WarpTraining, model: str | None) -> str:
    """The describer in a few words, for the lineage."""
    return model or f"{training.network.encoder} + {_IN_WORDS[training.network.pooling]}"


@dataclass(frozen=True, kw_only=True)
class PairFinding:
    """Finds the pairs of one training.

    Attributes:
        training: Its settings.
        photos: Of the training.
        network: Whose encoder it is; on `device`.
        model: Whose descriptors are asked, as the user wrote it; None for the encoder's own.
        home: Absolute.
        device: Where networks run.
        precision: Of the encoder.
        threads: That decode photos.
        console: Where the progress goes.
        check: Called after every batch of photos; what it raises ends the finding.
    """

    training: WarpTraining
    photos: ImageIndex
    network: GeoWarpNetwork
    model: str | None
    home: Path
    device: torch.device
    precision: Precision
    threads: int
    console: Console
    check: Callable[[], None]

    def find(self) -> NDArray[np.int64]:
        """Queries and those of their positives in the gallery that retrieval finds near them.

        Returns:
            Rows of the photos, int64 (n, 2), n at least 1.

        Raises:
            ConfigError: `network.pooling` is not what the file of `encoder_weights` holds.
            DataError: There are none, or the photos make no clusters.
            VgsearchError: There is no such model, or it cannot be read.
        """
        data, wanted = self.training.data, self.training.pairs
        gallery, queries = split_gallery(
            self.photos,
            cell_m=data.cell_m,
            heading_deg=data.heading_deg,
            query_fraction=data.query_fraction,
            seed=self.training.seed,
        )
        describer = self._describer()
        exact = EvalConfig(crop_height_px=self.training.height_px, crop_width_px=self.training.width_px)
        with extraction_bar(self.console, "describing training photos", len(self.photos)) as advance:
            described = extract_descriptors(
                describer,
                self.photos,
                eval_config=exact,
                device=self.device,
                precision=self.precision,
                loader_threads=self.threads,
                progress=checked(advance, self.check),
            )
        found = nearest(described[gallery], described[queries], wanted.neighbours, device=self.device)
        squared = squared_distances(described[gallery], described[queries], found)
        rows = gallery[found]
        east = self.photos.utm_east[queries][:, None] - self.photos.utm_east[rows]
        north = self.photos.utm_north[queries][:, None] - self.photos.utm_north[rows]
        positive = (found >= 0) & (east**2 + north**2 <= data.positive_distance_m**2)
        near = positive & (squared < wanted.max_squared_distance)
        query, rank = np.nonzero(near)
        pairs = np.column_stack([queries[query], rows[query, rank]]).astype(np.int64)
        if not len(pairs):
            raise DataError(
                f"none of {len(queries)} queries of {self.photos.root} has a positive among its "
                f"{wanted.neighbours} nearest within pairs.max_squared_distance "
                f"{wanted.max_squared_distance:g}: raise it, or set weights.consistency and "
                "weights.features to 0"
            )
        counts = f"{len(gallery)} photos in the gallery, {len(queries)} queries"
        self._say(f"{counts}, {len(pairs)} pairs of query and positive")
        return pairs

    def _describer(self) -> nn.Module:
        """The network that `model` names, or the encoder itself, pooled as the training says.

        Its pooling is the one in the file of `encoder_weights`, where that holds a baseline of the authors.
        Else GeM has its usual power, and NetVLAD begins with clusters of the training photos.

        Returns:
            On `device`: uint8 (b, 3, h, w) to float32 (b, d) of norm 1.

        Raises:
            ConfigError: See `find`.
            DataError: The photos make no clusters.
            VgsearchError: See `find`.
        """
        if self.model is not None:
            if names_reranker(self.model):
                return load_baseline(find_reranker(self.model, self.home, option="--model"), self.device)
            return named_model(self.model, self.home).network
        pooling: BaselinePooling | None = _pooling_of_weights(self.training, self.network.encoder.channels)
        if pooling is None:
            pooling = self._clustered() if self.training.network.pooling == "netvlad" else GeM()
        return PooledEncoder(self.network, pooling).to(self.device)

    def _clustered(self) -> NetVLAD:
        """NetVLAD with clusters of local descriptors of the training photos."""
        count = min(len(self.photos), NUM_PHOTOS)
        with extraction_bar(self.console, "sampling local descriptors", count) as advance:
            sampled = sample_local_descriptors(
                self.network,
                self.photos,
                Framing("exact", self.training.height_px, self.training.width_px),
                seed=self.training.seed,
                batch_size=EvalConfig().batch_size,
                device=self.device,
                precision=self.precision,
                loader_threads=self.threads,
                progress=checked(advance, self.check),
            )
        try:
            centroids = torch.from_numpy(
                k_means(sampled.cpu().numpy(), NUM_CLUSTERS, seed=self.training.seed)
            )
            pooling = netvlad_of_clusters(centroids.to(self.device), sampled)
        except (DataError, ValueError) as error:
            raise DataError(
                f"{self.photos.root}: its photos make no clusters for network.pooling: netvlad ({error}); "
                "give more of them, a larger height_px and width_px, or set network.pooling: gem"
            ) from error
        text = f"{NUM_CLUSTERS} clusters of {len(sampled)} local descriptors from {count} photos"
        self._say(text)
        return pooling

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


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
