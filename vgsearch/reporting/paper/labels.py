"""The columns that name a row: which are shown, which are said once, and which become headings of groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vgsearch.reporting.paper.printed import PrintedRow, PrintedTable

_GROUPED = "Backbone"
_BREAKS = {
    "Re-rank aux network": "Re-rank\naux network",
    "Soup Ings. / Pot Ings.": "Soup /\nPot Ings.",
    "Batch Size": "Batch\nSize",
    "Query Method": "Query\nMethod",
    "Training Time (h)": "Training\nTime (h)",
}


@dataclass(frozen=True)
class LabelColumns:
    """How a table's labels are laid out.

    Attributes:
        shared: Labels that all rows have alike, with their value: said once above the table.
        group: The label that heads groups of rows; None without such.
        shown: The labels that have columns, at least one.
    """

    shared: tuple[tuple[str, str], ...]
    group: str | None
    shown: tuple[str, ...]

    @classmethod
    def of(cls, table: PrintedTable) -> LabelColumns:
        """Decide for one table."""
        values = {name: [row.labels[name] for row in table.rows] for name in table.label_names}
        shared = [name for name in table.label_names if len(set(values[name])) == 1]
        rest = [name for name in table.label_names if name not in shared]
        group = _GROUPED if rest[0] == _GROUPED and len(set(values[_GROUPED])) < len(table.rows) else None
        return cls(
            shared=tuple((name, values[name][0]) for name in shared),
            group=group,
            shown=tuple(name for name in rest if name != group),
        )

    def headers(self) -> list[str]:
        """Column headings; long ones break, so that narrow terminals have room."""
        first, *others = [_BREAKS.get(name, name.replace(" (", "\n(")) for name in self.shown]
        return [first if self.group is None else f"{self.group}\n{self.indent}{self.shown[0]}", *others]

    @property
    def indent(self) -> str:
        """What stands before a row's first label."""
        return "" if self.group is None else "  "

    def shared_line(self) -> str:
        """`every row: Backbone Efficientnet V2 Small, GRL 0.3`, or nothing."""
        return (
            f"every row: {', '.join(f'{name} {value}' for name, value in self.shared)}" if self.shared else ""
        )

    def row_name(self, row: PrintedRow) -> str:
        """A row's name in a sentence, without what it costs."""
        names: Sequence[str] = ([self.group] if self.group else []) + list(self.shown)
        return ", ".join(row.labels[name] for name in names if "(" not in name and row.labels[name] != "-")
