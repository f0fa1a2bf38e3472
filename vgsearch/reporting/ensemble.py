"""An ensemble in tables: how it came about, what it is made of, what it is worth and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from vgsearch.reporting import wording
from vgsearch.reporting.fitting import Fitting
from vgsearch.reporting.table import new_table
from vgsearch.retrieval.bootstrap import FEWEST_PLACES, BootstrapDifference


@dataclass(frozen=True)
class EnsembleRound:
    """One member more, or one step of fitted weights.

    Attributes:
        number: from 1, within its bag.
        bag: from 1; 0 where there is one.
        name: of the member.
        percent: the criterion with it.
        difference: against the round before, on the same queries; None for a first round.
        taken: whether it is part of the ensemble.
        num_equal: candidates between which the seed decided.
    """

    number: int
    bag: int
    name: str
    percent: float
    difference: BootstrapDifference | None
    taken: bool
    num_equal: int = 1


@dataclass(frozen=True)
class EnsemblePart:
    """One member of the finished ensemble.

    Attributes:
        name: as in the rounds.
        reference: `models:/vgsearch-grl/3`.
        architecture: in words.
        weight: above 0 to 1.
        percent: the search's own number of the criterion; None where it was recorded under other settings.
        descriptor_bytes: of its own descriptor.
        query_ms: to describe one query; None where it was not measured.
    """

    name: str
    reference: str
    architecture: str
    weight: float
    percent: float | None
    descriptor_bytes: int
    query_ms: float | None


def render_rounds(rounds: Sequence[EnsembleRound], *, criterion: str, num_queries: int) -> RenderableType:
    """Lay out the trajectory, and say why what came next was refused."""
    wide = new_table("round", "member", criterion, "difference to the round before", "", left=("member", ""))
    narrow = new_table("", "member", "recall", "difference", "", left=("member", ""))
    narrow.columns[-1].no_wrap = False
    for each in rounds:
        number = f"{each.bag}.{each.number}" if each.bag else str(each.number)
        for table in (wide, narrow):
            table.add_row(
                number,
                Text(each.name),
                f"{each.percent:.2f}",
                wording.MISSING if each.difference is None else wording.points(each.difference, digits=2),
                _verdict(each),
                style=None if each.taken else "dim",
            )
    explained = Text(f"recall: {criterion}; difference: to the round before")
    lines = [_refusal(rounds, criterion)] if any(not each.bag for each in rounds) else []
    if any(each.difference is not None and not each.difference.is_reliable for each in rounds):
        lines.append(f"* fewer than {FEWEST_PLACES} places changed, too few for the interval to be believed")
    return Group(
        Text(f"How it came about ({num_queries} queries, 95% intervals over resampled places)", style="bold"),
        Fitting(wide, Group(narrow, explained)),
        *(Text(line) for line in lines if line),
    )


def render_parts(parts: Sequence[EnsemblePart], *, fusion: str, descriptor_bytes: int) -> RenderableType:
    """Lay out the members with their weights, and what the ensemble costs whoever uses it."""
    table = new_table("member", "weight", "alone", "bytes", "query ms", "model", left=("member", "model"))
    table.columns[-1].no_wrap = False
    for part in parts:
        table.add_row(
            Text(part.name),
            f"{part.weight:.3f}",
            wording.MISSING if part.percent is None else f"{part.percent:.2f}",
            str(part.descriptor_bytes),
            wording.MISSING if part.query_ms is None else f"{part.query_ms:.1f}",
            Text(f"{part.reference} ({part.architecture})"),
        )
    times_ms = [part.query_ms for part in parts]
    known_ms = [time_ms for time_ms in times_ms if time_ms is not None]
    cost = f"Fused by {fusion}: {descriptor_bytes} bytes a descriptor"
    if len(known_ms) == len(parts):
        cost += f", {sum(known_ms):.1f} ms a query (the sum of its members, as each was measured)"
    else:
        cost += f"; what a query costs is not known: {len(parts) - len(known_ms)} members were not measured"
    return Group(Text("Members", style="bold"), table, Text(cost + "."))


def _verdict(each: EnsembleRound) -> str:
    chosen = f" (one of {each.num_equal} equals, by the seed)" if each.num_equal > 1 else ""
    return ("taken" if each.taken else "refused") + chosen


def _refusal(rounds: Sequence[EnsembleRound], criterion: str) -> str:
    """Why the round after the last taken one is not part of the ensemble."""
    refused = [each for each in rounds if not each.taken]
    taken = [each for each in rounds if each.taken]
    if not refused or not taken:
        return ""
    first, reached = refused[0], taken[-1].percent
    best = max(each.percent for each in refused)
    best_words = "" if len(refused) == 1 else f"; up to round {refused[-1].number} none got above {best:.2f}"
    if first.percent < reached:
        change = f"would take {criterion} from {reached:.2f} to {first.percent:.2f}"
    else:
        change = f"would leave {criterion} at {first.percent:.2f}, for one more network or another weight"
    return f"Refused from round {first.number} on: the best addition, {first.name}, {change}{best_words}."
