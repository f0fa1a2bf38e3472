"""The median stopping rule (Golovin et al., KDD 2017), as a pure function of what the study stores."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from vgsearch.search.halving import History, arrived_before


def is_below_median(history: History, epoch: int, others: Sequence[History], *, n_startup: int) -> bool:
    """Say whether a trial ends after `epoch`.

    It ends if its best value so far is below the median of what other trials had reached after the same
    epoch. Optuna's MedianPruner asks complete trials alone; here every trial counts that had come as far,
    so that the rule works from the start of a search with many trials at once, and a verdict does not depend
    on what became of the others later.

    Args:
        history: the judged trial's reports; must hold `epoch`. Later ones are not looked at.
        epoch: the epoch that has just ended.
        others: the reports of every other trial of the search, whatever became of it.
        n_startup: nobody ends while fewer others have come as far.
    """
    reached = arrived_before(history[epoch], epoch, others)
    if len(reached) < max(n_startup, 1):
        return False
    best = max(report.value for at, report in history.items() if at <= epoch)
    return best < median(reached)
