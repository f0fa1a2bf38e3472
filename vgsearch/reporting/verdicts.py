"""What the numbers of a leaderboard allow one to say, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from vgsearch.reporting.rows import LeaderboardRow, Recalls
from vgsearch.reporting.wording import ending, with_interval
from vgsearch.retrieval.recall import Recall


def decisive_n(objective: str) -> int:
    """The N of the recall that ranks trials: 5 for `val/night/recall_at_5`."""
    number = objective.rpartition("_")[2]
    return int(number) if number.isdecimal() else 1


def outside(better: Recall, worse: Recall) -> bool:
    """Whether `better` is higher, and neither lies within the other's 95% interval."""
    return better.value > worse.interval[1] and better.interval[0] > worse.value


def lead_verdict(rows: Sequence[LeaderboardRow], n: int) -> str | None:
    """Say who is level with the best trial; None with fewer than two scored trials.

    Args:
        rows: best first.
        n: which recall decides.
    """
    scored = [row for row in rows if n in row.recalls]
    if len(scored) < 2:
        return None
    best, second = scored[:2]
    pair = (
        f"trial {best.number} with {with_interval(best.recalls[n])} and "
        f"trial {second.number} with {with_interval(second.recalls[n])}"
    )
    if outside(best.recalls[n], second.recalls[n]):
        return f"The best trial stands apart from the next: {pair}."
    level = [row for row in scored[1:] if not outside(best.recalls[n], row.recalls[n])]
    more = len(level) - 1
    also = f", nor can {more} more be told from the best" if more else ""
    queries = best.recalls[n].num_queries
    return f"The best two cannot be told apart on {queries} queries: {pair}{also}."


def untrained_verdict(rows: Sequence[LeaderboardRow], untrained: Recalls | None, n: int) -> str | None:
    """Compare the best trial with its untrained backbone; None where either has no score."""
    best = next((row for row in rows if n in row.recalls), None)
    if best is None or untrained is None or n not in untrained:
        return None
    trained, raw = best.recalls[n], untrained[n]
    gain = trained.percent - raw.percent
    start = f"The untrained backbone has R@{n} {with_interval(raw)}"
    if outside(trained, raw):
        return f"{start}; the best trial beats it outside its interval ({gain:+.1f})."
    if gain > 0:
        return (
            f"{start}; the best trial is higher ({gain:+.1f}), but within the interval: no proof of learning."
        )
    return f"{start}; the best trial does not beat it ({gain:+.1f})."


def failure_lines(rows: Sequence[LeaderboardRow]) -> list[str]:
    """One line for each trial that failed, with its reason."""
    return [
        f"Trial {row.number} {ending(row.state)}" + (f": {row.reason.rstrip('.')}." if row.reason else ".")
        for row in rows
        if row.state in ("failed", "out_of_memory")
    ]
