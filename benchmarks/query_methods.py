"""Queries described per second under each query method: vgsearch in batches against one query at a time.

One at a time is what research code does, since photos of several sizes make no batch: float32, NCHW, one PIL
-> tensor -> normalise -> resize -> crop per query in DataLoader workers, batches of one (of five with five
crops). vgsearch plans batches by the size that the network sees. Both sides run the same network on the same
files with the same number of workers, in turns; the best round of each counts, since other load on the
machine can only slow one down.

    python benchmarks/query_methods.py            # about five minutes on 2 cores
    python benchmarks/query_methods.py --authors CHECKOUT
                                    # of github.com/gmberton/deep-visual-geo-localization-benchmark

With the authors' code their own `test()` describes the queries, with the same batch size (but one for
`single_query`, as they have it); its clock starts when the database, which is one photo, is described, and
stops before the search. Native queries it does not know.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.transforms.functional as TF
from extraction import IMAGENET_MEAN, IMAGENET_STD, PlainNetwork
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vgsearch.config.query_method import MULTI_ROW, ONE_ROW, QueryMethod
from vgsearch.config.search import EvalConfig
from vgsearch.config.trial import TrialConfig
from vgsearch.data.index import ImageIndex, index_folder
from vgsearch.models.network import build_network
from vgsearch.models.precision import Precision, pick_device, resolve_precision
from vgsearch.retrieval.extraction import extract_descriptors
from vgsearch.retrieval.query_methods import query_config
from vgsearch.training.threads import take_cpus

QUERY_SIZES = ((512, 512), (480, 640), (640, 480), (600, 800))
Described = NDArray[np.float32]
Extract = Callable[[], tuple[float, Described]]


class PlainQueries(Dataset[Tensor]):
    """Files as normalised float32 pictures, (1 or 5, 3, h, w) each."""

    def __init__(self, index: ImageIndex, method: QueryMethod, target: tuple[int, int]) -> None:
        self.index, self.method, self.target = index, method, target

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> Tensor:
        with Image.open(self.index.absolute(i)) as image:
            photo = TF.normalize(TF.to_tensor(image.convert("RGB")), list(IMAGENET_MEAN), list(IMAGENET_STD))
        if self.method == "native":
            return photo[None]
        if self.method == "central_crop":
            scale = max(self.target[0] / photo.shape[1], self.target[1] / photo.shape[2])
            size = [round(side * scale) for side in photo.shape[1:]]
            return TF.center_crop(TF.resize(photo, size, antialias=True), list(self.target))[None]
        side_px = min(self.target)
        photo = TF.resize(photo, side_px, antialias=True)
        return photo[None] if self.method == "single_query" else torch.stack(TF.five_crop(photo, side_px))


def describe_plainly(
    network: PlainNetwork,
    queries: ImageIndex,
    method: QueryMethod,
    *,
    target: tuple[int, int],
    workers: int,
    device: torch.device,
) -> Described:
    """Describe one query after the other."""
    loader = DataLoader(PlainQueries(queries, method, target), batch_size=None, num_workers=workers)
    rows = []
    network.eval()
    with torch.no_grad():
        for pictures in loader:
            described = network(pictures.to(device))
            if method == "five_crops":
                described = F.normalize(described.mean(dim=0, keepdim=True), dim=1)
            rows.append(described.cpu().numpy())
    return np.concatenate(rows)


class AuthorsTest:
    """The authors' own `test()`, up to its search."""

    def __init__(self, checkout: Path) -> None:
        self.test, self.datasets = (_module(checkout / f"{name}.py") for name in ("test", "datasets_ws"))
        self.test.faiss = SimpleNamespace(IndexFlatL2=_StoppedHere)
        self.test.tqdm = lambda batches, **_: batches

    def __call__(
        self,
        network: PlainNetwork,
        split: Path,
        method: str,
        arguments: argparse.Namespace,
        descriptor_dim: int,
    ) -> tuple[float, Described]:
        """Seconds and descriptors of the queries of `split`, ROOT/NAME/images/SPLIT."""
        loaders = self.test.DataLoader = _ClockedLoaders()
        asked = SimpleNamespace(
            resize=[arguments.height, arguments.width],
            test_method=method,
            val_positive_dist_threshold=25,
            infer_batch_size=arguments.batch_size,
            num_workers=arguments.workers,
            device=pick_device().type,
            features_dim=descriptor_dim,
            efficient_ram_testing=False,
            recall_values=[1],
        )
        dataset = self.datasets.BaseDataset(asked, str(split.parents[2]), split.parents[1].name, split.name)
        try:
            self.test.test(asked, dataset, network, test_method=method)
        except _DescribedAll as end:
            return end.at_s - loaders.made_s[1], end.rows
        raise RuntimeError("their test() made no search")


class _ClockedLoaders:
    """In place of their `DataLoader`: the second one, of the queries, starts the clock."""

    def __init__(self) -> None:
        self.made_s: list[float] = []

    def __call__(self, *given: Any, **named: Any) -> DataLoader[Any]:
        self.made_s.append(time.perf_counter())
        return DataLoader(*given, **named)


class _DescribedAll(Exception):
    def __init__(self, at_s: float, rows: Described) -> None:
        super().__init__()
        self.at_s, self.rows = at_s, rows


class _StoppedHere:
    """In place of faiss's index: the search comes when all is described."""

    def __init__(self, _: int) -> None:
        self.at_s = time.perf_counter()

    def add(self, _: Described) -> None:
        """The one photo of the database."""

    def search(self, rows: Described, _: int) -> None:
        """End the test."""
        raise _DescribedAll(self.at_s, rows)


