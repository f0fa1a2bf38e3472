"""Search efficiency: epochs until a search finds the best, by sampler and stopping rule.

Replays searches over the curves that `record_curves.py` recorded: vgsearch's own proposals and stopping
rules, with the defaults of a search file, one trial at a time, decide which configuration is "trained" next
and after which epoch it ends. Counted are the epochs until a trial reports at least 99% of the highest recall
of the whole table, which is what an exhaustive random search would end with. A configuration that is proposed
again is trained again and its epochs count again: a search does not know that it will see the same curve, and
no sampler is told to avoid repeats. `--free-repeats` counts them as nothing, for a search that never repeats.

A search that has not got there after `--max-epochs` counts with those, so a mean over such searches is a
lower bound; the column `reached` says how many got there. Intervals are 95% bootstrap intervals over seeds.

Early stopping pays as far as early epochs tell the end: the first lines printed say how far they do in the
table. What a table cannot say: its curves have no other seed, so a configuration that was stopped early is
stopped early whenever it is tried again. And recall on 500 queries is coarse: the rows that reach the target
owe part of it to luck, which no sampler can learn.

    python benchmarks/search_efficiency.py [--seeds 50] [--target 0.99] [--samplers random tpe qmc]
        [--schedulers none asha hyperband median] [--grace-epochs 1] [--reduction-factor 3]
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from curve_table import GRL_ALPHAS, LEARNING_RATES, LOSSES, GridPoint, read_table
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.stats import spearmanr

from vgsearch.config.search import SamplerConfig, SchedulerConfig
from vgsearch.config.space import Choice, IntRange, Space
from vgsearch.search.halving import ReportedEpoch
from vgsearch.search.proposal import propose
from vgsearch.search.stopping import JudgedTrial, stop_reason

TABLE = Path(__file__).parent / "data" / "demo_city_curves.csv"
SPACE = Space(
    {
        "loss": Choice(tuple(LOSSES)),
        "margin": IntRange(0, 1),
        "lr": IntRange(0, len(LEARNING_RATES) - 1),
        "grl_alpha": IntRange(0, len(GRL_ALPHAS) - 1),
    }
)
BASELINE = ("random", "none")
BOOTSTRAPS = 10_000


@dataclass(frozen=True)
class Rules:
    """What all searches of one run have in common."""

    table: Path
    target: float
    max_epochs: int
    free_repeats: bool
    grace_epochs: int
    reduction_factor: int


@cache
def _curves(table: Path) -> dict[GridPoint, tuple[float, ...]]:
    return read_table(table)


def epochs_to_target(job: tuple[str, str, int], rules: Rules) -> tuple[int, bool]:
    """Run one search.

    Args:
        job: sampler, scheduler and seed.
        rules: of all searches.

    Returns:
        the epochs that it trained, and whether it got there.
    """
    sampler, scheduler, seed = job
    proposer = SamplerConfig.model_validate({"name": sampler, "seed": seed})
    judge = SchedulerConfig.model_validate(
        {
            "name": scheduler,
            "grace_epochs": rules.grace_epochs,
            "reduction_factor": rules.reduction_factor,
        }
    )
    curves = _curves(rules.table)
    wanted = rules.target * max(map(max, curves.values()))
    trials: list[FrozenTrial] = []
    judged: list[JudgedTrial] = []
    trained: dict[GridPoint, int] = {}
    spent = arrival = 0
    while spent < rules.max_epochs:
        found = propose(SPACE, proposer, trials, len(trials))
        if found is None:
            break
        proposal, decided = found
        point = _point(decided)
        curve = curves[point]
        reports: dict[int, ReportedEpoch] = {}
        stopped = False
        for epoch, recall in enumerate(curve, start=1):
            if not rules.free_repeats or epoch > trained.get(point, 0):
                spent += 1
            reports[epoch] = ReportedEpoch(recall, arrival)
            arrival += 1
            if recall >= wanted:
                return spent, True
            if stop_reason(judge, JudgedTrial(len(trials), reports), epoch, len(curve), judged):
                stopped = True
                break
        trained[point] = max(trained.get(point, 0), len(reports))
        judged.append(JudgedTrial(len(trials), reports))
        trials.append(_told(proposal, [report.value for report in reports.values()], stopped=stopped))
        if len(trials) > rules.max_epochs:
            break  # all that it still proposes is free
    return spent, False


def _point(decided: Mapping[str, Any]) -> GridPoint:
    return GridPoint(decided["loss"], decided["margin"], decided["lr"], decided["grl_alpha"])


def _told(proposal: FrozenTrial, recalls: Sequence[float], *, stopped: bool) -> FrozenTrial:
    """The trial as a study holds it at its end, complete with its best recall or stopped with its last."""
    return create_trial(
        state=TrialState.PRUNED if stopped else TrialState.COMPLETE,
        value=recalls[-1] if stopped else max(recalls),
        params=proposal.params,
        distributions=proposal.distributions,
        system_attrs=proposal.system_attrs,
        intermediate_values=dict(enumerate(recalls, start=1)),
    )


def bootstrap_means(epochs: Sequence[int], generator: np.random.Generator) -> np.ndarray[Any, Any]:
    """Means of samples drawn from `epochs` with replacement, shape (BOOTSTRAPS,)."""
    values = np.asarray(epochs, dtype=np.float64)
    means: np.ndarray[Any, Any] = values[generator.integers(0, len(values), (BOOTSTRAPS, len(values)))].mean(
        axis=1
    )
    return means


def main() -> None:
    """Run every combination and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--target", type=float, default=0.99, help="part of the table's highest recall")
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe", "qmc"])
    parser.add_argument("--schedulers", nargs="+", default=["none", "asha", "hyperband", "median"])
    parser.add_argument("--grace-epochs", type=int, default=SchedulerConfig().grace_epochs)
    parser.add_argument("--reduction-factor", type=int, default=SchedulerConfig().reduction_factor)
    parser.add_argument("--max-epochs", type=int, default=2000)
    parser.add_argument("--free-repeats", action="store_true")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()

    curves = read_table(arguments.table)
    best = max(map(max, curves.values()))
    hits = sum(max(curve) >= arguments.target * best for curve in curves.values())
    print(f"{len(curves)} recorded curves, highest R@1 {best:.1f}; {hits} reach {arguments.target:.0%} of it")

    at_epoch = np.array(list(curves.values()))
    told = [float(spearmanr(at_epoch[:, i], at_epoch.max(axis=1))[0]) for i in range(at_epoch.shape[1])]
    print("rank correlation of each epoch with the row's best:", " ".join(f"{value:.2f}" for value in told))

    rules = Rules(
        arguments.table,
        arguments.target,
        arguments.max_epochs,
        arguments.free_repeats,
        arguments.grace_epochs,
        arguments.reduction_factor,
    )
    pairs = list(itertools.product(arguments.samplers, arguments.schedulers))
    if BASELINE not in pairs:
        pairs.insert(0, BASELINE)
    jobs = [(*pair, seed) for pair in pairs for seed in range(arguments.seeds)]
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        results = pool.map(partial(epochs_to_target, rules=rules), jobs, chunksize=5)
    by_pair = {pair: results[i * arguments.seeds : (i + 1) * arguments.seeds] for i, pair in enumerate(pairs)}
    generator = np.random.default_rng(0)
    means = {
        pair: bootstrap_means([spent for spent, _ in found], generator) for pair, found in by_pair.items()
    }
    print(f"{'sampler':<9}{'scheduler':<11}{'reached':>8}{'median':>8}{'mean epochs':>22}{'ratio':>22}")
    baseline = np.mean([spent for spent, _ in by_pair[BASELINE]])
    for pair, found in by_pair.items():
        epochs = [spent for spent, _ in found]
        reached = sum(got_there for _, got_there in found)
        low, high = np.quantile(means[pair], [0.025, 0.975])
        mean = f"{np.mean(epochs):.0f} [{low:.0f}, {high:.0f}]"
        ratio = f"{np.mean(epochs) / baseline:.2f}"
        if pair != BASELINE:
            low, high = np.quantile(means[pair] / means[BASELINE], [0.025, 0.975])
            ratio += f" [{low:.2f}, {high:.2f}]"
        count = f"{reached}/{len(found)}"
        print(f"{pair[0]:<9}{pair[1]:<11}{count:>8}{np.median(epochs):>8.0f}{mean:>22}{ratio:>22}")


if __name__ == "__main__":
    main()
