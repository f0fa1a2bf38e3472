"""Scores outside the loop: the untrained backbone before a search, the champion on test splits after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from vgsearch.config.search import TrialSpec
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.errors import ConfigError
from vgsearch.models.checkpoint import load_network
from vgsearch.models.network import DescriptorNetwork, build_network
from vgsearch.models.precision import pick_device, resolve_scoring_precision
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.scoring import score_sets
from vgsearch.training.data_cache import load_split, load_val_sets
from vgsearch.training.threads import take_cpus
from vgsearch.training.val_scores import recall_metrics


@dataclass(frozen=True)
class Scores:
    """Scores of one network.

    Attributes:
        metrics: recalls in percent, named as a trial's.
        results: per-query results by split name ("" for a single unnamed selection split).
    """

    metrics: dict[str, float]
    results: dict[str, RetrievalResult]


class PooledBackbone(torch.nn.Module):
    """A descriptor network without its linear layer: the pooled, L2-normalised feature map.

    The linear layer starts as a random projection, so an untrained network's own descriptor would say less
    about what its backbone brings along than the features that it projects.
    """

    def __init__(self, network: DescriptorNetwork) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (b, 3, h, w), uint8 or float in [0, 1] -> float32 (b, channels), L2 norm 1."""
        feature_map = self.network.backbone(self.network.normalise(images))
        with torch.autocast(images.device.type, enabled=False):
            pooled = self.network.pooling(functional.normalize(feature_map.float(), dim=1))
            return functional.normalize(pooled, dim=1)


def score_untrained(
    spec: TrialSpec, *, device: torch.device | None = None, threads: int | None = None
) -> Scores:
    """Score the trial's backbone with its initial weights on every selection split: epoch 0.

    Args:
        spec: a trial; of its keys only backbone, pooling, precision, data and eval matter.
        device: null takes a GPU where there is one.
        threads: CPUs to use; null takes those of the process.

    Raises:
        WeightsError: the weights cannot be had.
        DataError: a split does not hold what scoring needs.
    """
    network = PooledBackbone(build_network(spec.trial))
    results = _score(network, spec, load_val_sets(spec.data), device, threads, None)
    return Scores(metrics=recall_metrics(results), results=results)


def score_tests(
    checkpoint: Path,
    spec: TrialSpec,
    tests: Iterable[str] | None = None,
    *,
    device: torch.device | None = None,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, RetrievalResult]:
    """Score a checkpoint on test splits.

    Args:
        checkpoint: its folder.
        spec: gives the test folders, the distance of a positive, and how images are scored.
        tests: names in `spec.data.tests`; null takes all.
        device: null takes a GPU where there is one.
        threads: CPUs to use; null takes those of the process.
        progress: called with the number of images done since the last call.

    Returns:
        Per-query results by test name.

    Raises:
        ConfigError: a name is not in `spec.data.tests`.
        CheckpointError: the checkpoint is missing or damaged.
        DataError: a split does not hold what scoring needs.
    """
    folders = spec.data.tests
    names = list(folders) if tests is None else list(tests)
    unknown = [name for name in names if name not in folders]
    if unknown:
        raise ConfigError(
            [f"data.tests has no {name}; it has: {', '.join(folders) or 'none'}" for name in unknown]
        )
    device = pick_device() if device is None else device
    sets = {name: load_split(folders[name], spec.data.positive_distance_m, name) for name in names}
    return _score(load_network(checkpoint, device), spec, sets, device, threads, progress)


def _score(
    network: torch.nn.Module,
    spec: TrialSpec,
    sets: Mapping[str, RetrievalSet],
    device: torch.device | None,
    threads: int | None,
    progress: Callable[[int], None] | None,
) -> dict[str, RetrievalResult]:
    device = pick_device() if device is None else device
    split = take_cpus(device, threads)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    results = score_sets(
        network,
        list(sets.values()),
        eval_config=spec.eval,
        device=device,
        precision=resolve_scoring_precision(spec.trial.precision, device),
        loader_threads=split.loader,
        progress=progress,
    )
    return dict(zip(sets, results, strict=True))
