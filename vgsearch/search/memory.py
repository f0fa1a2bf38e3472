"""Trials that ran out of memory are not tried again where they would again."""

from __future__ import annotations

from vgsearch.config.trial import TrialConfig


def would_run_out(trial: TrialConfig, earlier: TrialConfig) -> bool:
    """Say whether a trial needs at least the memory of one that ran out of it.

    It does if it is the same network on batches and images that are no smaller; whatever else differs (loss,
    rates, augmentation) hardly counts.
    """
    return _network(trial) == _network(earlier) and (
        trial.batch_size >= earlier.batch_size
        and trial.image_px >= earlier.image_px
        and (trial.domain is not None or earlier.domain is None)
    )


def _network(trial: TrialConfig) -> tuple[object, ...]:
    backbone = trial.resolved_backbone
    return backbone.name, backbone.trainable_stages, trial.precision, trial.compile
