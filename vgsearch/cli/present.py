"""What a search prints: its steps as they come, and its outcome."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from vgsearch.cli.options import DEFAULT_DATA_ROOT, DEFAULT_HOME
from vgsearch.config.document import SearchDocument
from vgsearch.config.losses import ArcFaceConfig, CombinedConfig, CosFaceConfig, LossConfig, SphereFaceConfig
from vgsearch.errors import SearchError
from vgsearch.reporting.leaderboard import render_leaderboard
from vgsearch.reporting.live_table import LiveTable, LiveTrial
from vgsearch.reporting.next_steps import next_steps, render_next_steps
from vgsearch.reporting.rows import LeaderboardRow, MarginUnit, Recalls, ScoreRow, pool_recalls
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.search.driver import SearchOutcome
from vgsearch.search.events import TrialEvent
from vgsearch.search.outcome import TrialOutcome

_BRANCH = re.compile(r"\d+(?:_(?P<name>.+))?")


class Watcher:
    """Passes a search's events on to the live table."""

    def __init__(self, table: LiveTable) -> None:
        self._table = table

    def event(self, event: TrialEvent) -> None:
        """Show a trial's new standing."""
        self._table.update(
            LiveTrial(
                number=event.number,
                state=event.state,
                epoch=event.epoch,
                epochs=event.epochs,
                value=event.value,
                best=event.best,
                best_epoch=event.best_epoch,
                num_queries=event.num_queries,
                settings=_readable(event.settings),
                seconds=event.seconds,
                reason=event.reason,
            )
        )

    def beat(self) -> None:
        """Let the table's clock go on."""
        self._table.beat()

    def say(self, text: str) -> None:
        """Print a remark above the table."""
        self._table.note(text)


@contextmanager
def watching(document: SearchDocument, console: Console) -> Iterator[Watcher]:
    """Show a live table while the block runs; plain lines where there is no terminal."""
    with LiveTable(
        console,
        search=document.name,
        objective=document.search.objective,
        num_trials=document.search.num_trials,
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

    Raises:
        SearchError: every trial failed.
    """
    rows = [_row(rank, trial, document) for rank, trial in enumerate(outcome.trials, start=1)]
    steps = next_steps(
        document.name,
        file,
        test_splits=[f"test/{name}" for name in document.data.tests],
        has_champion=any(row.state in ("complete", "stopped") for row in rows),
        home=home,
        data_root=data_root,
    )
    if outcome.interrupted:
        done = sum(trial.state != "running" for trial in outcome.trials)
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
            rows, tests, untrained or None, search=document.name, objective=document.search.objective
        )
    )
    if not any(row.state in ("complete", "stopped") for row in rows):
        reason = next((trial.reason for trial in outcome.trials if trial.reason), "none was run")
        raise SearchError(f"all of {len(rows)} trials failed; the first: {reason}")
    console.print("\nNext:")
    console.print(render_next_steps(steps), markup=False, highlight=False, soft_wrap=True)


def unless_default(home: Path, data_root: Path) -> tuple[Path | None, Path | None]:
    """Home and data root as the next commands must name them: None where they are the defaults."""
    return None if home == DEFAULT_HOME else home, None if data_root == DEFAULT_DATA_ROOT else data_root


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
    )


def _decisive(by_split: Mapping[str, Recalls], document: SearchDocument) -> Recalls:
    """Recalls of the split that the objective names; all of them pooled where it names their mean."""
    parts = document.search.objective.split("/")
    split = parts[1] if len(parts) == 3 else ""
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


def _readable(settings: Mapping[str, object]) -> dict[str, object]:
    """Branch labels as a reader says them: `1_arcface` is arcface; a branch without a name goes."""
    readable: dict[str, object] = {}
    for name, value in settings.items():
        branch = _BRANCH.fullmatch(value) if isinstance(value, str) else None
        if branch is None:
            readable[name] = value
        elif branch["name"]:
            readable[name] = branch["name"]
    return readable
