"""What the platform costs: `tune` over N trials against the same trials run bare, one after another.

    python benchmarks/platform_cost.py            # about 8 minutes on two cores: 3 trials of about a minute
    python benchmarks/platform_cost.py --trials 2 --iterations 20

Both sides train the same decided trials on the demo city with all cores. The platform's side is a whole
search: Ray is started, trials are proposed, placed on warm workers, recorded in a real MLflow store and
registered. Its fixed start (until the first trial is handed out) and its end (the champion's tests, which
the bare side lacks) are printed apart; the ratio is of the time in between.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from vgsearch.config.document import SearchDocument, load_document
from vgsearch.config.search import DataConfig, TrialSpec
from vgsearch.data.demo_city import build_demo_city
from vgsearch.models.checkpoint import read_spec
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.search.driver import run_search
from vgsearch.search.events import TrialEvent
from vgsearch.search.outcome import best_checkpoint
from vgsearch.training.reset import reset_process
from vgsearch.training.trainer import Trainer

SPACE = Path(__file__).parent.parent / "search_spaces" / "demo.yaml"


def main() -> None:
    """Run both sides and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument(
        "--iterations", type=int, default=80, help="per epoch; 80 take about a minute a trial"
    )
    arguments = parser.parse_args()
    cpus = len(os.sched_getaffinity(0))
    overrides = [
        f"search.num_trials={arguments.trials}",
        "search.scheduler.name=none",
        f"trial.epochs={arguments.epochs}",
        f"trial.iterations_per_epoch={arguments.iterations}",
        f"resources={{gpus_per_trial: 0, cpus_per_trial: {cpus}, max_concurrent: 1}}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        document = load_document(SPACE, overrides, data_root=root)
        if document.data.demo_city is None:
            raise SystemExit(f"{SPACE} has no demo city")
        build_demo_city(root / document.data.demo_city.folder, document.data.demo_city)
        data = document.resolved_data(root)
        start_s, trials_s, end_s = search(document, data, root / "runs")
        specs = [
            read_spec(checkpoint)
            for trial in sorted((root / "runs" / "trials").iterdir())
            if (checkpoint := best_checkpoint(trial)) is not None
        ]
        bare_s = [bare(spec, root / "bare" / spec.uid, cpus) for spec in specs]
    for spec, seconds in zip(specs, bare_s, strict=True):
        print(f"bare {spec.uid}: {seconds:.1f} s")
    print(
        f"bare, {len(specs)} trials: {sum(bare_s):.1f} s\n"
        f"tune, {arguments.trials} trials: {trials_s:.1f} s, after a start of {start_s:.1f} s; "
        f"then {end_s:.1f} s for the champion's tests and the untrained backbone\n"
        f"ratio tune / bare: {trials_s / sum(bare_s):.3f}"
    )


def search(document: SearchDocument, data: DataConfig, home: Path) -> tuple[float, float, float]:
    """Run the search; seconds until its first trial is handed out, of its trials, and after them."""
    began = time.perf_counter()
    seen: list[float] = []

    def watch(event: TrialEvent) -> None:
        seen.append(time.perf_counter())

    run_search(document, data, home, MlflowRegistry(home, None), watch=watch)
    return seen[0] - began, seen[-1] - seen[0], time.perf_counter() - seen[-1]


def bare(spec: TrialSpec, folder: Path, threads: int) -> float:
    """Seconds to train one trial in this process."""
    began = time.perf_counter()
    reset_process()
    with Trainer(spec, folder, threads=threads) as trainer:
        while not trainer.finished:
            trainer.train_epoch()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
