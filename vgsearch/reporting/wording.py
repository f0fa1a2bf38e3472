"""Numbers and settings as the tables print them."""

from __future__ import annotations

from rich.text import Text

from vgsearch.reporting.rows import LeaderboardRow, MarginUnit
from vgsearch.retrieval.bootstrap import BootstrapDifference
from vgsearch.retrieval.recall import Recall

MISSING = "-"
_MARGIN_FORMATS: dict[MarginUnit, str] = {
    "": "{:.2f}",
    "cos": "{:.2f} cos",
    "rad": "{:.2f} rad",
    "mul": "x{:.2f}",
}
_STATE_STYLES = {
    "running": "cyan",
    "complete": "green",
    "stopped": "yellow",
    "infeasible": "magenta",
    "cut off": "dim",
    "failed": "red",
    "out_of_memory": "red",
}

_ENDINGS = {
    "complete": "is complete",
    "stopped": "was stopped",
    "infeasible": "broke a constraint",
    "out_of_memory": "ran out of memory",
}


def percent(recall: Recall | None) -> str:
    """`63.0`, or a dash."""
    return MISSING if recall is None else f"{recall.percent:.1f}"


def bracket(recall: Recall | None) -> str:
    """The 95% interval in percent, `[59.1, 66.7]`, or nothing."""
    if recall is None:
        return ""
    low, high = recall.interval
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def half_width(recall: Recall | None) -> str:
    """Half of the interval's width, `±3.8`: shorter than `bracket`, and nearly symmetric in practice."""
    if recall is None:
        return ""
    low, high = recall.interval
    return f"±{50 * (high - low):.1f}"


def with_interval(recall: Recall | None) -> str:
    """`63.0 [59.1, 66.7]`, or a dash."""
    return MISSING if recall is None else str(recall)


def points(difference: BootstrapDifference, *, digits: int = 1) -> str:
    """`+9.2 [+3.7, +15.3]`, in percent; with a star where too few places changed to believe it."""
    low, high = 100 * difference.low, 100 * difference.high
    mark = "" if difference.is_reliable else " *"
    return f"{100 * difference.difference:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]{mark}"


def duration(seconds: float) -> str:
    """`42 s`, `5:07`, or `2:05:07` from an hour on."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def margin(row: LeaderboardRow) -> str:
    """The margin with its unit: `0.40 cos`, `0.50 rad`, `x1.50`."""
    return MISSING if row.margin is None else _MARGIN_FORMATS[row.margin_unit].format(row.margin)


def alpha(row: LeaderboardRow) -> str:
    """The reversal's strength, a dash without one."""
    return MISSING if row.grl_alpha is None else f"{row.grl_alpha:.2f}"


def epoch(row: LeaderboardRow) -> str:
    """Best epoch of all: `3/4`."""
    return f"{MISSING if row.best_epoch is None else row.best_epoch}/{row.epochs}"


def gigabytes(size_bytes: float | None) -> str:
    """Units of 10^9 bytes with one decimal, `10.4`, or a dash."""
    return MISSING if size_bytes is None else f"{size_bytes / 1e9:.1f}"


def hours(count: float) -> str:
    """Hours to three digits, at least two decimals below one: `0.04`, `1.25`, `113`."""
    return f"{count:.2f}" if count < 1 else f"{count:.3g}" if count < 1000 else f"{count:.0f}"


def state(name: str) -> str:
    """A state in words."""
    return name.replace("_", " ")


def ending(name: str) -> str:
    """A final state as the verb of a sentence: `failed`, `ran out of memory`, `is complete`."""
    return _ENDINGS.get(name, name)


def styled_state(name: str) -> Text:
    """A state in words and colour."""
    return Text(state(name), style=_STATE_STYLES.get(name, "default"))
