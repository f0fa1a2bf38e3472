"""The plain table that every report is set in."""

from __future__ import annotations

from collections.abc import Collection

from rich.table import Table


def new_table(*headers: str, left: Collection[str] = ()) -> Table:
    """Columns without rules between them, numbers to the right, the columns named in `left` to the left."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for header in headers:
        justify = "left" if header in left else "right"
        table.add_column(header, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    return table
