"""Building the demo city where a document asks for it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vgsearch.config.search import DemoCityConfig


def build_city(out: Path, city: DemoCityConfig, console: Console) -> None:
    """Draw the city into `out` with a progress bar; one that is there already is left alone at once."""
    from vgsearch.data.demo_city import build_demo_city

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"drawing the demo city in {out}", total=None)
        build_demo_city(out, city, progress=lambda done, total: bar.update(task, completed=done, total=total))
    console.print(f"demo city: {out}", markup=False, highlight=False)
