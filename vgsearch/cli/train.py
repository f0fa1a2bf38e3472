"""`vgsearch train`: one decided trial, here and now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vgsearch.cli.options import DEFAULT_DATA_ROOT, DEFAULT_HOME, DataRoot, Home, Overrides, SpaceFile

if TYPE_CHECKING:
    from vgsearch.training.report import EpochReport


def train(
    file: SpaceFile,
    overrides: Overrides = None,
    home: Home = DEFAULT_HOME,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Train a single trial of a space in this process, without Ray, and record it like a search of one.

    Values that the file searches and no --set decides take the middle of their range or their first choice;
    which ones is printed. The same trial started again continues where it was, also after Ctrl+C or SIGTERM.
    """
    from vgsearch.cli.demo import build_city
    from vgsearch.cli.load import load_space
    from vgsearch.cli.preflight import check_data, fetch_weights
    from vgsearch.cli.stopping import stoppable, typed
    from vgsearch.cli.store import open_registry
    from vgsearch.search.ledger import recorded_text
    from vgsearch.search.single import run_single, single_spec

    console = Console()
    go_on = typed(home=home, data_root=data_root)
    home = home.resolve()
    document = load_space(file, overrides, data_root, home=home)
    if document.data.demo_city is not None:
        build_city(data_root / document.data.demo_city.folder, document.data.demo_city, console)
    data = document.resolved_data(data_root.resolve())
    for note in check_data(document, data):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    trial, notes = document.default_trial()
    for note in notes:
        console.print(f"decided: {note}", markup=False, highlight=False)
    fetch_weights([trial], console)
    spec = single_spec(document, data, trial)
    console.print(f"trial {spec.uid}", markup=False, highlight=False)

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, transient=True)
    with stoppable(console, lambda: go_on) as check, bar:
        task: TaskID = bar.add_task(f"epoch 1/{trial.epochs}", total=trial.iterations_per_epoch, loss="-")

        def show_progress(done: int, planned: int, loss: float) -> None:
            bar.update(task, completed=done, total=planned, loss=f"{loss:.3f}")

        def show_epoch(report: EpochReport) -> None:
            console.print(_epoch_line(report, trial.epochs), markup=False, highlight=False)
            following = min(report.epoch + 1, trial.epochs)
            bar.reset(
                task,
                total=trial.iterations_per_epoch,
                loss="-",
                description=f"epoch {following}/{trial.epochs}",
            )

        def show_resume(epochs: int) -> None:
            what = "it is finished" if epochs >= trial.epochs else f"going on with epoch {epochs + 1}"
            console.print(f"{epochs} epochs are done already; {what}", markup=False, highlight=False)
            bar.update(task, description=f"epoch {min(epochs + 1, trial.epochs)}/{trial.epochs}")

        best, version = run_single(
            spec,
            home,
            open_registry(home),
            config_text=recorded_text(document),
            inherited_tags=document.inherited_tags,
            on_epoch=show_epoch,
            on_resume=show_resume,
            progress=show_progress,
            check=check,
        )
    console.print(
        f"best: epoch {best.epoch}, {spec.objective} {best.metrics[spec.objective]:.1f}\n"
        f"checkpoint: {best.checkpoint}\n"
        f"recorded as {version.reference}\n"
        f"score it on a test split: vgsearch evaluate {version.reference} --on SPLIT",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _epoch_line(report: EpochReport, epochs: int) -> str:
    from vgsearch.training.val_scores import stored_results

    recalls = "; ".join(
        f"{split or 'val'} {result.summary()}" for split, result in stored_results(report.checkpoint).items()
    )
    mark = " (best so far)" if report.is_best else ""
    loss = report.metrics["train/loss"]
    return f"epoch {report.epoch}/{epochs} in {report.seconds:.0f} s, loss {loss:.3f}{mark}: {recalls}"
