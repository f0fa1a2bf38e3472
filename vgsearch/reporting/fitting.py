"""One content in two layouts, of which the console's width chooses."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement


@dataclass(frozen=True)
class Fitting:
    """The wide layout where the console has room for it, else the narrow one.

    Attributes:
        wide: one table, say.
        narrow: the same, less broad.
        core: what must fit, uncut, for the wide layout to be taken; None takes `wide` itself.
        spare: columns that must be left beside it, for a column that may wrap.
    """

    wide: RenderableType
    narrow: RenderableType
    core: RenderableType | None = None
    spare: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        core = self.wide if self.core is None else self.core
        taken = Measurement.get(console, options.update(width=10_000), core).maximum
        yield self.wide if options.max_width - taken >= self.spare else self.narrow
