"""Which files a search's references to recorded models were when it began.

An alias may move later, and a resumed search goes on with the weights it began with, store or no store.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vgsearch.config.weight_files import RecordedWeights
from vgsearch.errors import SearchError
from vgsearch.search.study import RECORDED_WEIGHTS, read_study


def to_attribute(weights: Mapping[str, RecordedWeights]) -> dict[str, Any]:
    """What the study keeps of recorded weights, by their references."""
    return {
        reference: {"file": str(each.file), "tags": dict(each.tags)} for reference, each in weights.items()
    }


def kept_weights(home: Path, name: str) -> dict[str, RecordedWeights]:
    """Recorded weights by their references, as the study of a search keeps them.

    Returns:
        Nothing where there is no such search, or it has no such weights.
    """
    try:
        kept = read_study(home, name).user_attrs.get(RECORDED_WEIGHTS, {})
    except SearchError:
        return {}
    return {reference: RecordedWeights(Path(each["file"]), each["tags"]) for reference, each in kept.items()}
