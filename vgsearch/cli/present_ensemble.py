"""What `vgsearch ensemble` prints of a choice: its rounds, its members, its gain and its cost."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from vgsearch.config.ensemble import EnsembleFile
from vgsearch.ensembling.candidates import Candidate
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.ensemble_choice import EnsembleChoice
from vgsearch.ensembling.ensemble_pot import EVAL_KEYS, EnsemblePot
from vgsearch.ensembling.selection import Round
from vgsearch.models.checkpoint import read_metrics
from vgsearch.reporting.before_after import render_before_after
from vgsearch.reporting.ensemble import (
    EnsemblePart,
    EnsembleRound,
    render_parts,
    render_rounds,
)
from vgsearch.retrieval.bootstrap import grid_places, paired_bootstrap
from vgsearch.retrieval.compare import PairedComparison, compare_splits
from vgsearch.retrieval.recall import RetrievalResult

FLOAT32_BYTES = 4
QUERY_MS = "cost/query_ms"


def print_choice(
    choice: EnsembleChoice, pot: EnsemblePot, file: EnsembleFile, console: Console, *, num_extracted: int
) -> None:
    """Print the tables of one ensemble.

    Args:
        choice: what was selected.
        pot: from which.
        file: how.
        console: where to.
        num_extracted: images that had to be described for it.
    """
    criterion = str(pot.criterion)
    for part in (
        render_rounds(_rounds(choice, pot), criterion=criterion, num_queries=len(choice.query_utm_m)),
        render_parts(
            _parts(choice, pot), fusion=file.fusion, descriptor_bytes=_descriptor_bytes(choice, pot, file)
        ),
        render_before_after(
            _gains(pot.criterion, choice.before, choice.after),
            best=name_of(pot.candidates[choice.best]),
            role="best member",
            made="ensemble",
        ),
    ):
        console.print()
        console.print(part)
    flattered = "Splits that members were selected on flatter the ensemble; a held-out one does not."
    notes = [flattered, *choice.notes, f"{num_extracted} images were described for this; the rest was stored"]
    console.print()
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def name_of(candidate: Candidate) -> str:
    """`grl/3`: the search and the version."""
    return f"{candidate.version.search}/{candidate.version.version}"


def _rounds(choice: EnsembleChoice, pot: EnsemblePot) -> list[EnsembleRound]:
    places = grid_places(choice.query_utm_m)
    several_bags = any(each.bag for each in choice.rounds)
    rows: list[EnsembleRound] = []
    number = 0
    for i, each in enumerate(choice.rounds):
        before = choice.rounds[i - 1] if i else None
        follows = before is not None and before.bag == each.bag
        number = number + 1 if follows else 1
        rows.append(
            EnsembleRound(
                number=number,
                bag=each.bag + 1 if several_bags else 0,
                name=name_of(pot.candidates[each.member])
                if each.member >= 0
                else "the whole pot, as weighted",
                percent=each.value,
                difference=paired_bootstrap(before.hits, each.hits, places) if before and follows else None,
                taken=choice.taken[i],
                num_equal=each.num_equal,
            )
        )
    return rows


def _round_name(each: Round, pot: EnsemblePot) -> str:
    if each.member < 0:
        return "the start"
    name = name_of(pot.candidates[each.member])
    return name if each.share is None else f"{name} to {each.share:.3f}"


def costs_of(choice: EnsembleChoice, pot: EnsemblePot, file: EnsembleFile) -> dict[str, float]:
    """What the ensemble costs whoever uses it, named as a trial's metrics; only what is known."""
    costs = {"cost/descriptor_bytes": float(_descriptor_bytes(choice, pot, file))}
    times_ms = [part.query_ms for part in _parts(choice, pot)]
    known_ms = [time_ms for time_ms in times_ms if time_ms is not None]
    return {**costs, QUERY_MS: sum(known_ms)} if len(known_ms) == len(times_ms) else costs


def _parts(choice: EnsembleChoice, pot: EnsemblePot) -> list[EnsemblePart]:
    parts = []
    for member, weight in zip(choice.members, choice.weights, strict=True):
        candidate = pot.candidates[member]
        alike = all(getattr(candidate.spec.eval, key) == getattr(pot.eval_config, key) for key in EVAL_KEYS)
        query_ms = read_metrics(candidate.folder).get(QUERY_MS) if alike else None
        parts.append(
            EnsemblePart(
                name=name_of(candidate),
                reference=candidate.reference,
                architecture=candidate.architecture_in_words,
                weight=weight,
                percent=pot.criterion.percent(candidate.results)
                if alike and not pot.criterion.is_test
                else None,
                descriptor_bytes=FLOAT32_BYTES * candidate.spec.trial.descriptor_dim,
                query_ms=float(query_ms) if isinstance(query_ms, (int, float)) else None,
            )
        )
    return parts


def _descriptor_bytes(choice: EnsembleChoice, pot: EnsemblePot, file: EnsembleFile) -> int:
    lengths = [pot.candidates[member].spec.trial.descriptor_dim for member in choice.members]
    return FLOAT32_BYTES * (lengths[0] if file.fusion == "mean" else sum(lengths))


def _gains(
    criterion: Criterion, before: Mapping[str, RetrievalResult], after: Mapping[str, RetrievalResult]
) -> dict[str, list[PairedComparison]]:
    compared = compare_splits(before, after, sorted({1, 5, criterion.n}))
    return {
        split if split.startswith("test/") else f"val/{split}" if split else "val": at_each
        for split, at_each in compared.items()
    }
