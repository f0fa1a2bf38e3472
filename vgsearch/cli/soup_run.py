"""One call of `vgsearch soup`: what its parts share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vgsearch.config.combination import CombinationDocument
from vgsearch.config.soup import SoupFile
from vgsearch.ensembling.soup_pot import Shelf
from vgsearch.ensembling.soup_report import Watch
from vgsearch.ensembling.stored_models import StoredModels
from vgsearch.registry.protocol import Registry


@dataclass(frozen=True)
class SoupRun:
    """One call of the command.

    Attributes:
        document: The checked file.
        registry: What it reads and writes.
        shelf: What was found.
        home: Absolute.
        console: Where tables go.
        models: Scores what is recorded.
        threads: Loader threads.
        watch: Who hears how it goes.
    """

    document: CombinationDocument[SoupFile]
    registry: Registry
    shelf: Shelf
    home: Path
    console: Console
    models: StoredModels
    threads: int
    watch: Watch

    def say(self, text: str) -> None:
        """Print one line, whole."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """A bar over the images that may have to be described, gone when all is done; lines stay above it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("describing", total=0, visible=False)
        total = 0

        def expect(num_images: int) -> None:
            nonlocal total
            total += num_images
            bar.update(task, total=total, visible=total > 0)

        def say(line: str) -> None:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield Watch(
            say=say,
            tried=say,
            expect=expect,
            progress=lambda done: bar.advance(task, done),
        )
