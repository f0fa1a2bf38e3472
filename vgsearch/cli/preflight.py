"""What is checked before the first trial, so that bad data is one line and not a failed trial each."""

from __future__ import annotations

from vgsearch.config.document import SearchDocument
from vgsearch.config.search import DataConfig
from vgsearch.errors import CellsError


def check_data(document: SearchDocument, data: DataConfig) -> None:
    """Read every index and set of the data section, and the cells of every kind of trial.

    Cells or batches that leave too few classes in one corner of the space are that corner's own failure.

    Raises:
        DataError: a folder, its names, its cells or its queries cannot serve; the message says which.
    """
    from vgsearch.training.data_cache import load_split, load_trial_data

    refused: list[CellsError] = []
    trials = document.example_trials()
    for trial in trials:
        try:
            load_trial_data(data, trial)
        except CellsError as error:
            refused.append(error)
    if len(refused) == len(trials):
        raise refused[0]
    for name, folder in data.tests.items():
        load_split(folder, data.positive_distance_m, name)


def fetch_weights(document: SearchDocument) -> None:
    """Fetch each backbone's weights once, here, before workers need them.

    Raises:
        WeightsError: a backbone's weights cannot be had or do not fit.
    """
    from vgsearch.models.backbones import build_backbone

    backbones = {trial.resolved_backbone.model_dump_json(): trial for trial in document.example_trials()}
    for trial in backbones.values():
        build_backbone(trial.resolved_backbone, image_px=trial.image_px)
