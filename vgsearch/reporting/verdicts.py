"""What the numbers of a leaderboard allow one to say, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgsearch.reporting.rows import LeaderboardRow, Recalls
from vgsearch.reporting.wording import ending, with_interval
from vgsearch.retrieval.recall import Recall

if TYPE_CHECKING:  # it brings scipy, which `vgsearch status` need not wait for
    from vgsearch.retrieval.compare import PairedComparison

_SHOWN_VIOLATIONS = 3


def decisive_n(objective: str) -> int:
    """The N of the recall that ranks trials: 5 for `val/night/recall_at_5`."""
    number = objective.rpartition("_")[2]
    return int(number) if number.isdecimal() else 1


def decisive_split(objective: str) -> str:
    """The selection split that ranks trials: `night` for `val/night/recall_at_5`, "" for an unnamed one.

    `mean` stands for all of them together.
    """
    parts = objective.split("/")
    return parts[1] if len(parts) == 3 else ""


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def outside(better: Recall, worse: Recall) -> bool:
    """Whether `better` is higher, and neither lies within the other's 95% interval."""
    return better.value > worse.interval[1] and better.interval[0] > worse.value


def lead_verdict(
    rows: Sequence[LeaderboardRow], n: int, paired: PairedComparison | None = None
) -> str | None:
    """Say who is level with the best trial; None with fewer than two scored trials.

    Args:
        rows: best first; those that cannot be champion do not count.
        n: which recall decides.
        paired: the best minus the second on the same queries; without it their intervals are judged, which
            sees less: both trials fail on the same hard queries.
    """
    scored = [row for row in rows if row.may_win and n in row.recalls]
    if len(scored) < 2:
        return None
    best, second = scored[:2]
    others = [row for row in scored[2:] if not outside(best.recalls[n], row.recalls[n])]
    if paired is not None:
        also = f" By their intervals {_counted(len(others))} level with the best." if others else ""
        return _paired_verdict(best, second, paired) + also
    pair = (
        f"trial {best.number} with {with_interval(best.recalls[n])} and "
        f"trial {second.number} with {with_interval(second.recalls[n])}"
    )
    if outside(best.recalls[n], second.recalls[n]):
        return f"The best trial stands apart from the next by their intervals: {pair}."
    also = f", nor can {len(others)} more be told from the best" if others else ""
    queries = best.recalls[n].num_queries
    return f"The best two cannot be told apart on {queries} queries by their intervals: {pair}{also}."


def _paired_verdict(best: LeaderboardRow, second: LeaderboardRow, paired: PairedComparison) -> str:
    boot, test = paired.bootstrap, paired.mcnemar
    side = "above" if boot.difference >= 0 else "below"  # pooled splits may turn the order of their mean
    evidence = (
        f"on the same {paired.second.num_queries} queries trial {best.number} is "
        f"{100 * abs(boot.difference):.1f} points {side} trial {second.number}, difference "
        f"[{100 * boot.low:+.1f}, {100 * boot.high:+.1f}] by a paired bootstrap over "
        f"{boot.num_places} places; "
        f"McNemar's exact test: p = {test.p_value:.2g}"
    )
    if paired.doubt is not None:
        from vgsearch.retrieval.compare import IN_WORDS  # it brings scipy

        evidence += f"; {IN_WORDS[paired.doubt]}"
    if paired.better == "second":
        return f"The best trial stands apart from the next: {evidence}."
    return f"The best two cannot be told apart: {evidence}."


def _counted(count: int) -> str:
    return "1 more is" if count == 1 else f"{count} more are"


def untrained_verdict(rows: Sequence[LeaderboardRow], untrained: Recalls | None, n: int) -> str | None:
    """Compare the best trial with its untrained backbone; None where either has no score."""
    best = next((row for row in rows if row.may_win and n in row.recalls), None)
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


def constraint_line(rows: Sequence[LeaderboardRow]) -> str | None:
    """Count the trials that broke a constraint, with the first few reasons; None without any."""
    broken = [row for row in rows if row.state == "infeasible"]
    if not broken:
        return None
    reasons = [f"trial {row.number}: {row.reason.rstrip('.') or 'no reason kept'}" for row in broken]
    shown = "; ".join(reasons[:_SHOWN_VIOLATIONS])
    more = len(broken) - _SHOWN_VIOLATIONS
    also = f"; and {more} more" if more > 0 else ""
    count = "1 trial" if len(broken) == 1 else f"{len(broken)} trials"
    return f"{count} broke a constraint and cannot be champion ({shown}{also})."