def _module(path: Path) -> Any:
    """A file of theirs; `test` is also a package of Python's own."""
    spec = importlib.util.spec_from_file_location(f"authors_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no Python file")
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_photos(folder: Path, count: int) -> ImageIndex:
    """Write JPEGs of several sizes, as detailed as street photos."""
    folder.mkdir(parents=True)
    for i in range(count):
        height_px, width_px = QUERY_SIZES[i % len(QUERY_SIZES)]
        rng = np.random.default_rng([i, height_px, width_px])
        coarse = Image.fromarray(rng.integers(0, 256, (height_px // 16, width_px // 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width_px, height_px), Image.Resampling.BICUBIC), dtype=np.int16)
        grain = rng.normal(0, 12, (height_px, width_px, 1)).astype(np.int16)
        photo = Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))
        photo.save(folder / f"@{500000 + i}.00@4000000.00@photo{i:04d}@.jpg", quality=90)
    return index_folder(folder, cache_dir=folder.parent / "cache")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--queries", type=int, default=32, help="photos of four sizes")
    parser.add_argument("--backbone", default="resnet18.tv_in1k")
    parser.add_argument("--height", type=int, default=480, help="of the target")
    parser.add_argument("--width", type=int, default=640, help="of the target")
    parser.add_argument(
        "--workers", type=int, default=2, help="loader processes, or loader threads of vgsearch"
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--authors", type=Path, help="checkout of the authors' repository")
    return parser.parse_args()


def main() -> None:
    """Time both sides under each method that shows the network something of its own, and print the ratios."""
    arguments = parse_arguments()
    device = pick_device()
    take_cpus(device)
    full, own = Precision(torch.float32, use_scaler=False), resolve_precision("auto", device)
    trial = TrialConfig(backbone=arguments.backbone, weights="none")
    network = build_network(trial).to(device)
    plain = PlainNetwork(network)
    target = (arguments.height, arguments.width)
    # Voting describes what the nearest crop does.
    methods = (*ONE_ROW, MULTI_ROW[0])
    authors = None
    if arguments.authors is not None:
        authors = AuthorsTest(arguments.authors)
        methods = tuple(method for method in methods if method != "native")
    print(
        f"{arguments.backbone}, {arguments.queries} queries, target {target[0]} x {target[1]}, batch size "
        f"{arguments.batch_size}, {arguments.workers} workers, {device.type}, torch {torch.__version__}, "
        f"best of {arguments.rounds} rounds"
    )
    other = "one by one" if authors is None else "authors"
    print(f"{'queries/s':<16}{other:>12}{'fp32':>10}{'ratio':>8}{own.name:>10}{'ratio':>8}{'cosine':>10}")
    with tempfile.TemporaryDirectory() as folder:
        split = Path(folder) / "city" / "images" / "test"
        queries = write_photos(split / "queries", arguments.queries)
        (split / "database").mkdir()
        shutil.copy(queries.absolute(0), split / "database")
        for method in methods:
            settings = EvalConfig(query_method=method, batch_size=arguments.batch_size)
            if method != "native":
                crop = {"crop_height_px": target[0], "crop_width_px": target[1]}
                settings = query_config(settings.model_copy(update=crop), queries)

            def the_other(method: QueryMethod = method) -> tuple[float, Described]:
                if authors is not None:
                    return authors(plain, split, method, arguments, trial.descriptor_dim)
                return clocked(
                    lambda: describe_plainly(
                        plain, queries, method, target=target, workers=arguments.workers, device=device
                    )
                )

            def in_batches(precision: Precision, settings: EvalConfig = settings) -> tuple[float, Described]:
                return clocked(
                    lambda: extract_descriptors(
                        network,
                        queries,
                        eval_config=settings,
                        device=device,
                        precision=precision,
                        loader_threads=arguments.workers,
                    )
                )

            sides = (the_other, lambda: in_batches(full), lambda: in_batches(own))
            report(method, len(queries), *time_in_turns(sides, arguments.rounds))


def clocked(describe: Callable[[], Described]) -> tuple[float, Described]:
    """Seconds, and what was described."""
    start = time.perf_counter()
    rows = describe()
    return time.perf_counter() - start, rows


def time_in_turns(sides: tuple[Extract, ...], rounds: int) -> tuple[list[float], list[Described]]:
    """Best seconds of each side, and what it described."""
    best = [float("inf")] * len(sides)
    described = [np.empty((0, 0), dtype=np.float32)] * len(sides)
    for _ in range(rounds):
        for i, extract in enumerate(sides):
            seconds, described[i] = extract()
            best[i] = min(best[i], seconds)
    return best, described


def report(method: QueryMethod, num_queries: int, seconds: list[float], described: list[Described]) -> None:
    """Print one method: queries per second, ratios, and the median cosine of fp32 to the other side."""
    name = "nearest/voting" if method in MULTI_ROW else method
    plain_s, full_s, own_s = seconds
    theirs = described[0] / np.linalg.norm(described[0], axis=1, keepdims=True)
    cosine = float(np.median((theirs * described[1]).sum(axis=1)))
    print(
        f"{name:<16}{num_queries / plain_s:>12.2f}{num_queries / full_s:>10.2f}{plain_s / full_s:>7.2f}x"
        f"{num_queries / own_s:>10.2f}{plain_s / own_s:>7.2f}x{cosine:>10.5f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
