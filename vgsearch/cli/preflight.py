"""What is checked before the first trial, so that bad data is one line and not a failed trial each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from vgsearch.config.document import SearchDocument
from vgsearch.config.search import DataConfig
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import CellsError

if TYPE_CHECKING:
    from vgsearch.data.index import ImageIndex


def check_data(document: SearchDocument, data: DataConfig) -> list[str]:
    """Read every index and set of the data section, and the cells of every kind of trial.

    Cells or batches that leave too few classes in one corner of the space are that corner's own failure.

    Returns:
        Sentences that the user should read.

    Raises:
        DataError: a folder, its names, its cells or its queries cannot serve, or queries of a test are in
            the target domain; the message says which.
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
    tests = {name: load_split(folder, data.positive_distance_m, name) for name, folder in data.tests.items()}
    inherited = [
        f"a recorded model that trials may start from is tagged {tag}, and every run is tagged so too"
        for tag in document.inherited_tags
    ]
    return inherited + check_target_domain(data, {name: test.queries for name, test in tests.items()})


def check_target_domain(data: DataConfig, queries_of_tests: Mapping[str, ImageIndex]) -> list[str]:
    """Refuse target domains that hold queries of a test, unless their records say that this is meant.

    Returns:
        Of each that is transductive, that it is so, in a sentence.

    Raises:
        DataError: one holds such queries, or its record is damaged.
    """
    from vgsearch.data.index import index_folder
    from vgsearch.data.target_domain import leak, read_target_record, refuse

    said = []
    for folder in map(Path, data.target_domains.values()):
        record = read_target_record(folder)
        if record is not None and record.transductive:
            said.append(
                f"{folder} is transductive: queries of a test may be among its photos, and every run on it "
                "is tagged vgsearch.transductive"
            )
            continue
        photos = [index_folder(folder)]
        refuse([leak(photos, name, queries) for name, queries in queries_of_tests.items()])
    return said


def fetch_weights(trials: Iterable[TrialConfig], console: Console) -> None:
    """Fetch each backbone's weights once, here, before workers need them, and say what a file gives.

    Args:
        trials: trials that together hold every backbone, its weights and every descriptor length.
        console: told what of a weights file is taken and what is left out.

    Raises:
        WeightsError: a backbone's weights cannot be had or do not fit.
    """
    from vgsearch.models.network import build_network

    networks = {(trial.resolved_backbone.model_dump_json(), trial.descriptor_dim): trial for trial in trials}
    said: set[str] = set()
    for trial in networks.values():
        build_network(trial, say=said.add)
    for sentence in sorted(said):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
