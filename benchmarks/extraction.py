"""Images described per second: vgsearch against the plain evaluation loop of CosPlace, in one run.

The plain loop is what research code does: float32, NCHW, one PIL -> tensor -> normalise per image in
DataLoader workers, the database in batches and the queries one by one, since they differ in size. Both sides
run the same network on the same files with the same number of workers, in turns; the best round of each
counts, since other load on the machine can only slow one down.

    python benchmarks/extraction.py            # about a minute and a half on 2 cores
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from vgsearch.config.search import EvalConfig
from vgsearch.config.trial import TrialConfig
from vgsearch.data.index import ImageIndex, index_folder
from vgsearch.models.network import DescriptorNetwork, build_network
from vgsearch.models.precision import Precision, pick_device, resolve_precision
from vgsearch.retrieval.extraction import extract_descriptors
from vgsearch.training.threads import take_cpus

DATABASE_SIZE = (512, 512)
QUERY_SIZES = ((512, 512), (480, 640), (640, 480))
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Extract = Callable[[], NDArray[np.float32]]


class PlainImages(Dataset[Tensor]):
    """Files as normalised float32 tensors, one at a time."""

    def __init__(self, index: ImageIndex) -> None:
        self.index = index
        self.steps = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
        )

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> Tensor:
        with Image.open(self.index.absolute(i)) as image:
            pixels: Tensor = self.steps(image.convert("RGB"))
        return pixels


class PlainNetwork(nn.Module):
    """The same layers and weights in NCHW, fed with images that are normalised already."""

    def __init__(self, network: DescriptorNetwork) -> None:
        super().__init__()
        network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
        self.backbone, self.pooling, self.linear = network.backbone, network.pooling, network.linear

    def forward(self, images: Tensor) -> Tensor:
        """Describe float32 (b, 3, h, w), normalised, as float32 (b, d) of norm 1."""
        pooled = self.pooling(F.normalize(self.backbone(images), dim=1))
        return F.normalize(self.linear(pooled), dim=1)


def extract_plainly(
    network: PlainNetwork, index: ImageIndex, *, batch_size: int, workers: int, device: torch.device
) -> NDArray[np.float32]:
    """Describe an index the plain way; images of one batch must be of one size."""
    loader = DataLoader(
        PlainImages(index), batch_size=batch_size, num_workers=workers, pin_memory=device.type == "cuda"
    )
    network.eval()
    with torch.no_grad():
        return np.concatenate([network(images.to(device)).cpu().numpy() for images in loader])


def write_photos(folder: Path, sizes: list[tuple[int, int]]) -> ImageIndex:
    """Write JPEGs of the given (height, width), as detailed as a street photo (70 to 100 KB at 512 x 512)."""
    folder.mkdir(parents=True)
    for i, (height_px, width_px) in enumerate(sizes):
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
    parser.add_argument("--database", type=int, default=32, help="database photos, 512 x 512")
    parser.add_argument("--queries", type=int, default=64, help="query photos of three sizes")
    parser.add_argument(
        "--workers", type=int, default=2, help="loader processes, or loader threads of vgsearch"
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Time the plain loop, vgsearch in float32 and vgsearch as it comes, and print the ratios."""
    arguments = parse_arguments()
    device = pick_device()
    take_cpus(device)
    own = resolve_precision("auto", device)
    full = Precision(torch.float32, use_scaler=False)
    network = build_network(TrialConfig(backbone="resnet18.tv_in1k", weights="none")).to(device)
    plain = PlainNetwork(network)
    config = EvalConfig(batch_size=arguments.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        database = write_photos(Path(folder) / "database", [DATABASE_SIZE] * arguments.database)
        sizes = [QUERY_SIZES[i % len(QUERY_SIZES)] for i in range(arguments.queries)]
        queries = write_photos(Path(folder) / "queries", sizes)

        def by_plain_loop(index: ImageIndex) -> NDArray[np.float32]:
            batch_size = 1 if index is queries else arguments.batch_size
            return extract_plainly(
                plain, index, batch_size=batch_size, workers=arguments.workers, device=device
            )

        def by_vgsearch(index: ImageIndex, precision: Precision) -> NDArray[np.float32]:
            return extract_descriptors(
                network,
                index,
                eval_config=config,
                device=device,
                precision=precision,
                loader_threads=arguments.workers,
            )

        sides: dict[str, Callable[[ImageIndex], NDArray[np.float32]]] = {
            "plain loop, fp32": by_plain_loop,
            "vgsearch, fp32": lambda index: by_vgsearch(index, full),
            f"vgsearch, auto = {own.name}": lambda index: by_vgsearch(index, own),
        }
        seconds = {side: {"database": np.inf, "queries": np.inf} for side in sides}
        described: dict[str, NDArray[np.float32]] = {}
        for extract in sides.values():
            extract(database.subset(range(min(4, len(database)))))
        for _ in range(arguments.rounds):
            for side, extract in sides.items():
                for part, index in (("database", database), ("queries", queries)):
                    start = time.perf_counter()
                    described[side] = extract(index)
                    seconds[side][part] = min(seconds[side][part], time.perf_counter() - start)
    report(arguments, device, seconds, described)


def report(
    arguments: argparse.Namespace,
    device: torch.device,
    seconds: dict[str, dict[str, float]],
    described: dict[str, NDArray[np.float32]],
) -> None:
    """Print images per second, the ratios to the plain loop, and how near the query descriptors are."""
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{torch.get_num_threads()} CPU threads"
    )
    print(
        f"ResNet-18, {arguments.database} database photos and {arguments.queries} queries, "
        f"{arguments.workers} workers, {name}, torch {torch.__version__}, best of {arguments.rounds} rounds"
    )
    print(f"{'images/s':<24}{'database':>10}{'queries':>10}{'all':>10}{'ratio':>8}{'cosine to plain':>18}")
    counts = {"database": arguments.database, "queries": arguments.queries}
    reference = next(iter(seconds))
    for side, spent in seconds.items():
        speeds = [counts[part] / spent[part] for part in counts]
        speeds.append(sum(counts.values()) / sum(spent.values()))
        ratio = sum(seconds[reference].values()) / sum(spent.values())
        cosine = float((described[side] * described[reference]).sum(axis=1).min())
        print(f"{side:<24}" + "".join(f"{s:>10.1f}" for s in speeds) + f"{ratio:>7.2f}x{cosine:>18.5f}")


if __name__ == "__main__":
    main()
