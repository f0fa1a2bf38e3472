"""The soup doctor: what the models of a pot have in common, and what lies on the lines between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from vgsearch.errors import ConfigError, RegistryError

if TYPE_CHECKING:
    from vgsearch.ensembling.barrier import Hits
    from vgsearch.ensembling.candidates import Candidate
    from vgsearch.ensembling.criterion import Criterion
    from vgsearch.ensembling.val_pass import TriedSoup, TrySoup
    from vgsearch.reporting.diagnosis import PairRow

REPORTS_FOLDER = "reports"
PLOT_FILE = "soup_diagnosis.png"
MAX_POINTS = 9  # what 80 columns hold


def diagnose_soup(
    pot: Sequence[Candidate],
    others: Sequence[Candidate],
    singles: Sequence[TriedSoup],
    try_soup: TrySoup,
    criterion: Criterion,
    *,
    search: str,
    home: Path,
    console: Console,
    top_k: int = 3,
    all_pairs: bool = False,
    num_points: int = 5,
    num_images: int = 0,
    tries_both: bool = False,
) -> Path:
    """Say for pairs of a pot whether they can be averaged, and draw the lines between them.

    Args:
        pot: models of one architecture, best first.
        others: models of other architectures, which are only named.
        singles: what each of `pot` scores alone; a pair's ends are not scored again.
        try_soup: scores a mix of `pot`.
        criterion: the recall; of selection splits.
        search: names the folder of the plot.
        home: where `reports/<search>/soup_diagnosis.png` is written.
        console: where the report goes; first of all what it costs.
        top_k: the best model is paired with so many of those after it.
        all_pairs: these among each other, too.
        num_points: of each line, the ends included; 3 to 9.
        num_images: that one scoring describes, for the statement of the cost; 0 leaves it out.
        tries_both: whether `try_soup` may score a mix twice, with and without new BatchNorm statistics.

    Returns:
        The plot's path.

    Raises:
        RegistryError: fewer than two models.
        ConfigError: a test split, or numbers that are out of range.
        CheckpointError: a model cannot be read.
        StorageError: the plot cannot be written.
    """
    from vgsearch.cli.files import write_files
    from vgsearch.ensembling.barrier import MIN_POINTS, line_steps
    from vgsearch.ensembling.diagnosis import choose_pairs
    from vgsearch.reporting.barrier_plot import plot_lines
    from vgsearch.reporting.diagnosis import render_diagnosis
    from vgsearch.retrieval.bootstrap import grid_places

    _check(pot, criterion, top_k, num_points, MIN_POINTS)
    pairs = choose_pairs(len(pot), top_k, all_pairs=all_pairs)
    steps = line_steps(num_points)
    _say(console, _cost(len(pairs), len(steps) - 2, num_images, tries_both=tries_both))
    for other in others:
        _say(console, f"left out: {other.reference}, of another architecture ({other.architecture_in_words})")
    places = grid_places(_positions(singles[0], criterion))
    names = _short_names(pot)
    rows: list[PairRow] = []
    for number, (first, second) in enumerate(pairs, start=1):
        rows.append(_diagnose(pot, names, singles, try_soup, criterion, (first, second), steps, places))
        if number < len(pairs):
            _say(console, f"{number} of {len(pairs)} pairs done: {rows[-1].name}")
    console.print(
        render_diagnosis(
            rows,
            criterion=str(criterion),
            models=[
                (names[i], f"{pot[i].reference}, trial {pot[i].version.uid}")
                for i in sorted({index for pair in pairs for index in pair})
            ],
            num_queries=len(places),
            num_places=len(np.unique(places)),
        )
    )
    folder = home / REPORTS_FOLDER / search
    write_files(folder, {PLOT_FILE: plot_lines(rows, criterion=str(criterion))})
    _say(console, f"plot: {folder / PLOT_FILE}")
    return folder / PLOT_FILE


def _check(
    pot: Sequence[Candidate], criterion: Criterion, top_k: int, num_points: int, min_points: int
) -> None:
    if len(pot) < 2:
        raise RegistryError(
            f"a diagnosis compares two models of one architecture, but there is {len(pot)}: let more trials "
            "end, or name more searches"
        )
    if criterion.is_test:
        raise ConfigError([f"a diagnosis reads selection splits alone, not {criterion}; choose one of val"])
    if not min_points <= num_points <= MAX_POINTS:
        raise ConfigError([f"a line has {min_points} to {MAX_POINTS} points, got {num_points}"])
    if top_k < 1:
        raise ConfigError([f"the best is paired with 1 or more others, got {top_k}"])


def _cost(num_pairs: int, num_inner: int, num_images: int, *, tries_both: bool) -> str:
    scorings = num_pairs * num_inner
    twice = ", at most twice that with and without new BatchNorm statistics" if tries_both else ""
    images = f" of {num_images} images" if num_images else ""
    return (
        f"diagnosis: {_counted(num_pairs, 'pair')}, {_counted(num_inner, 'network')} on each line: "
        f"{_counted(scorings, 'scoring')} of val{images}{twice}"
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _diagnose(
    pot: Sequence[Candidate],
    names: Sequence[str],
    singles: Sequence[TriedSoup],
    try_soup: TrySoup,
    criterion: Criterion,
    pair: tuple[int, int],
    steps: Sequence[float],
    places: NDArray[np.int64],
) -> PairRow:
    from vgsearch.ensembling.barrier import measure_barrier, trace_line
    from vgsearch.ensembling.diagnosis import compare_pair, compare_starts
    from vgsearch.models.checkpoint import MODEL_FILE
    from vgsearch.models.stored_tensors import read_tensors
    from vgsearch.reporting.diagnosis import LineRow, PairRow
    from vgsearch.training.initial_state import read_initial_state

    first, second = (pot[index] for index in pair)
    facts = compare_pair(
        read_tensors(first.folder / MODEL_FILE)[0],
        read_tensors(second.folder / MODEL_FILE)[0],
        compare_starts(read_initial_state(first.folder), read_initial_state(second.folder)),
    )
    recalibrated = False

    def score(t: float) -> Hits:
        nonlocal recalibrated
        tried = try_soup([(pair[0], 1 - t), (pair[1], t)], None)
        recalibrated |= tried.is_recalibrated
        return _hits(tried, criterion, len(places))

    ends = _hits(singles[pair[0]], criterion, len(places)), _hits(singles[pair[1]], criterion, len(places))
    points = trace_line(ends, steps, score)
    barrier = measure_barrier(points, places)
    return PairRow(
        first=names[pair[0]],
        second=names[pair[1]],
        start=facts.start,
        distance=facts.distance,
        linear_distance=facts.linear_distance,
        bn_layers=facts.batch_norm.num_layers,
        bn_moved=facts.batch_norm.num_moved,
        bn_shift=facts.batch_norm.mean_shift,
        num_integers=len(facts.differing_integers),
        points=tuple(LineRow(point.t, point.recall(criterion.n)) for point in points),
        barrier_at=barrier.t,
        barrier_points=100 * barrier.depth,
        barrier_low=100 * barrier.low,
        barrier_high=100 * barrier.high,
        recalibrated=recalibrated,
    )


def _hits(tried: TriedSoup, criterion: Criterion, num_queries: int) -> Hits:
    """Right queries; none of a network whose descriptors were not finite."""
    if tried.results is None:
        return np.zeros(num_queries, dtype=np.bool_)
    return criterion.hits(tried.results)


def _positions(single: TriedSoup, criterion: Criterion) -> NDArray[np.float64]:
    """Where the queries are, in the order of `Criterion.hits`: of several splits, by name."""
    if single.results is None:
        raise RegistryError("the best model gives descriptors that are not finite: choose among others")
    results = single.results
    names = sorted(results) if criterion.split == "mean" else [criterion.split]
    positions = [results[name].query_utm_m for name in names]
    known = [utm_m for utm_m in positions if utm_m is not None]
    if len(known) < len(positions):
        raise RegistryError("the recorded results hold no query positions; train the trials again")
    return np.concatenate(known)


def _short_names(pot: Sequence[Candidate]) -> list[str]:
    """`v3`, or `grl v3` where the pot is of several searches."""
    several = len({candidate.version.search for candidate in pot}) > 1
    return [
        f"{candidate.version.search} v{candidate.version.version}"
        if several
        else f"v{candidate.version.version}"
        for candidate in pot
    ]


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
