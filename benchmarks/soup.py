"""What a greedy soup costs: passes over val, memory, and decoding.

    python benchmarks/soup.py            # less than three minutes on 2 cores

Three parts, each printed with what it is measured against:

1. Images described by a greedy soup of N checkpoints against N passes over val, with and without giving up
   soups that cannot win, and with BatchNorm statistics tried both ways (2N passes). Counted, not timed: the
   count hardly depends on the machine. The ingredients are one trained network with noise of several sizes,
   so that near ones mix and far ones are given up.
2. Peak memory of averaging 2 and 8 checkpoints of about 100 MB, each in a process of its own.
3. A pass over the images from the cache against decoding them again, in turns in one run: loading alone,
   which is what the cache saves.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from vgsearch.config.search import DataConfig, DemoCityConfig, EvalConfig, TrialSpec
from vgsearch.config.trial import CellsConfig, TrialConfig
from vgsearch.data.demo_city import build_demo_city
from vgsearch.data.framing import OWN_SIZE
from vgsearch.data.index import index_folder
from vgsearch.data.retrieval_set import RetrievalSet, queries_with_positive
from vgsearch.ensembling.batch_norm import moved_layers
from vgsearch.ensembling.calibration import CalibrationImages
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.image_cache import CachedBatches
from vgsearch.ensembling.pixel_file import PixelFile
from vgsearch.ensembling.soup_choice import Choice
from vgsearch.ensembling.soup_greedy import greedy_soup
from vgsearch.ensembling.soup_maker import RecalibrateBn, SoupMaker
from vgsearch.ensembling.soup_mixing import MeanMixing
from vgsearch.ensembling.val_pass import ValPass
from vgsearch.models.checkpoint import load_network
from vgsearch.models.precision import pick_device, resolve_scoring_precision
from vgsearch.retrieval.batch_plan import plan_batches
from vgsearch.retrieval.image_loader import load_batches, network_sizes
from vgsearch.training.data_cache import load_val_sets
from vgsearch.training.threads import take_cpus
from vgsearch.training.trainer import Trainer

NOISES = (0.0, 0.01, 0.02, 0.03, 0.1, 1.0)
NUM_DATABASE = NUM_QUERIES = 160
FLOORS = (50.0, 70.0, 90.0, 95.0)
CACHE_BYTES = 4 * 10**9


def main() -> None:
    """Run the three parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--iterations", type=int, default=30, help="of training, so that there is something to lose"
    )
    parser.add_argument("--photos", type=int, default=200, help="photos of 512 x 512 for the cache")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--average", type=Path, nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.average:
        print(peak_of_averaging(arguments.average))
        return
    with tempfile.TemporaryDirectory() as folder:
        passes(Path(folder) / "passes", arguments.iterations)
        memory(Path(folder) / "memory")
        decoding(Path(folder) / "photos", arguments.photos, arguments.rounds)


