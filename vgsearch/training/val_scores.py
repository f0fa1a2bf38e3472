"""Metrics of the selection splits, under the names that objectives, tables and MLflow use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vgsearch.errors import ConfigError
from vgsearch.retrieval.recall import RECALL_NS, RetrievalResult


def recall_metrics(results: Mapping[str, RetrievalResult]) -> dict[str, float]:
    """Recalls in percent by metric name.

    One unnamed split gives `val/recall_at_1` and so on; named ones give `val/<split>/recall_at_1` and the
    plain mean over splits, `val/mean/recall_at_1`.

    Args:
        results: by split name; the single unnamed split has the name "".
    """
    metrics: dict[str, float] = {}
    for n in RECALL_NS:
        by_split = {split: result.at(n).percent for split, result in results.items()}
        for split, percent in by_split.items():
            metrics[f"val/{split}/recall_at_{n}" if split else f"val/recall_at_{n}"] = percent
        if "" not in by_split:
            metrics[f"val/mean/recall_at_{n}"] = sum(by_split.values()) / len(by_split)
    return metrics


def objective_value(objective: str, metrics: Mapping[str, float]) -> float:
    """The metric that a search maximises.

    Raises:
        ConfigError: no metric has that name; the message lists those that can be selected on.
    """
    if objective not in metrics:
        choices = ", ".join(name for name in metrics if name.startswith("val/"))
        raise ConfigError([f"search.objective: no metric is called {objective}; there are: {choices}"])
    return metrics[objective]


def result_files(results: Mapping[str, RetrievalResult]) -> dict[str, bytes]:
    """Per-query results as files of a checkpoint: `val.npz`, or `val__<split>.npz` for each named split."""
    return {
        f"val__{split}.npz" if split else "val.npz": result.to_npz_bytes()
        for split, result in results.items()
    }


def stored_results(checkpoint: Path) -> dict[str, RetrievalResult]:
    """Read what `result_files` put into a checkpoint: per-query results by split, "" for the unnamed one.

    Raises:
        DataError: a file is damaged.
    """
    return {
        file.stem.removeprefix("val").removeprefix("__"): RetrievalResult.from_npz(file)
        for file in sorted(checkpoint.glob("val*.npz"))
    }
