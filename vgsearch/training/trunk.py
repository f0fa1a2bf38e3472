"""Where a branch starts: the weights of its trunk, and the class weights where both have the same cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vgsearch.config.search import TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import CheckpointError
from vgsearch.models.checkpoint import (
    is_checkpoint,
    load_training_state,
    load_weights,
    read_spec,
)
from vgsearch.models.network import DescriptorNetwork, build_network


class TrunkError(CheckpointError):
    """The trunk of a branch cannot be used, which every trial of its architecture would meet."""


def trunk_folder(spec: TrialSpec, folder: Path) -> Path | None:
    """The checkpoint that the trial of `spec` starts from, beside its own `folder`; None without a trunk.

    Raises:
        TrunkError: there is no whole checkpoint.
    """
    if spec.trunk is None:
        return None
    trunk = folder.absolute().parent / spec.trunk.uid / spec.trunk.checkpoint
    if not is_checkpoint(trunk):
        raise TrunkError(
            f"{trunk}: is no whole checkpoint, and trial {spec.uid} starts from this trunk (search.branch); "
            "restore the folder, or search anew under another name"
        )
    return trunk


def network_from_trunk(trunk: Path, trial: TrialConfig) -> DescriptorNetwork:
    """Build the network of `trial` with the trunk's weights, on the CPU and in training mode.

    Raises:
        TrunkError: the trunk is damaged or of another architecture.
    """
    network = build_network(trial, load_weights=False)
    try:
        load_weights(trunk, network, trial)
    except CheckpointError as error:
        raise TrunkError(f"the trunk that this trial starts from: {error}") from error
    return network


def classifiers_of_trunk(trunk: Path, trial: TrialConfig) -> dict[str, Any] | None:
    """The state of the trunk's classifiers, as `GroupClassifiers.state_dict` gave it.

    Returns:
        None where the trial's cells are others: its classes have nothing to do with the trunk's.

    Raises:
        TrunkError: the trunk is damaged, or holds no training state.
    """
    try:
        if read_spec(trunk).trial.cells != trial.cells:
            return None
        state = load_training_state(trunk).get("classifiers")
    except CheckpointError as error:
        raise TrunkError(f"the trunk that this trial starts from: {error}") from error
    if not isinstance(state, dict):
        raise TrunkError(f"{trunk}: its training state holds no classifiers; search anew under another name")
    return state
