"""What a search prints: its steps as they come, and its outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType

from vgsearch.cli.options import DEFAULT_DATA_ROOT, DEFAULT_HOME
from vgsearch.cli.standing import shown_trial
from vgsearch.config.document import SearchDocument
from vgsearch.config.losses import ArcFaceConfig, CombinedConfig, CosFaceConfig, LossConfig, SphereFaceConfig
from vgsearch.errors import SearchError
from vgsearch.reporting import wording
from vgsearch.reporting.finalists import FinalistRow, render_finalists
from vgsearch.reporting.leaderboard import render_leaderboard
from vgsearch.reporting.live_table import LiveTable
from vgsearch.reporting.next_steps import next_steps, render_next_steps
from vgsearch.reporting.paired import compare_pair
from vgsearch.reporting.rows import Costs, LeaderboardRow, MarginUnit, Recalls, ScoreRow, pool_recalls
from vgsearch.reporting.verdicts import decisive_split
from vgsearch.retrieval.compare import PairedComparison
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.search.driver import SearchOutcome
from vgsearch.search.events import TrialEvent
from vgsearch.search.outcome import TrialOutcome

_REPEATED = "{loss} {margin}, scale {scale:.1f}, alpha {alpha}, {backbone}"


class Watcher:
    """Passes a search's events on to the live table."""

    def __init__(self, table: LiveTable) -> None:
        self._table = table

    def event(self, event: TrialEvent) -> None:
        """Show a trial's new standing."""
        self._table.update(shown_trial(event))

    def beat(self) -> None:
        """Let the table's clock go on."""
        self._table.beat()

    def say(self, text: str) -> None:
        """Print a remark above the table."""
        self._table.note(text)


@contextmanager
def watching(document: SearchDocument, console: Console) -> Iterator[Watcher]:
    """Show a live table while the block runs; plain lines where there is no terminal."""
    finalists = document.search.finalists
    with LiveTable(
        console,
        search=document.name,
        objective=document.search.objective,
        num_trials=document.search.num_trials,
        num_repeats=0 if finalists is None else finalists.top * finalists.seeds,
    ) as table:
        yield Watcher(table)


