from __future__ import annotations

from pathlib import Path

import pytest

from tests.reporting.paper.recorded import Recorded
from vgsearch.registry.memory_registry import MemoryRegistry


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """A writer into an empty registry in memory."""
    return Recorded(MemoryRegistry(), tmp_path / "checkpoints")
