"""Our scored models that stand for no row of the paper: ensembles, of which it has no figures, and others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vgsearch.config.fda import DEFAULT_BETA, DEFAULT_SEED
from vgsearch.data.fda_name import FdaName
from vgsearch.reporting.fitting import Fitting
from vgsearch.reporting.paper.filled import FilledTable
from vgsearch.reporting.paper.matching import DISTANCE, RESIZE
from vgsearch.reporting.paper.our_runs import OurRun, OurTest
from vgsearch.reporting.paper.printed import DATA_SETS
from vgsearch.reporting.paper.render import IntervalWriter, value_with
from vgsearch.reporting.table import new_table
from vgsearch.reporting.wording import bracket, half_width
from vgsearch.retrieval.recall import RECALL_NS
from vgsearch.retrieval.stamp import Stamp

TITLE = "Our other models on the paper's data sets, which stand for no row"
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
        """Query method, and of the distance, the sizes and FDA what is not the usual."""
        words = [] if self.test.asked is None else _stamp_words(self.test.asked)
        return " ".join([*words, *([] if self.test.fda is None else _fda_words(self.test.fda))])


def _stamp_words(asked: Stamp) -> list[str]:
    """`native`, and behind it `within 10m`, `480px` or `480x640`."""
    words = [asked.query_method]
    if asked.threshold != DISTANCE:
        words.append(f"within {asked.threshold}")
    if asked.resize != RESIZE:
        words.append(asked.resize)
    return [*words, *([asked.target] if asked.target else [])]


def _fda_words(fda: FdaName) -> list[str]:
    """`fda queries_to_database`, and behind it beta, seed and style unless they are the defaults."""
    words = ["fda", fda.setting]
    if fda.beta is None:
        words.append("beta unknown")
    elif fda.beta != DEFAULT_BETA:
        words.append(f"beta {fda.beta}")
    if fda.seed not in (None, DEFAULT_SEED):
        words.append(f"seed {fda.seed}")
    return [*words, *([f"style {fda.style}"] if fda.style else [])]


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
        table.add_row(*map(Text, names), *_recalls(each, RECALL_NS, bracket))
    return table


def _narrow(scores: Sequence[UnplacedScore]) -> Table:
    ns = RECALL_NS[:-1]  # the last has no room
    table = new_table("  data set", "scored", "queries", *(f"R@{n}" for n in ns), left=_LEFT)
    for each in scores:
        names = (f"  {DATA_SETS[each.test.split]}", each.scored_as)
        table.add_row(*map(Text, names), *_recalls(each, ns, half_width))
    return table


def _recalls(each: UnplacedScore, ns: Sequence[int], writer: IntervalWriter) -> Iterator[str]:
    yield str(each.test.result.num_queries)
    for recall in each.test.result.recalls(ns):
        yield value_with(recall.percent, writer(recall))
