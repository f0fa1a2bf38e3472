"""What choosing an ensemble costs from stored descriptors, against bare matrix products of the same size.

The sizes are those of SF-XS val: 8,015 database images, 7,993 queries, 512-D, 50 members. The descriptors are
drawn, but not as noise: places have neighbours and look-alikes, an image shows its place with a view of its
own, and each member adds errors of its own to what it sees and to what it says. They lie in memory-mapped
files, as stored ones do.

    python benchmarks/ensemble_scoring.py                           # some minutes on 2 cores
    python benchmarks/ensemble_scoring.py --hard                    # members that have little in common
    python benchmarks/ensemble_scoring.py --mean-rounds 10          # all rounds of `mean`, too
    python benchmarks/ensemble_scoring.py --threads 1 --clock cpu   # on a machine that others use as well

Three ratios are printed, each of two times of this very run:

1. one candidate, fused from its members' files and scored, against one float32 product and its top 20;
2. greedy over all members by `similarity`, against one product for each member;
3. greedy by `mean`, against the products that it made, and how many it was spared.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vgsearch.ensembling.ensemble_scoring import first_hit_ranks
from vgsearch.ensembling.fusion import fuse_descriptors
from vgsearch.ensembling.mean_scorer import MeanScorer
from vgsearch.ensembling.objective import Objective
from vgsearch.ensembling.positives import Positives
from vgsearch.ensembling.pot import PotSplit
from vgsearch.ensembling.selection import Selection, greedy
from vgsearch.ensembling.similarity_scorer import SimilarityScorer

NUM_DATABASE, NUM_QUERIES, LENGTH, NUM_PLACES, LATENT, TOP = 8015, 7993, 512, 1600, 48, 20


CLOCK: Callable[[], float] = time.perf_counter


def draw_pot(folder: Path, members: int, *, hard: bool) -> PotSplit:
    """Draw places, images and what each member makes of them; files go to `folder`."""
    rng = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng)

    places = normal(NUM_PLACES, LATENT)
    places = places + 0.5 * places.roll(1, 0) + 0.5 * places.roll(-1, 0)
    places += 1.5 * normal(40, LATENT)[torch.randint(0, 40, (NUM_PLACES,), generator=rng)]
    where = [
        torch.sort(torch.randint(0, NUM_PLACES, (count,), generator=rng)).values
        for count in (NUM_DATABASE, NUM_QUERIES)
    ]
    view, own = (1.0, 1.0) if hard else (1.5, 0.3)
    seen = [places[at] + view * normal(len(at), LATENT) for at in where]
    databases, queries = [], []
    for member in range(members):
        error = own * (0.8 + 0.4 * torch.rand(1, generator=rng).item())
        to_features, to_descriptor = (
            normal(LATENT, LENGTH) / LATENT**0.5,
            normal(LENGTH, LENGTH) / LENGTH**0.5,
        )
        for part, rows, files in zip(("database", "queries"), seen, (databases, queries), strict=True):
            features = torch.tanh((rows + error * normal(*rows.shape)) @ to_features)
            features = features + error * normal(len(rows), LENGTH)
            descriptors = torch.nn.functional.normalize(features @ to_descriptor, dim=1)
            path = folder / f"{member}_{part}.npy"
            np.save(path, descriptors.numpy())
            files.append(np.load(path, mmap_mode="r"))
    positive = (where[1][:, None] - where[0][None]).abs().numpy() <= 1
    starts = np.concatenate([[0], np.cumsum(positive.sum(axis=1))]).astype(np.int64)
    return PotSplit(databases, queries, Positives(starts, np.nonzero(positive)[1], NUM_DATABASE))


def best_s(work: Callable[[], object], rounds: int = 3) -> float:
    """Least seconds of a few rounds: other load on the machine can only slow one down."""
    times_s = []
    for _ in range(rounds):
        start_s = CLOCK()
        work()
        times_s.append(CLOCK() - start_s)
    return min(times_s)


def bare_product(pot: PotSplit) -> tuple[float, float]:
    """Seconds of one whole product, and of the top 20 of its rows."""
    database, queries = (torch.from_numpy(np.array(rows)) for rows in (pot.databases[0], pot.queries[0]))
    out = torch.empty(len(queries), len(database))
    product_s = best_s(lambda: torch.mm(queries, database.T, out=out))
    return product_s, best_s(lambda: out.topk(TOP, dim=1))


def one_candidate(pot: PotSplit, members: list[int], fusion: str) -> NDArray[np.int32]:
    """Fuse members from their files and rank every query's first positive."""
    weights = [1.0] * len(members)
    database = fuse_descriptors([pot.databases[member] for member in members], fusion, weights)  # type: ignore[arg-type]
    queries = fuse_descriptors([pot.queries[member] for member in members], fusion, weights)  # type: ignore[arg-type]
    return first_hit_ranks(database, queries, pot.positives)


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--mean-rounds", type=int, default=2, help="of `mean`, which takes minutes for ten")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: of all threads together"
    )
    parser.add_argument("--hard", action="store_true", help="members whose errors are mostly their own")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    global CLOCK
    CLOCK = time.perf_counter if options.clock == "wall" else time.process_time
    with tempfile.TemporaryDirectory() as folder:
        pot = draw_pot(Path(folder), options.members, hard=options.hard)
        run(pot, options)


