"""Two models side by side on one split: recalls, how sure their difference is, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from vgsearch.reporting.comparison_changes import Change, change_lines
from vgsearch.reporting.comparison_verdict import detectable_in_words, verdict
from vgsearch.reporting.table import new_table
from vgsearch.retrieval.compare import PairedComparison

LEGEND = (
    "B - A: points with their 95% interval, bootstrapped by place. p: McNemar's exact test. gained, lost: "
    "queries that B, that A alone gets right. shows: the least true difference in points that this many "
    "queries show in 4 of 5 cases, if as many of them change."
)


@dataclass(frozen=True)
class SplitComparison:
    """What is known of A and B on one split.

    Attributes:
        name: The split.
        pairs: One for each N, A first.
        facts: Short remarks for its headline: how many images, where the results come from.
        changes: Queries that changed, of all N.
        listed: How many gained and lost queries are named, each, for each N; 0 names none.
    """

    name: str
    pairs: Sequence[PairedComparison]
    facts: Sequence[str]
    changes: Sequence[Change]
    listed: int = 0


def render_comparison(split: SplitComparison) -> RenderableType:
    """Lay out one split: headline, table, a sentence for each N."""
    return _Comparison(split)


def listed_changes(split: SplitComparison) -> list[str]:
    """Lines that name the queries that changed most; to be printed whole, so that names can be copied."""
    lines: list[str] = []
    for pair in split.pairs if split.listed else ():
        own = [change for change in split.changes if change.n == pair.first.n]
        if own:
            lines.append(f"Rank of the first right image where R@{pair.first.n} changed, A -> B:")
            lines += change_lines(own, split.listed)
    return lines


@dataclass(frozen=True)
class _Comparison:
    split: SplitComparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        pairs = self.split.pairs
        places = pairs[0].bootstrap.num_places
        headline = [f"{pairs[0].first.num_queries} queries at {places} places", *self.split.facts]
        yield Text.assemble((self.split.name, "bold"), f": {', '.join(headline)}")
        one_line, two_lines = _table(pairs, two_lines=False), _table(pairs, two_lines=True)
        roomy = options.update(width=10_000)
        fits = Measurement.get(console, roomy, one_line).maximum <= options.max_width
        yield one_line if fits else two_lines
        for pair in pairs:
            yield Text(verdict(pair))


def _table(pairs: Sequence[PairedComparison], *, two_lines: bool) -> Table:
    table = new_table("", "A", "B", "B - A", "p", "gained", "lost", "shows", left=("",))
    for pair in pairs:
        boot, test = pair.bootstrap, pair.mcnemar
        interval = f"[{100 * boot.low:+.1f}, {100 * boot.high:+.1f}]"
        cells = [str(pair.first), str(pair.second), f"{100 * boot.difference:+.1f} {interval}"]
        table.add_row(
            f"R@{pair.first.n}",
            *(Text(cell.replace(" [", "\n[") if two_lines else cell) for cell in cells),
            f"{test.p_value:.2g}",
            str(test.only_second),
            str(test.only_first),
            detectable_in_words(pair),
        )
    return table