def passes(root: Path, iterations: int) -> None:
    """Count the images that greedy soups describe."""
    data, files = ingredients(root, iterations)
    val = {"": western_part(load_val_sets(data)[""])}
    device = pick_device()
    take_cpus(device)
    network = load_network(files[0].parent, device)
    precision = resolve_scoring_precision("auto", device)

    def new_pass(early_drop: bool) -> ValPass:
        return ValPass(
            val,
            Criterion("val", "", 1),
            eval_config=EvalConfig(),
            device=device,
            precision=precision,
            threads=2,
            folder=root,
            max_cache_bytes=CACHE_BYTES,
            early_drop=early_drop,
        )

    def new_maker(val_pass: ValPass, recalibrate_bn: RecalibrateBn, order: list[int]) -> SoupMaker:
        return SoupMaker(
            network,
            MeanMixing([files[i] for i in order]),
            val_pass,
            recalibrate_bn=recalibrate_bn,
            calibration=calibration,
            device=device,
            precision=precision,
        )

    with ExitStack() as stack:
        calibration = CalibrationImages(
            index_folder(Path(data.train)),
            side_px=96,
            num_images=64,
            seed=0,
            threads=2,
            folder=root,
            max_bytes=CACHE_BYTES,
        )
        stack.callback(calibration.close)
        # A search has recorded what each is worth alone; here it has to be found out.
        val_pass = new_pass(False)
        stack.callback(val_pass.close)
        maker = new_maker(val_pass, "off", list(range(len(files))))
        alone = [maker.try_soup([(i, 1.0)]) for i in range(len(files))]
        order = sorted(range(len(files)), key=lambda i: -alone[i].value)
        singles = [alone[i] for i in order]
        print(
            f"greedy soups of {len(files)} on {val_pass.num_images} images, R@1 of each alone: "
            + ", ".join(f"{single.value:.1f}" for single in singles),
            flush=True,
        )
        sides: list[tuple[bool, RecalibrateBn]] = [(False, "off"), (True, "off"), (True, "auto")]
        for early_drop, recalibrate_bn in sides:
            val_pass = new_pass(early_drop)
            stack.callback(val_pass.close)
            maker = new_maker(val_pass, recalibrate_bn, order)
            choice = greedy_soup(singles, maker.try_soup)
            report_passes(choice, val_pass, maker, early_drop, recalibrate_bn)
        # The rule saves the more, the better the soup is that has to be beaten.
        val_pass = new_pass(True)
        stack.callback(val_pass.close)
        maker = new_maker(val_pass, "off", order)
        parts = [maker.try_soup([(len(order) - 1, 1.0)], floor).part for floor in FLOORS]
        print(
            f"  the worst of them (R@1 {singles[-1].value:.1f}) against a soup of R@1 "
            + ", ".join(f"{floor:.0f}: {part:.0%}" for floor, part in zip(FLOORS, parts, strict=True))
            + " of the images described",
            flush=True,
        )


def report_passes(
    choice: Choice, val_pass: ValPass, maker: SoupMaker, early_drop: bool, recalibrate_bn: RecalibrateBn
) -> None:
    """Print what one greedy soup described, with the pass for the soup that is kept."""
    count = len(choice.steps)
    most = count * (2 if recalibrate_bn == "auto" else 1)
    spent = val_pass.num_described / val_pass.num_images + 1
    given_up = [f"{step.tried.part:.0%}" for step in choice.steps if step.tried.results is None]
    print(
        f"  early drop {'on ' if early_drop else 'off'}, BatchNorm {recalibrate_bn:<4}: {spent:.2f} passes "
        f"(at most {most}), {val_pass.num_decoded} images decoded, {maker.num_calibrations} BatchNorm "
        f"passes; given up after {', '.join(given_up) or '-'}; {len(choice.recipe)} taken, "
        f"R@1 {choice.tried.value:.1f}",
        flush=True,
    )


def western_part(whole: RetrievalSet) -> RetrievalSet:
    """The first images by name, which begins with the easting: a smaller set of the same kind."""
    database = whole.database.subset(range(min(NUM_DATABASE, len(whole.database))))
    queries = whole.queries.subset(range(min(NUM_QUERIES, len(whole.queries))))
    has_positive = queries_with_positive(database, queries, whole.positive_distance_m)
    return RetrievalSet(
        whole.name, database, queries, whole.positive_distance_m, has_positive, "western part"
    )


def ingredients(root: Path, iterations: int) -> tuple[DataConfig, list[Path]]:
    """Train one network on the demo city and move copies of it at random."""
    city = root / "city"
    build_demo_city(city, DemoCityConfig(folder="city", image_px=96, size="small"))
    data = DataConfig(train=str(city / "train"), val=str(city / "val_day"))
    trial = TrialConfig(
        backbone="tf_efficientnet_lite0",
        weights="bundled",
        descriptor_dim=256,
        cells=CellsConfig(groups_across=1, groups_heading=1, groups_used=1, min_images=3),
        image_px=96,
        batch_size=32,
        epochs=1,
        iterations_per_epoch=iterations,
        lr=1e-3,
    )
    spec = TrialSpec(search="setup", uid="setup-0", trial=trial, data=data)
    with Trainer(spec, root / "trial") as trainer:
        checkpoint = trainer.train_epoch().checkpoint
    network = load_network(checkpoint)
    files = []
    for number, noise in enumerate(NOISES):
        generator = torch.Generator().manual_seed(number)
        moved = {name: noisy(name, tensor, noise, generator) for name, tensor in network.state_dict().items()}
        folder = root / f"ingredient_{number}"
        folder.mkdir()
        for name in ("trial.yaml", "metrics.json"):
            (folder / name).write_bytes((checkpoint / name).read_bytes())
        save_file({name: tensor.contiguous() for name, tensor in moved.items()}, folder / "model.safetensors")
        files.append(folder / "model.safetensors")
    assert moved_layers(network, files)
    return data, files


