"""What is checked before the first trial, so that bad data is one line and not a failed trial each."""

from __future__ import annotations

from vgsearch.config.document import SearchDocument
from vgsearch.config.search import DataConfig


def check_data(document: SearchDocument, data: DataConfig) -> None:
    """Read every index and set of the data section, and the cells of every kind of trial.

    Raises:
        DataError: a folder, its names, its cells or its queries cannot serve; the message says which.
    """
    from vgsearch.training.data_cache import load_trial_data

    for trial in document.example_trials():
        load_trial_data(data, trial)


def fetch_weights(document: SearchDocument) -> None:
    """Fetch each backbone's weights once, here, before workers need them.

    Raises:
        WeightsError: a backbone's weights cannot be had or do not fit.
    """
    from vgsearch.models.backbones import build_backbone

    backbones = {trial.resolved_backbone.model_dump_json(): trial for trial in document.example_trials()}
    for trial in backbones.values():
        build_backbone(trial.resolved_backbone, image_px=trial.image_px)