def print_outcome(
    outcome: SearchOutcome,
    document: SearchDocument,
    console: Console,
    *,
    file: Path,
    home: Path | None,
    data_root: Path | None,
) -> None:
    """Print the leaderboard and the next commands, or how to resume.

    The repeats of finalists are a table of their own: their numbers compete with nobody's in the search.

    Raises:
        SearchError: every trial failed or broke a constraint.
    """
    searched = [trial for trial in outcome.trials if trial.repeat_of is None and not trial.is_trunk]
    rows = [_row(rank, trial, document) for rank, trial in enumerate(searched, start=1)]
    steps = next_steps(
        document.name,
        file,
        test_splits=[f"test/{name}" for name in document.data.tests],
        has_champion=any(row.may_win for row in rows),
        home=home,
        data_root=data_root,
        overrides=document.overrides,
    )
    if outcome.interrupted:
        done = sum(trial.state != "running" and not trial.is_trunk for trial in outcome.trials)
        console.print(
            f"search {document.name!r} was interrupted after {done} finished trials; nothing is lost. "
            f"Go on with:\n  {steps[-1].command}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return
    tests = [ScoreRow(name, _recalls(result)) for name, result in outcome.tests.items()]
    untrained = _decisive({name: _recalls(result) for name, result in outcome.untrained.items()}, document)
    console.print()
    console.print(
        render_leaderboard(
            rows,
            tests,
            untrained or None,
            search=document.name,
            objective=document.search.objective,
            paired=_compare_best_two(searched, document.search.objective),
            finalists=_finalists(outcome, rows),
            test_looks=outcome.test_looks,
        )
    )
    for line in _trunk_lines(outcome, document):
        console.print(line, markup=False, highlight=False)
    if not any(row.may_win for row in rows):
        reason = next((trial.reason for trial in searched if trial.reason), "none was run")
        if any(row.state == "infeasible" for row in rows):
            raise SearchError(
                f"none of {len(rows)} trials kept the constraints and ended well (the first: {reason}); "
                f"loosen search.constraints, or search cheaper networks"
            )
        raise SearchError(f"all of {len(rows)} trials failed; the first: {reason}")
    console.print("\nNext:")
    console.print(render_next_steps(steps), markup=False, highlight=False, soft_wrap=True)


def unless_default(home: Path, data_root: Path) -> tuple[Path | None, Path | None]:
    """Home and data root as the next commands must name them: None where they are the defaults."""
    return None if home == DEFAULT_HOME else home, None if data_root == DEFAULT_DATA_ROOT else data_root


def _compare_best_two(trials: Sequence[TrialOutcome], objective: str) -> PairedComparison | None:
    """The best of the search against the second, on the same queries; None where that cannot be done."""
    able = [trial for trial in trials if trial.state in ("complete", "stopped")]
    return compare_pair(able[1].results, able[0].results, objective) if len(able) > 1 else None


def _trunk_lines(outcome: SearchOutcome, document: SearchDocument) -> list[str]:
    """What the trials started from, a line a trunk; its number competes with nobody's."""
    return [
        f"Trunk {trunk.number} ({trunk.trial.resolved_backbone.name}, {trunk.trial.descriptor_dim}-D, "
        f"{trunk.epochs_done} of {trunk.trial.epochs} epochs): {document.search.objective} "
        f"{wording.MISSING if trunk.best is None else f'{trunk.best:.1f}'}; the trials of that architecture "
        "start from it"
        for trunk in sorted(outcome.trials, key=lambda trial: trial.number)
        if trunk.is_trunk
    ]


def _finalists(outcome: SearchOutcome, rows: Sequence[LeaderboardRow]) -> RenderableType | None:
    by_number = {row.number: row for row in rows}
    finalists = [
        FinalistRow(each.number, _in_words(by_number[each.number]), each.searched, tuple(each.repeats))
        for each in outcome.finalists
        if each.repeats
    ]
    return render_finalists(finalists, champion=outcome.champion) if finalists else None


def _in_words(row: LeaderboardRow) -> str:
    return _REPEATED.format(
        loss=row.loss,
        margin=wording.margin(row),
        scale=row.scale,
        alpha=wording.alpha(row),
        backbone=row.backbone,
    )


def _row(rank: int, outcome: TrialOutcome, document: SearchDocument) -> LeaderboardRow:
    by_split = {name: _recalls(result) for name, result in outcome.results.items()}
    margin, unit = _margin(outcome.trial.loss)
    domain = outcome.trial.domain
    return LeaderboardRow(
        rank=rank,
        number=outcome.number,
        uid=outcome.uid,
        state=outcome.state,
        backbone=outcome.trial.resolved_backbone.name,
        loss=outcome.trial.loss.name,
        margin=margin,
        margin_unit=unit,
        scale=outcome.trial.loss.scale,
        grl_alpha=None if domain is None else domain.grl_alpha,
        best_epoch=outcome.best_epoch,
        epochs=outcome.trial.epochs,
        recalls=_decisive(by_split, document),
        seconds=outcome.seconds,
        reason=outcome.reason,
        by_split=by_split,
        costs=_costs(outcome),
    )


def _costs(outcome: TrialOutcome) -> Costs:
    """Its costs, with None for what no epoch measured."""
    costs = outcome.costs
    return Costs(
        query_ms=costs.query_ms,
        descriptor_bytes=costs.descriptor_bytes or None,
        gpu_hours=costs.gpu_hours or None,
        hours=costs.hours or None,
        gpu_peak_bytes=costs.gpu_peak_bytes,
    )


def _decisive(by_split: Mapping[str, Recalls], document: SearchDocument) -> Recalls:
    """Recalls of the split that the objective names; all of them pooled where it names their mean."""
    split = decisive_split(document.search.objective)
    return pool_recalls(by_split) if split == "mean" else by_split.get(split, {})


def _recalls(result: RetrievalResult) -> Recalls:
    return {recall.n: recall for recall in result.recalls()}


def _margin(loss: LossConfig) -> tuple[float | None, MarginUnit]:
    match loss:
        case CosFaceConfig():
            return loss.margin_cos, "cos"
        case ArcFaceConfig():
            return loss.margin_rad, "rad"
        case SphereFaceConfig():
            return loss.margin_mul, "mul"
        case CombinedConfig():
            return None, ""
