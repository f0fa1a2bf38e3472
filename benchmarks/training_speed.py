"""Training speed: vgsearch's trainer against a plain loop of the kind CosPlace's train.py runs.

Both train a ResNet-18 (random weights, layer3 and layer4 trainable, 512-d descriptor, CosFace) on the same
generated 512 px JPEGs with batches of the same size, in turns, each in its own process. The plain loop is
float32 and NCHW and augments image by image with torchvision in DataLoader workers; ours is `Trainer`, as in
a search.

    python benchmarks/training_speed.py [--batch 16] [--rounds 3] [--precision auto] [--compile]
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.connection
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torch.nn import functional
from torchvision import transforms

from vgsearch.config.search import DataConfig, EvalConfig, TrialSpec
from vgsearch.config.trial import CellsConfig, TrialConfig
from vgsearch.training.trainer import Trainer

DESCRIPTOR_DIM = 512


def write_images(folder: Path, *, places: int, images_per_place: int, px: int) -> None:
    """Write JPEGs with street-photo-like detail under SF-XS names, all places in cells of one group."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for place in range(places):
        for number in range(images_per_place):
            coarse = generator.integers(0, 256, (px // 16, px // 16, 3), dtype=np.uint8)
            smooth = np.asarray(Image.fromarray(coarse).resize((px, px), Image.Resampling.BICUBIC), np.int16)
            noise = generator.integers(-12, 13, (px, px, 1), dtype=np.int16)
            pixels = np.clip(smooth + noise, 0, 255).astype(np.uint8)
            east, north = 500_005 + 10 * place, 4_000_005
            name = f"@{east:.2f}@{north:.2f}@10@S@36.1@-123.0@p{place}_{number}@@0@@@@201801@@.jpg"
            Image.fromarray(pixels).save(folder / name, quality=90)


class PlainDataset(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """An item is a place; one of its images at random, augmented on its own."""

    def __init__(self, folder: Path, px: int) -> None:
        """List the images by place."""
        self.places: dict[str, list[Path]] = {}
        for path in sorted(folder.iterdir()):
            self.places.setdefault(path.name.split("@")[1], []).append(path)
        self.names = list(self.places)
        self.transform = transforms.Compose(
            [
                transforms.ToTensor(),
                transforms.ColorJitter(brightness=0.7, contrast=0.7, saturation=0.7, hue=0.5),
                transforms.RandomResizedCrop((px, px), scale=(0.5, 1.0), antialias=True),
                transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self) -> int:
        """Number of places."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Image float32 (3, px, px), normalised, and its place."""
        paths = self.places[self.names[index]]
        path = paths[int(torch.randint(len(paths), ()))]
        return self.transform(Image.open(path).convert("RGB")), index


class PlainNetwork(torch.nn.Module):
    """ResNet-18, GeM and a linear layer in torchvision's terms; stem, layer1 and layer2 take no gradient."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        resnet = torchvision.models.resnet18(weights=None)
        self.features = torch.nn.Sequential(*list(resnet.children())[:-2])
        for name, part in resnet.named_children():
            if name not in ("layer3", "layer4"):
                part.requires_grad_(False)
        self.power = torch.nn.Parameter(torch.tensor(3.0))
        self.linear = torch.nn.Linear(512, DESCRIPTOR_DIM)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (b, 3, h, w) -> descriptors (b, d), norm 1."""
        maps = functional.normalize(self.features(images), dim=1).clamp(min=1e-6)
        pooled = maps.pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)
        return functional.normalize(self.linear(pooled), dim=1)


class PlainTraining:
    """The plain loop: float32, NCHW, two Adams, a loss read back at every step."""

    def __init__(self, folder: Path, *, px: int, batch: int, workers: int) -> None:
        """Build network, CosFace weights and optimizers."""
        self.dataset = PlainDataset(folder, px)
        self.batch, self.workers = batch, workers
        self.network = PlainNetwork().train()
        self.centres = torch.nn.Parameter(torch.empty(len(self.dataset), DESCRIPTOR_DIM))
        torch.nn.init.xavier_uniform_(self.centres)
        self.optimizers = [
            torch.optim.Adam(self.network.parameters(), lr=1e-5),
            torch.optim.Adam([self.centres], lr=1e-2),
        ]

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Train on one batch; its loss."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        cosines = self.network(images) @ functional.normalize(self.centres, dim=1).T
        margins = functional.one_hot(labels, len(self.centres)) * 0.4
        loss = functional.cross_entropy(30.0 * (cosines - margins), labels)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item()

    def images_per_s(self, iterations: int) -> float:
        """Speed over `iterations` steps, after the workers have started and one step has run."""
        loader = torch.utils.data.DataLoader(
            self.dataset,
            batch_size=self.batch,
            num_workers=self.workers,
            drop_last=True,
            sampler=torch.utils.data.RandomSampler(
                self.dataset, replacement=True, num_samples=self.batch * (iterations + 1)
            ),
        )
        batches = iter(loader)
        self.step(*next(batches))
        start = time.perf_counter()
        for images, labels in batches:
            self.step(images, labels)
        return iterations * self.batch / (time.perf_counter() - start)


def run_plain(
    connection: multiprocessing.connection.Connection, folder: Path, px: int, batch: int, threads: int
) -> None:
    """A process of the plain loop: answers a number of iterations with a speed until it is told 0."""
    torch.set_num_threads(threads)
    plain = PlainTraining(folder, px=px, batch=batch, workers=threads)
    while iterations := connection.recv():
        connection.send(plain.images_per_s(iterations))


def build_trainer(root: Path, args: argparse.Namespace) -> Trainer:
    """Our trainer: one epoch a round, and one more to warm up."""
    trial = TrialConfig(
        backbone="resnet18",
        weights="none",
        descriptor_dim=DESCRIPTOR_DIM,
        cells=CellsConfig(groups_across=1, groups_heading=1, groups_used=1, min_images=1),
        image_px=args.px,
        batch_size=args.batch,
        epochs=args.rounds + 1,
        iterations_per_epoch=args.iterations,
        precision=args.precision,
        compile=args.compile,
    )
    data = DataConfig(train=str(root / "train"), val=str(root / "val"))
    spec = TrialSpec(search="benchmark", uid="speed", trial=trial, data=data, eval=EvalConfig(resize_px=64))
    return Trainer(spec, root / "trial", threads=args.threads)


def main() -> None:
    """Run both in turns and print images per second and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--px", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--iterations", type=int, default=4, help="steps timed in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16"))
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vgsearch_speed_") as folder:
        root = Path(folder)
        write_images(root / "train", places=2 * args.batch, images_per_place=2, px=args.px)
        for part in ("database", "queries"):
            write_images(root / "val" / part, places=2, images_per_place=1, px=64)
        trainer = build_trainer(root, args)
        ours_end, plain_end = multiprocessing.Pipe()
        plain = multiprocessing.get_context("spawn").Process(
            target=run_plain, args=(plain_end, root / "train", args.px, args.batch, args.threads)
        )
        plain.start()
        trainer.train_epoch()
        ours, peer = [], []
        for number in range(1, args.rounds + 1):
            ours.append(trainer.train_epoch().metrics["train/images_per_s"])
            ours_end.send(args.iterations)
            peer.append(ours_end.recv())
            print(
                f"round {number}: vgsearch {ours[-1]:.2f} images/s, plain loop {peer[-1]:.2f} images/s",
                flush=True,
            )
        ours_end.send(0)
        plain.join()
    fast, slow = statistics.median(ours), statistics.median(peer)
    print(f"median: vgsearch {fast:.2f} images/s, plain loop {slow:.2f} images/s, ratio {fast / slow:.2f}x")


if __name__ == "__main__":
    main()
