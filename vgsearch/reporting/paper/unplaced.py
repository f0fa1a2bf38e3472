"""Our scored models that stand for no row of the paper: ensembles, of which it has no figures, and others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vgsearch.reporting.fitting import Fitting
from vgsearch.reporting.paper.filled import FilledTable
from vgsearch.reporting.paper.our_runs import OurRun, OurTest
from vgsearch.reporting.paper.printed import DATA_SETS
from vgsearch.reporting.table import new_table
from vgsearch.reporting.wording import bracket, half_width
from vgsearch.retrieval.recall import RECALL_NS

TITLE = "Ours without a row in the paper, on its data sets"
REMARK = "The paper prints no figures of descriptor ensembles. * a test had a say in choosing it."

_LEFT = ("model", "kind", "data set", "  data set", "scored")


@dataclass(frozen=True)
class UnplacedScore:
    """One result of one model."""

    run: OurRun
    test: OurTest

    @property
    def model(self) -> str:
        """Its reference, marked where a test had a say in choosing it."""
        return f"{self.run.reference}{' *' if self.run.selected_on_test else ''}"

    @property
    def kind(self) -> str:
        """`trial`, `soup (greedy)`, `ensemble (mean)`."""
        return f"{self.run.kind} ({self.run.method})" if self.run.method else self.run.kind

    @property
    def scored_as(self) -> str:
        """Query method, resize, and FDA's setting."""
        return " ".join([*self.test.asked[1:], *([f"fda {self.test.fda}"] if self.test.fda else [])])


def unplaced_scores(runs: Sequence[OurRun], tables: Sequence[FilledTable]) -> list[UnplacedScore]:
    """Results on the paper's data sets of models that no row of `tables` shows; equal ones once."""
    taken = {row.match.run.reference for table in tables for row in table.rows if row.match is not None}
    found = {
        (run.reference, test.split, test.result.stamp): UnplacedScore(run, test)
        for run in runs
        if run.reference not in taken
        for test in run.tests
        if test.split in DATA_SETS
    }
    return list(found.values())


def render_unplaced(scores: Sequence[UnplacedScore]) -> RenderableType:
    """One line for each result; in a narrow terminal each model has a line and a table of its own."""
    by_model: dict[str, list[UnplacedScore]] = {}
    for each in scores:
        by_model.setdefault(f"{each.model}, {each.kind}", []).append(each)
    narrow = [part for name, own in by_model.items() for part in (Text(name), _narrow(own))]
    return Group(Text(TITLE, style="bold"), Fitting(_wide(scores), Group(*narrow)), Text(REMARK))


def _wide(scores: Sequence[UnplacedScore]) -> Table:
    heads = [f"R@{n}" for n in RECALL_NS]
    table = new_table("model", "kind", "data set", "scored", "queries", *heads, left=_LEFT)
    for each in scores:
        names = (each.model, each.kind, DATA_SETS[each.test.split], each.scored_as)
        table.add_row(*map(Text, names), *_recalls(each, narrow=False))
    return table


def _narrow(scores: Sequence[UnplacedScore]) -> Table:
    table = new_table("  data set", "scored", "queries", *(f"R@{n}" for n in RECALL_NS), left=_LEFT)
    for each in scores:
        name = Text(f"  {DATA_SETS[each.test.split]}")
        table.add_row(name, Text(each.scored_as), *_recalls(each, narrow=True))
    return table


def _recalls(each: UnplacedScore, *, narrow: bool) -> Iterator[str]:
    result = each.test.result
    yield str(result.num_queries)
    for recall in result.recalls():
        yield (
            f"{recall.percent:.1f}{half_width(recall)}"
            if narrow
            else f"{recall.percent:.1f} {bracket(recall)}"
        )
