"""GeoWarp re-ranking: pairs batched across queries, against one query after the other.

    python benchmarks/rerank.py data/demo_city/val_day runs/rerankers/demo_warp --queries 40 --top 10
    python benchmarks/rerank.py SPLIT CHECKPOINT --authors CHECKOUT     # of github.com/gmberton/geo_warp

The other side is the authors' way (`test.py` of their repository): for every query, in batches of 8, it
decodes and encodes the query again for each candidate, and every candidate again for every query. Where their
code is given its own functions are run (they need kornia and shapely), else the same steps written plainly.
Both sides get the same candidates, those of the encoder's GeM descriptors, and the same float32 weights; they
take turns. Reported are pairs per second, decoding included, and for what part of the queries the order, and
the first candidate, are those of the loop.

Photos should be as large as real ones (`vgsearch data demo OUT --image-px 480`), since bfloat16 speeds up the
encoder alone: at 128 px half of the time is the regression, which stays in float32.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vgsearch.config.search import EvalConfig
from vgsearch.data.index import ImageIndex
from vgsearch.data.retrieval_set import RetrievalSet, load_retrieval_set
from vgsearch.models.precision import pick_device, resolve_precision
from vgsearch.rerank.baseline import PooledEncoder
from vgsearch.rerank.checkpoint import load_geowarp
from vgsearch.rerank.homography import homography_to, warp_images
from vgsearch.rerank.network import GeoWarpNetwork
from vgsearch.rerank.pair_scoring import Machine, score_candidates
from vgsearch.rerank.regression import correlate, l2_normalise, mean_quadrilaterals
from vgsearch.retrieval.extraction import extract_descriptors
from vgsearch.retrieval.neighbours import nearest
from vgsearch.training.threads import take_cpus

Scores = NDArray[np.float32]
LOOP_BATCH = 8
WARM_UP_QUERIES = 8


class PlainPair:
    """One pair after the other's way of computing, in PyTorch's default memory format."""

    def __init__(self, network: GeoWarpNetwork) -> None:
        self.network = network

    def __call__(self, query: Tensor, candidates: Tensor) -> Tensor:
        """Normalised float32 (b, 3, h, w) each -> sums of products, float32 (b,)."""
        network = self.network
        first, second = self.features(query), self.features(candidates)
        there, back = correlate(first, second)
        corners = mean_quadrilaterals(network.regression(there), network.regression(back))
        warped = [
            warp_images(images, homography_to(each))
            for images, each in zip((query, candidates), corners, strict=True)
        ]
        one, other = (self.features(images) for images in warped)
        return (one * other).sum(dim=(1, 2, 3))

    def features(self, images: Tensor) -> Tensor:
        """Local features, float32 (b, c, 15, 15)."""
        return l2_normalise(F.adaptive_avg_pool2d(self.network.encoder(images), 15))


class AuthorsPair:
    """The authors' own `compute_warping` and `features_extractor`, with the same weights."""

    def __init__(self, network: GeoWarpNetwork, checkout: Path) -> None:
        sys.path.insert(0, str(checkout))
        theirs, self.warping = (importlib.import_module(name) for name in ("network", "dataset_warp"))
        config = network.config
        regression = theirs.HomographyRegression(
            kernel_sizes=list(config.kernel_sizes), channels=[225, *config.channels], padding=config.padding
        )
        regression.load_state_dict(network.regression.state_dict())
        extractor = theirs.FeaturesExtractor.__new__(theirs.FeaturesExtractor)
        nn.Module.__init__(extractor)
        extractor.encoder = network.encoder
        extractor.avgpool, extractor.l2norm = nn.AdaptiveAvgPool2d((15, 15)), theirs.L2Norm()
        self.model = theirs.Network(extractor, regression).eval().to(next(network.parameters()).device)
        if not torch.cuda.is_available():
            # Their code moves tensors to a GPU without asking.
            Tensor.cuda = lambda tensor, *_, **__: tensor  # type: ignore[method-assign,assignment,misc]

    def __call__(self, query: Tensor, candidates: Tensor) -> Tensor:
        """Normalised float32 (b, 3, h, w) each -> sums of products, float32 (b,)."""
        one, other, _, _ = self.warping.compute_warping(self.model, query, candidates)
        first, second = (self.model("features_extractor", [each, "local"]) for each in (one, other))
        products: Tensor = (first * second).sum(dim=(1, 2, 3))
        return products


