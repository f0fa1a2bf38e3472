"""The registry that the environment and `--home` name."""

from __future__ import annotations

import os
from pathlib import Path

from vgsearch.registry.protocol import Registry


def open_registry(home: Path) -> Registry:
    """Open MLflow: `MLFLOW_TRACKING_URI` if it is set, else the store of this home."""
    from vgsearch.registry.mlflow_registry import MlflowRegistry

    return MlflowRegistry(home, os.environ.get("MLFLOW_TRACKING_URI") or None)
