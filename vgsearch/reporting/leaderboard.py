"""The table at the end of a search, in the widest layout that the terminal has room for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from vgsearch.registry.scored_tests import Looks
from vgsearch.reporting import wording
from vgsearch.reporting.looks import looks_line
from vgsearch.reporting.rows import LeaderboardRow, Recalls, ScoreRow
from vgsearch.reporting.table import new_table
from vgsearch.reporting.tradeoffs import Axis, Tradeoffs, find_tradeoffs, shown
from vgsearch.reporting.verdicts import (
    constraint_line,
    decisive_n,
    failure_lines,
    lead_verdict,
    untrained_verdict,
)

if TYPE_CHECKING:
    from vgsearch.retrieval.compare import PairedComparison

_NS = (1, 5, 10, 20)
_COST_HEADERS: dict[Axis, str] = {
    "query_ms": "query ms",
    "descriptor_bytes": "bytes",
    "gpu_hours": "GPU h",
    "hours": "hours",
}


def render_leaderboard(
    rows: Sequence[LeaderboardRow],
    champion_tests: Sequence[ScoreRow],
    untrained: Recalls | None,
    *,
    search: str,
    objective: str,
    paired: PairedComparison | None = None,
    finalists: RenderableType | None = None,
    test_looks: Mapping[str, Looks | None] | None = None,
) -> RenderableType:
    """Lay out a finished search.

    Args:
        rows: its trials, best first.
        champion_tests: the champion on each test set, in the order to print; may be empty.
        untrained: recalls of the untrained backbone on what `rows` were scored on; None if unknown.
        search: its name.
        objective: the metric that ranked them, e.g. `val/recall_at_1`.
        paired: the best minus the second trial on the same queries, where both have per-query results.
        finalists: what to print about them, where there are any.
        test_looks: how often each test was scored so far.

    Returns:
        A rich renderable that picks its columns when the width is known; at 80 columns a trial takes two
        lines or three.
    """
    tests = tuple(champion_tests)
    looks = looks_line(test_looks or {})
    return _Leaderboard(tuple(rows), tests, untrained, search, objective, paired, finalists, looks)


@dataclass(frozen=True)
class _Leaderboard:
    rows: tuple[LeaderboardRow, ...]
    champion_tests: tuple[ScoreRow, ...]
    untrained: Recalls | None
    search: str
    objective: str
    paired: PairedComparison | None
    finalists: RenderableType | None
    looks: str | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        backbones = sorted({row.backbone for row in self.rows})
        shared = f"; every trial: {backbones[0]}" if len(backbones) == 1 else ""
        yield Text(f"Search {self.search}, ranked by {self.objective}{shared}", style="bold")
        tradeoffs = find_tradeoffs(self.rows, decisive_n(self.objective))
        front = tradeoffs.members if tradeoffs is not None and len(tradeoffs.members) > 1 else ()
        wide = [(_NS, True), (_NS[:1], True), *([(_NS[:1], False)] if shared else [])]
        layouts = [
            *(
                _wide(self.rows, front, tradeoffs, intervals_at=intervals_at, names=names)
                for intervals_at, names in wide[:2]
                if tradeoffs is not None
            ),
            *(_wide(self.rows, front, None, intervals_at=at, names=names) for at, names in wide),
            _compact(self.rows, front, backbone=not shared),
        ]
        table = _first_that_fits(layouts, console, options)
        yield table
        for line in self._sentences(tradeoffs, halves=table is layouts[-1]):
            yield Text(line)
        if self.finalists is not None:
            yield Text("")
            yield self.finalists
        if self.champion_tests:
            yield Text("")
            yield Text("Champion on the test sets", style="bold")
            tests = {row.set_name: row.recalls for row in self.champion_tests}
            layouts = [_scores(tests, two_lines=False), _scores(tests, two_lines=True)]
            yield _first_that_fits(layouts, console, options)
            if self.looks is not None:
                yield Text(self.looks)

    def _sentences(self, tradeoffs: Tradeoffs | None, *, halves: bool) -> list[str]:
        n = decisive_n(self.objective)
        lines: list[str | None] = [
            _caption(self.rows, in_search=self.finalists is not None, halves=halves),
            lead_verdict(self.rows, n, self.paired),
            untrained_verdict(self.rows, self.untrained, n),
            *(tradeoffs.sentences if tradeoffs is not None else ()),
            constraint_line(self.rows),
        ]
        return [line for line in lines if line] + failure_lines(self.rows)


def _caption(rows: Sequence[LeaderboardRow], *, in_search: bool, halves: bool) -> str:
    """Who is best by its full name, and what the numbers count."""
    best = next((row for row in rows if row.may_win and row.recalls), None)
    if best is None:
        finished = any(row.recalls for row in rows)
        return "No trial may be champion." if finished else "No trial finished an epoch."
    queries = f"{next(iter(best.recalls.values())).num_queries} val queries"
    if len(best.by_split) > 1:
        each = (
            f"{next(iter(recalls.values())).num_queries} {name}" for name, recalls in best.by_split.items()
        )
        queries += f" ({' + '.join(each)})"
    intervals = "95% Wilson intervals (± is half of one)" if halves else "95% Wilson intervals"
    return (
        f"Best{' in the search' if in_search else ''}: {best.uid} after epoch {best.best_epoch}. "
        f"Recalls in percent with {intervals} over {queries}."
    )


def _first_that_fits(tables: Sequence[Table], console: Console, options: ConsoleOptions) -> Table:
    """The first table that the terminal has room for, else the last."""
    roomy = options.update(width=10_000)
    fitting = (t for t in tables if Measurement.get(console, roomy, t).maximum <= options.max_width)
    return next(fitting, tables[-1])


def _wide(
    rows: Sequence[LeaderboardRow],
    front: Collection[int],
    tradeoffs: Tradeoffs | None,
    *,
    intervals_at: Sequence[int],
    names: bool,
) -> Table:
    """One line a trial; `names` are those of trials and backbones, else there is the trial's number alone.

    `tradeoffs` gives a column to each cost in which trials differ, and one to GPU memory where it is known.
    """
    splits = list(rows[0].by_split) if rows and len(rows[0].by_split) > 1 else []
    axes = tradeoffs.axes if tradeoffs is not None else ()
    with_memory = tradeoffs is not None and any(row.costs.gpu_peak_bytes is not None for row in rows)
    headers = ["#", "trial", *(["backbone"] if names else [])]
    headers += ["loss", "margin", "scale", "alpha", "epoch"]
    headers += [f"R@{n}" for n in _NS] + [f"{split} R@1" for split in splits]
    headers += [_COST_HEADERS[axis] for axis in axes] + (["GPU GB"] if with_memory else [])
    headers += ["time", "state"]
    left = ["backbone", "loss", "margin", "state", *(["trial"] if names else [])]
    table = new_table(*headers, left=left)
    for row in rows:
        cells = [_rank(row, front), *([row.uid, row.backbone] if names else [str(row.number)])]
        cells += [row.loss, wording.margin(row), f"{row.scale:.1f}", wording.alpha(row), wording.epoch(row)]
        for n in _NS:
            write = wording.with_interval if n in intervals_at else wording.percent
            cells.append(write(row.recalls.get(n)))
        cells += [wording.percent(row.by_split.get(split, {}).get(1)) for split in splits]
        cells += [shown(row.costs, axis) for axis in axes]
        cells += [wording.gigabytes(row.costs.gpu_peak_bytes)] if with_memory else []
        cells.append(wording.duration(row.seconds))
        table.add_row(*map(Text, cells), wording.styled_state(row.state))
    return table


def _rank(row: LeaderboardRow, front: Collection[int]) -> str:
    return f"{row.rank}*" if row.number in front else str(row.rank)


def _compact(rows: Sequence[LeaderboardRow], front: Collection[int], *, backbone: bool) -> Table:
    """Two lines a trial: recalls above their intervals, settings and state beside them."""
    table = new_table("#", "trial", "settings", *(f"R@{n}" for n in _NS), "state", left=("settings", "state"))
    table.columns[2].no_wrap = False
    for row in rows:
        settings = [f"{row.loss} {wording.margin(row)}", f"scale {row.scale:.1f}, alpha {wording.alpha(row)}"]
        settings += [row.backbone] if backbone else []
        if len(row.by_split) > 1:
            each = (f"{split} {wording.percent(r.get(1))}" for split, r in row.by_split.items())
            settings.append(", ".join(each))
        first, *others = (row.recalls.get(n) for n in _NS)
        progress = f"\n{wording.epoch(row)} {wording.duration(row.seconds)}"
        table.add_row(
            _rank(row, front),
            str(row.number),
            Text("\n".join(settings)),
            Text(f"{wording.percent(first)}\n{wording.bracket(first)}"),
            *(Text(f"{wording.percent(recall)}\n{wording.half_width(recall)}") for recall in others),
            wording.styled_state(row.state).append(progress, style="default"),
        )
    return table


def _scores(tests: Mapping[str, Recalls], *, two_lines: bool) -> Table:
    """The champion on each set, intervals beside the recalls or below them."""
    table = new_table("set", "queries", *(f"R@{n}" for n in _NS), left=("set",))
    for name, recalls in tests.items():
        queries = str(next(iter(recalls.values())).num_queries) if recalls else wording.MISSING
        cells = [wording.with_interval(recalls.get(n)) for n in _NS]
        table.add_row(
            *(Text(cell.replace(" [", "\n[") if two_lines else cell) for cell in (name, queries, *cells))
        )
    return table