def noisy(name: str, tensor: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Weights and means move by a part of their own spread; variances stay positive, counts stay."""
    if not tensor.is_floating_point() or tensor.numel() < 2 or "running_var" in name:
        return tensor
    return tensor + torch.randn(tensor.shape, generator=generator) * tensor.std() * noise


def memory(root: Path) -> None:
    """Average 2 and 8 checkpoints, each number in a process of its own."""
    root.mkdir()
    paths = []
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        tensors = {f"layer{i}": torch.randn(1024, 1024, generator=generator) for i in range(25)}
        paths.append(root / f"{seed}.safetensors")
        save_file(tensors, paths[-1])
    size = paths[0].stat().st_size
    peaks = {}
    for count in (2, 8):
        command = [sys.executable, __file__, "--average", *map(str, paths[:count])]
        peaks[count] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(
        f"averaging checkpoints of {size / 1e6:.0f} MB: "
        + ", ".join(f"{count} took {peak / 1e6:.0f} MB" for count, peak in peaks.items())
        + f" beyond the start; difference {(peaks[8] - peaks[2]) / size:+.2f} checkpoints",
        flush=True,
    )


def peak_of_averaging(paths: list[Path]) -> int:
    """Bytes of memory that averaging added to this process at its peak."""
    from vgsearch.ensembling.averaging import RunningAverage

    def peak() -> int:
        status = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024

    before = peak()
    average = RunningAverage()
    for path in paths[:-1]:
        average.add(path)
    for _ in average.stream(paths[-1]):
        pass
    return peak() - before


def decoding(root: Path, photos: int, rounds: int) -> None:
    """Load the same batches from files and from the cache, in turns."""
    root.mkdir()
    for i in range(photos):
        rng = np.random.default_rng(i)
        coarse = Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((512, 512), Image.Resampling.BICUBIC), dtype=np.int16)
        grain = rng.normal(0, 12, (512, 512, 1)).astype(np.int16)
        photo = Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))
        photo.save(root / f"@{500000 + i}.00@4000000.00@photo{i:04d}@.jpg", quality=90)
    index = index_folder(root, cache_dir=root.parent / "index")
    plan = list(plan_batches(network_sizes(index, OWN_SIZE, 2), 16))
    with PixelFile(root.parent, [batch.num_bytes for batch in plan], max_bytes=CACHE_BYTES) as pixels:
        cache = CachedBatches(index, plan, pixels, threads=2)

        def from_files() -> int:
            with load_batches(index, plan, threads=2) as batches:
                return sum(len(batch.ids) for batch in batches)

        def from_cache() -> int:
            with closing(cache.batches()) as batches:
                return sum(len(batch.ids) for batch in batches)

        from_cache()  # decodes and fills
        seconds: dict[Callable[[], int], float] = {from_files: np.inf, from_cache: np.inf}
        for _ in range(rounds):
            for side in seconds:
                began = time.perf_counter()
                assert side() == photos
                seconds[side] = min(seconds[side], time.perf_counter() - began)
    print(
        f"loading {photos} photos of 512 x 512 with 2 threads, best of {rounds} rounds: decoding "
        f"{photos / seconds[from_files]:.0f} images/s, cache {photos / seconds[from_cache]:.0f} images/s, "
        f"ratio {seconds[from_files] / seconds[from_cache]:.1f}x"
    )


if __name__ == "__main__":
    main()
