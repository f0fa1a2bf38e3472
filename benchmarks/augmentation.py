"""Training augmentation against CosPlace's way, which is torchvision's, image by image in float32.

    python benchmarks/augmentation.py --batch-size 32 --image-px 512

Two comparisons, each in one run on the same images, the two sides taking turns:
1. decoded images to an augmented batch (crop, flip, colour jitter), in this thread;
2. JPEG files to augmented batches: `TrainingBatches` against a `DataLoader` of as many workers that does what
   CosPlace's training set does.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from vgsearch.config.trial import AugmentConfig, TrialConfig
from vgsearch.data.augment import draw_augmentation
from vgsearch.data.cells import CellGroup
from vgsearch.data.color_jitter import color_jitter
from vgsearch.data.decode import read_image
from vgsearch.data.index import ImageIndex
from vgsearch.data.resized_crop import crop_and_flip
from vgsearch.data.training_set import TrainingBatches

AUGMENT = AugmentConfig()


class PerImage(Dataset[tuple[Tensor, int]]):
    """What CosPlace's training set does for one item."""

    def __init__(self, paths: list[Path], image_px: int) -> None:
        self.paths = paths
        self.augment = transforms.Compose(
            [
                transforms.ColorJitter(AUGMENT.brightness, AUGMENT.contrast, AUGMENT.saturation, AUGMENT.hue),
                transforms.RandomResizedCrop(
                    [image_px, image_px], scale=(AUGMENT.crop_scale_min, 1), antialias=True
                ),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        image = Image.open(self.paths[item]).convert("RGB")
        return self.augment(transforms.functional.to_tensor(image)), item


def write_photos(folder: Path, count: int, image_px: int) -> ImageIndex:
    """Write JPEGs with about a photo's size in bytes."""
    rng = np.random.default_rng(0)
    paths = [f"{i:04d}.jpg" for i in range(count)]
    for path in paths:
        coarse = Image.fromarray(rng.integers(0, 256, (image_px // 8, image_px // 8, 3), dtype=np.uint8))
        coarse.resize((image_px, image_px), Image.Resampling.BICUBIC).save(folder / path, quality=90)
    nothing = np.full(count, np.nan)
    return ImageIndex(folder, tuple(paths), nothing, nothing, nothing, "benchmark")


def seconds(action: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def compare(
    title: str, images: int, repeats: int, ours: Callable[[], object], theirs: Callable[[], object]
) -> None:
    """Let the two sides take turns and print images per second (median) and their ratio."""
    ours()
    theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    our_s, their_s = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"{title}: vgsearch {images / our_s:.0f} images/s, per image {images / their_s:.0f} images/s, "
        f"ratio {their_s / our_s:.1f}"
    )


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-px", type=int, default=512)
    parser.add_argument("--batches", type=int, default=4, help="batches per repeat, from files")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="our loader threads, their worker processes")
    parser.add_argument("--compile", action="store_true", help="fuse the jitter with torch.compile")
    options = parser.parse_args()
    size, px = options.batch_size, options.image_px
    machine = platform.processor() or platform.machine()
    print(f"{machine}, torch {torch.__version__}, {torch.get_num_threads()} threads")

    with tempfile.TemporaryDirectory() as folder:
        index = write_photos(Path(folder), size * options.batches, px)
        paths = [index.absolute(i) for i in range(len(index))]
        originals = [read_image(path) for path in paths[:size]]
        per_image = PerImage(paths, px)
        draws = draw_augmentation(AUGMENT, 0, 0, np.arange(size))

        def our_batch() -> Tensor:
            crops = [
                crop_and_flip(image, draws.crop.rows(slice(i, i + 1)), px)
                for i, image in enumerate(originals)
            ]
            return color_jitter(torch.stack(crops), draws.jitter, compile=options.compile)

        def their_batch() -> Tensor:
            return torch.stack([per_image.augment(image / 255) for image in originals])

        crops = torch.stack(originals)
        jitter = transforms.ColorJitter(AUGMENT.brightness, AUGMENT.contrast, AUGMENT.saturation, AUGMENT.hue)
        compare(
            "colour jitter alone",
            size,
            options.repeats,
            lambda: color_jitter(crops, draws.jitter, compile=options.compile),
            lambda: torch.stack([jitter(image / 255) for image in crops]),
        )
        compare("crop and colour jitter", size, options.repeats, our_batch, their_batch)

        trial = TrialConfig(image_px=px, batch_size=size, iterations_per_epoch=options.batches)
        ids = np.arange(len(index))
        group = CellGroup(np.zeros((len(index), 3), dtype=np.int64), np.arange(len(index) + 1), ids)
        batches = TrainingBatches(
            index, group, trial, epoch=0, threads=options.threads, device=torch.device("cpu")
        )
        loader = DataLoader(
            per_image,
            size,
            shuffle=True,
            drop_last=True,
            num_workers=options.threads,
            persistent_workers=True,
        )
        compare(
            "from JPEG files",
            len(index),
            options.repeats,
            lambda: _consume(batches),
            lambda: _consume(loader),
        )


def _consume(batches: TrainingBatches | DataLoader[tuple[Tensor, int]]) -> None:
    iterator: Iterator[object] = iter(batches)
    for _ in iterator:
        pass


if __name__ == "__main__":
    main()
