"""Record learning curves on the demo city: every configuration of a fixed grid, trained with `Trainer`.

Writes `benchmarks/data/demo_city_curves.csv`, which `search_efficiency.py` replays: a search over recorded
curves costs seconds where the trainings cost half an hour, and every sampler meets the same ones. A row is
written when its training ends; what is in the file already is not trained again.

One configuration takes about 21 s on one core that it has for itself (9 epochs of 12 iterations of batch 32
at 64 px, 500 queries scored after each); the whole table of 96 took 40 minutes on a core that was shared.

    python benchmarks/record_curves.py [--out FILE] [--data-root FOLDER] [--processes 1] [--threads 1]
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import random
import tempfile
import time
from pathlib import Path

from curve_table import EPOCHS, GRL_ALPHAS, LEARNING_RATES, LOSSES, GridPoint, append_row, grid, read_table

from vgsearch.config.search import DataConfig, DemoCityConfig, EvalConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.data.demo_city import build_demo_city
from vgsearch.training.trainer import Trainer

OBJECTIVE = "val/mean/recall_at_1"
IMAGE_PX = 64
ITERATIONS_PER_EPOCH = 12
TABLE = Path(__file__).parent / "data" / "demo_city_curves.csv"


def trial_spec(point: GridPoint, city: Path) -> TrialSpec:
    """The trial of one configuration; all else is as in search_spaces/demo.yaml, only shorter and smaller."""
    alpha = GRL_ALPHAS[point.grl_alpha]
    trial = TrialConfig.model_validate(
        {
            "backbone": "tf_efficientnet_lite0",
            "weights": "bundled",
            "loss": {"name": point.loss, "scale": 30.0, **LOSSES[point.loss][point.margin]},
            "domain": None if alpha is None else {"grl_alpha": alpha},
            "cells": {
                "cell_m": 10,
                "heading_deg": 30,
                "groups_across": 1,
                "groups_heading": 1,
                "groups_used": 1,
                "min_images": 5,
            },
            "augment": {
                "brightness": 0.5,
                "contrast": 0.5,
                "saturation": 0.5,
                "hue": 0.05,
                "crop_scale_min": 0.7,
            },
            "image_px": IMAGE_PX,
            "batch_size": 32,
            "epochs": EPOCHS,
            "iterations_per_epoch": ITERATIONS_PER_EPOCH,
            "lr": LEARNING_RATES[point.lr],
            "classifier_lr": 1.0e-2,
        }
    )
    data = DataConfig(
        train=str(city / "train"),
        val={"day": str(city / "val_day"), "night": str(city / "val_night")},
        target_domain=str(city / "target_night"),
    )
    return TrialSpec(
        search="curves",
        uid="curve",
        objective=OBJECTIVE,
        trial=trial,
        data=data,
        eval=EvalConfig(resize_px=IMAGE_PX, batch_size=64),
    )


def record(point: GridPoint, city: Path, threads: int) -> tuple[GridPoint, list[float]]:
    """Train one configuration to its end; recall in percent after each epoch."""
    with (
        tempfile.TemporaryDirectory(prefix="vgsearch-curve-") as folder,
        Trainer(trial_spec(point, city), Path(folder), threads=threads) as trainer,
    ):
        while not trainer.finished:
            trainer.train_epoch()
        return point, [report.metrics[OBJECTIVE] for report in trainer.reports]


def main() -> None:
    """Train what is missing and append it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="where the demo city is drawn")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    arguments = parser.parse_args()

    city = arguments.data_root.resolve() / "demo_city"
    build_demo_city(city, DemoCityConfig())
    done = read_table(arguments.out)
    missing = [point for point in grid() if point not in done]
    # A table that was cut short is still a fair sample of the grid.
    random.Random(0).shuffle(missing)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    train = functools.partial(record, city=city, threads=arguments.threads)
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for number, (point, curve) in enumerate(pool.imap_unordered(train, missing), start=1):
            append_row(arguments.out, point, curve)
            spent_s = time.monotonic() - start
            print(f"{number}/{len(missing)} {point} best {max(curve):.1f}, {spent_s:.0f} s", flush=True)


if __name__ == "__main__":
    main()
