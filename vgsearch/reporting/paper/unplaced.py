"""Our scored models that stand for no row of the paper: ensembles, of which it has no figures, and others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vgsearch.reporting.fitting import Fitting
from vgsearch.reporting.paper.filled import FilledTable
from vgsearch.reporting.paper.our_runs import OurRun
from vgsearch.reporting.paper.our_tests import OurTest
from vgsearch.reporting.paper.printed import DATA_SETS
from vgsearch.reporting.paper.render import IntervalWriter, value_with
from vgsearch.reporting.paper.unusual import unusual_fda, unusual_reranker, unusual_stamp, unusual_translation
from vgsearch.reporting.table import new_table
from vgsearch.reporting.wording import bracket, half_width
from vgsearch.retrieval.recall import RECALL_NS

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
        """Query method, and of everything else what is not the usual."""
        return " ".join([*_query_words(self.test), *_photo_words(self.test), *_order_words(self.test)])


def _query_words(test: OurTest) -> list[str]:
    """`native`, and behind it `within 10m`, `480px` or `480x640`."""
    if test.asked is None:
        return ["in an unknown way"]
    return [test.asked.query_method, *(each.short for each in unusual_stamp(test.asked))]


def _photo_words(test: OurTest) -> list[str]:
    """`queries night to day`, `queries brightened`, `fda queries_to_database beta 0.05`."""
    words = []
    if (translated := test.translated) is not None:
        is_bright = translated.kind == "brighten"
        how = "brightened" if is_bright else f"{translated.source} to {translated.target}"
        words += [translated.part, how, *(each.short for each in unusual_translation(translated))]
    if test.fda is not None:
        words += ["fda", test.fda.setting, *(each.short for each in unusual_fda(test.fda))]
    return words


def _order_words(test: OurTest) -> list[str]:
    """`top 5 re-ranked by NAME (imported, resnet50 gem)`, and behind `trained` on what if not on SF-XS."""
    if (how := test.reranking) is None:
        return []
    if how.network is None:
        return [f"top {how.n} re-ranked by {how.identity}"]
    sort = how.network.sort
    kind = " ".join(each.short for each in unusual_reranker(how.network)) or sort.kind
    return [f"top {how.n} re-ranked by {how.network.name} ({kind}, {sort.encoder} {sort.pooling})"]


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
