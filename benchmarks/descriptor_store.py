"""What the descriptor store saves and costs, in one run.

One network is scored on the demo city's two val splits (day and night, one database): by extraction alone,
through an empty store, from the store by an object that has to check every byte, and once more by the same
object. Rounds take turns; the best of each counts, since other load on the machine can only slow one down.
Then the price of a check and of a look-up: the checksum over a large entry, from memory and, as far as the
system drops its cache when asked to, from disk; and the time of asking for a pair that was asked for before.

    python benchmarks/descriptor_store.py    # minutes on 2 cores, most of them drawing and extracting
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vgsearch.config.search import DemoCityConfig, EvalConfig
from vgsearch.config.trial import TrialConfig
from vgsearch.data.demo_city import build_demo_city
from vgsearch.data.retrieval_set import RetrievalSet, load_retrieval_set
from vgsearch.models.network import build_network
from vgsearch.models.precision import pick_device, resolve_precision
from vgsearch.retrieval.descriptor_checksum import checksum_of_file
from vgsearch.retrieval.descriptor_entry import DATA_FILE, write_entry
from vgsearch.retrieval.descriptor_key import DescriptorKey
from vgsearch.retrieval.descriptor_store import DescriptorStore
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.scoring import score_sets
from vgsearch.retrieval.stored_scoring import score_stored
from vgsearch.training.threads import take_cpus

SF_XL_BYTES = 2_800_000 * 512 * 4


@dataclass(frozen=True)
class Identity:
    """A made-up network's."""

    weights_sha256: str = "0" * 64
    architecture: str = "benchmark"


def seconds_of(work: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def time_scoring(folder: Path, sets: list[RetrievalSet], rounds: int) -> None:
    """Print seconds of scoring `sets` in four ways, and of a look-up."""
    device = pick_device()
    take_cpus(device)
    precision = resolve_precision("auto", device)
    network = build_network(TrialConfig(backbone="resnet18.tv_in1k", weights="none")).to(device).eval()
    config = EvalConfig()
    results: dict[str, list[RetrievalResult]] = {}

    def extracting() -> None:
        results["extraction"] = score_sets(
            network, sets, eval_config=config, device=device, precision=precision
        )

    def through(store: DescriptorStore, name: str) -> None:
        results[name] = score_stored(
            store, network, Identity(), sets, eval_config=config, device=device, precision=precision
        )

    best = dict.fromkeys(("extraction", "first, stores", "second, checks", "third"), float("inf"))
    for number in range(rounds):
        root = folder / f"store_{number}"
        checking = DescriptorStore(root)
        sides: dict[str, Callable[[], None]] = {
            "extraction": extracting,
            "first, stores": lambda root=root: through(DescriptorStore(root), "first, stores"),  # type: ignore[misc]
            "second, checks": lambda store=checking: through(store, "second, checks"),  # type: ignore[misc]
            "third": lambda store=checking: through(store, "third"),  # type: ignore[misc]
        }
        for name, side in sides.items():
            best[name] = min(best[name], seconds_of(side))
    for name, found in results.items():
        for result, wanted in zip(found, results["extraction"], strict=True):
            assert (result.first_hit_rank == wanted.first_hit_rank).all(), name
    num_images = sum(len(each.queries) for each in sets) + len(sets[0].database)
    print(f"ResNet-18, 512-D, {num_images} demo photos of 128 px, {precision.name}, best of {rounds} rounds")
    for name, spent in best.items():
        print(f"{name:<18}{spent:>9.3f} s{best['extraction'] / spent:>9.1f}x")
    index = sets[0].database

    def ask() -> None:
        for _ in range(1000):
            checking.describe(
                network, Identity(), index, eval_config=config, device=device, precision=precision
            )

    print(f"{'look-up of a pair':<18}{1e3 * seconds_of(ask):>9.0f} us")


def time_check(folder: Path, size_gb: float) -> None:
    """Print how fast an entry of `size_gb` is written and checked, and what that makes for SF-XL."""
    rows = np.random.default_rng(0).standard_normal((round(size_gb * 1e9 / 2048), 512), dtype=np.float32)
    key = DescriptorKey("0" * 64, "benchmark", "images", "{}", "fp32 on cpu")
    entry = folder / key.name
    wrote_s = seconds_of(lambda: write_entry(entry, key, rows, model="", images=""))
    path = entry / DATA_FILE
    warm_s = min(seconds_of(lambda: checksum_of_file(path, 128)) for _ in range(3))
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    cold_s = seconds_of(lambda: checksum_of_file(path, 128))
    print(f"an entry of {size_gb:g} GB ({rows.shape[0]:,} x 512), {os.cpu_count()} CPUs")
    for name, spent in (
        ("written, flushed", wrote_s),
        ("checked, cached", warm_s),
        ("checked, cold", cold_s),
    ):
        speed = rows.nbytes / spent / 1e9
        print(f"{name:<18}{speed:>9.2f} GB/s, so {SF_XL_BYTES / 1e9 / speed:.1f} s for SF-XL's 5.7 GB")


def main() -> None:
    """Draw the city, time both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--city", type=Path, help="a demo city that is drawn already")
    parser.add_argument("--size", default="small", choices=("tiny", "small", "full"))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--check-gb", type=float, default=1.0, help="size of the entry whose check is timed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        city = arguments.city or folder / "city"
        if arguments.city is None:
            build_demo_city(city, DemoCityConfig(size=arguments.size))
        sets = [load_retrieval_set(city / name, 25.0, cache_dir=folder) for name in ("val_day", "val_night")]
        time_scoring(folder, sets, arguments.rounds)
        time_check(folder, arguments.check_gb)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