def by_query(
    pair: Callable[[Tensor, Tensor], Tensor],
    network: GeoWarpNetwork,
    split: RetrievalSet,
    candidates: NDArray[np.int64],
    device: torch.device,
) -> Scores:
    """Every query by itself, 8 candidates at a time, photos decoded and encoded whenever they are needed."""
    scores = np.empty(candidates.shape, dtype=np.float32)
    with torch.no_grad():
        for query in range(len(candidates)):
            for start in range(0, candidates.shape[1], LOOP_BATCH):
                rows = candidates[query, start : start + LOOP_BATCH]
                asked = opened(network, split.queries, query, device)
                photos = torch.cat([opened(network, split.database, int(row), device) for row in rows])
                products = pair(asked.repeat_interleave(len(rows), 0), photos)
                scores[query, start : start + LOOP_BATCH] = products.cpu().numpy()
    return scores


def opened(network: GeoWarpNetwork, index: ImageIndex, row: int, device: torch.device) -> Tensor:
    """One photo, normalised, float32 (1, 3, h, w)."""
    pixels = index.read(row)[None].contiguous().float().div(255).to(device)
    return (pixels * network.input_scale + network.input_shift).contiguous()


def find_candidates(
    network: GeoWarpNetwork, split: RetrievalSet, count: int, top: int, device: torch.device
) -> NDArray[np.int64]:
    """The `top` nearest of the first `count` queries."""
    described = [
        extract_descriptors(
            PooledEncoder(network).to(device),
            index,
            eval_config=EvalConfig(),
            device=device,
            precision=resolve_precision("fp32", device),
        )
        for index in (split.database, split.queries.subset(np.arange(count)))
    ]
    return nearest(described[0], described[1], top, device=device)


def timed(
    side: Callable[[NDArray[np.int64]], Scores], candidates: NDArray[np.int64], device: torch.device
) -> tuple[float, Scores]:
    """Seconds and scores."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    scores = side(candidates)
    return time.perf_counter() - start, scores


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("split", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--authors", type=Path)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loader-threads", type=int, default=2)
    options = parser.parse_args()
    device = pick_device()
    take_cpus(device)
    network = load_geowarp(options.checkpoint, device)
    # The loop has weights of its own in the default memory format; ours have channels last.
    plain = load_geowarp(options.checkpoint, device).to(memory_format=torch.contiguous_format)
    split = load_retrieval_set(options.split, 25.0)
    count = min(options.queries, len(split.queries))
    candidates = find_candidates(network, split, count, options.top, device)
    pair = PlainPair(plain) if options.authors is None else AuthorsPair(plain, options.authors)

    def batched(name: str, candidates: NDArray[np.int64]) -> Scores:
        with tempfile.TemporaryDirectory() as scratch:
            machine = Machine(
                device,
                resolve_precision(name, device),  # type: ignore[arg-type]
                options.batch_size,
                options.loader_threads,
                Path(scratch),
            )
            asked = split.queries.subset(np.arange(len(candidates)))
            return score_candidates(network, asked, split.database, candidates, machine=machine)

    sides: dict[str, Callable[[NDArray[np.int64]], Scores]] = {
        "one query after the other": lambda some: by_query(pair, plain, split, some, device),
        "batched, fp32": lambda some: batched("fp32", some),
        "batched, bf16": lambda some: batched("bf16", some),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    scores: dict[str, Scores] = {}
    for side in sides.values():
        side(candidates[:WARM_UP_QUERIES])
    for _ in range(options.rounds):
        for name, side in sides.items():
            spent, scores[name] = timed(side, candidates, device)
            seconds[name].append(spent)
    where = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or "CPU"
    print(f"{where}, {torch.get_num_threads()} threads, torch {torch.__version__}, {network.config.encoder}")
    used = len(np.unique(candidates))
    print(f"{count} queries x {options.top} candidates, {used} of {len(split.database)} photos")
    first = "one query after the other"
    orders = {name: np.argsort(-each, axis=1, kind="stable") for name, each in scores.items()}
    base = statistics.median(seconds[first])
    for name, spent in seconds.items():
        median = statistics.median(spent)
        same = (orders[name] == orders[first]).all(axis=1).mean()
        same_first = (orders[name][:, 0] == orders[first][:, 0]).mean()
        print(
            f"{name:28} {candidates.size / median:8.1f} pairs/s  {base / median:5.2f}x  same order "
            f"{100 * same:5.1f}%, same first {100 * same_first:5.1f}%"
        )


if __name__ == "__main__":
    main()
