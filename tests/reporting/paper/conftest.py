from __future__ import annotations

from pathlib import Path

import pytest

from tests.reporting.paper.recorded import Recorded, paper_config, result
from vgsearch.registry.memory_registry import MemoryRegistry


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """A writer into an empty registry in memory."""
    return Recorded(MemoryRegistry(), tmp_path / "checkpoints")


@pytest.fixture
def store(recorded: Recorded) -> Recorded:
    """A search with a champion and its twin, a soup that a test chose, and an ensemble."""
    recorded.search("losses")
    version = recorded.trial(
        "losses", "t0", paper_config(lr=1e-4), 61.0, result("sf_xs", 600, 40), result("tokyo_xs", 217, 49)
    )
    recorded.trial("losses", "t1", paper_config(seed=1), 60.0)
    recorded.registry.set_champion("losses", version.version)
    recorded.combination(
        "losses",
        "soup-1",
        "soup",
        paper_config(),
        {"method": "greedy"},
        "test/sf_xs/recall_at_1",
        result("sf_xs", 482, method="central_crop"),
    )
    scores = (result("sf_xs", 700, 300), result("tokyo_night", 80), result("tokyo_xs", 315))
    recorded.combination(
        "losses", "ensemble-1", "ensemble", paper_config(), {"fusion": "mean"}, "val/recall_at_1", *scores
    )
    return recorded