def run(pot: PotSplit, options: argparse.Namespace) -> None:
    """Measure and print."""
    members = options.members
    say(
        f"{NUM_QUERIES} queries, {NUM_DATABASE} images, {LENGTH}-D, {members} members, "
        f"{len(pot.positives.ids) / NUM_QUERIES:.1f} positives a query; {options.threads} threads, "
        f"{options.clock} time"
    )
    product_s, top_s = bare_product(pot)
    gflops = 2e-9 * NUM_QUERIES * NUM_DATABASE * LENGTH / product_s
    say(f"bare float32 product {product_s:.2f} s ({gflops:.0f} GFLOP/s), its top {TOP} {top_s:.2f} s")
    for few in ([0], [0, 1, 2]):
        candidate_s = best_s(lambda few=few: one_candidate(pot, few, "mean"))  # type: ignore[misc]
        say(
            f"1. one candidate, mean of {len(few)}: {candidate_s:.2f} s, "
            f"{candidate_s / (product_s + top_s):.2f} x bare product and top {TOP}"
        )
    measure_similarity(pot, members, options.rounds, product_s)
    if options.mean_rounds:
        measure_mean(pot, members, options.mean_rounds, product_s, drop_early=True)
        measure_mean(pot, members, 1, product_s, drop_early=False)


def measure_similarity(pot: PotSplit, members: int, rounds: int, product_s: float) -> None:
    """Greedy by similarity, and whether its ensemble is right as often when it is multiplied out."""
    objective = Objective(1, (NUM_QUERIES,))
    start_s = CLOCK()
    scorer = SimilarityScorer([pot], objective)
    built_s = CLOCK() - start_s
    found = greedy(scorer, size=rounds)
    all_s = CLOCK() - start_s
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    say(
        f"2. greedy by similarity, {members} members x {rounds} rounds: {all_s:.1f} s, {built_s:.1f} s of it "
        f"for the shortlists; {all_s / (members * product_s):.2f} x one product a member; "
        f"{scorer.num_multiplied_out} queries multiplied out again; R@1 {values(found)}; peak memory "
        f"{peak_gib:.1f} GiB, files included"
    )
    taken = np.flatnonzero(found.counts).tolist()
    shares = [float(found.counts[member]) for member in taken]
    ranks = first_hit_ranks(
        fuse_descriptors([pot.databases[member] for member in taken], "similarity", shares),
        fuse_descriptors([pot.queries[member] for member in taken], "similarity", shares),
        pot.positives,
    )
    kept = max(found.rounds, key=lambda each: each.value)
    say(
        f"   the same ensemble multiplied out: R@1 {objective.percent(ranks == 0):.2f}, "
        f"{int(((ranks == 0) != kept.hits).sum())} queries differ"
    )


def measure_mean(pot: PotSplit, members: int, rounds: int, product_s: float, *, drop_early: bool) -> None:
    """Greedy by mean."""
    scorer = MeanScorer([pot], Objective(1, (NUM_QUERIES,)), drop_early=drop_early)
    start_s = CLOCK()
    found = greedy(scorer, size=rounds)
    all_s = CLOCK() - start_s
    made = scorer.num_products
    say(
        f"3. greedy by mean, {members} members x {rounds} rounds, drop_early {str(drop_early).lower()}: "
        f"{all_s:.1f} s, {all_s / (made * product_s):.2f} x its {made:.1f} products of {rounds * members}; "
        f"R@1 {values(found)}"
    )


def values(found: Selection) -> str:
    """The recall after each round."""
    return " ".join(f"{each.value:.2f}" for each in found.rounds)


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
