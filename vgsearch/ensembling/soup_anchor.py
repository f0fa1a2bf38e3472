"""What a model stock is drawn back to: the weights that all its ingredients started from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vgsearch.ensembling.averaging import Weights
from vgsearch.ensembling.candidates import Candidate
from vgsearch.errors import CheckpointError, VgsearchError
from vgsearch.models.checkpoint import MODEL_FILE, is_checkpoint
from vgsearch.models.file_hash import file_sha256
from vgsearch.models.network import build_network
from vgsearch.registry.protocol import Registry
from vgsearch.training.initial_state import InitialState, read_initial_state

_TAKES = (
    "model_stock draws the mean back to the weights that all ingredients started from: search with "
    "search.branch (a shared trunk), start all trials from one seed and the same weights, or name a "
    "checkpoint with --anchor"
)


@dataclass(frozen=True)
class Anchor:
    """The weights that all began with.

    Attributes:
        weights: A checkpoint, or the tensors.
        origin: Where they are from, in words.
        key: Hash of the weights, whatever they are called.
    """

    weights: Weights
    origin: str
    key: str


def find_anchor(registry: Registry, candidates: Sequence[Candidate], home: Path, named: str | None) -> Anchor:
    """Take the checkpoint that was named, else the trunk, else the initial weights as they were recorded.

    Args:
        registry: Where a reference is looked up.
        candidates: The ingredients.
        home: Below which trunks lie.
        named: A reference or a folder; None finds the anchor.

    Raises:
        RegistryError: The reference names nothing.
        CheckpointError: There is no shared beginning, or it cannot be had any more.
    """
    if named is not None:
        folder = registry.download(named)
        return Anchor(folder, named, file_sha256(folder / MODEL_FILE))
    trunks = {candidate.spec.trunk for candidate in candidates}
    trunk = candidates[0].spec.trunk
    if len(trunks) == 1 and trunk is not None:
        folder = home / "trials" / trunk.uid / trunk.checkpoint
        if not is_checkpoint(folder):
            raise CheckpointError(
                f"the shared trunk {folder} is gone: restore it, or name a checkpoint with --anchor"
            )
        return Anchor(folder, f"trunk {trunk.uid}", file_sha256(folder / MODEL_FILE))
    return _initial_weights(candidates)


def _initial_weights(candidates: Sequence[Candidate]) -> Anchor:
    """Build the first ingredient's network anew; its hash tells whether all began with it."""
    states = [read_initial_state(candidate.folder) for candidate in candidates]
    first = states[0]
    for candidate, state in zip(candidates, states, strict=True):
        if state is None:
            raise CheckpointError(f"{candidate.reference} has no record of its initial weights; {_TAKES}")
        if first is None or state.network != first.network:
            raise CheckpointError(
                f"{candidate.reference} started from other weights than {candidates[0].reference}; {_TAKES}"
            )
    assert first is not None
    try:
        network = build_network(candidates[0].spec.trial)
    except VgsearchError as error:
        raise CheckpointError(f"the initial weights cannot be built again ({error}); {_TAKES}") from error
    if InitialState.of(network).network != first.network:
        raise CheckpointError(
            f"the initial weights are built otherwise here than when {candidates[0].reference} was trained "
            f"(another torch or timm?); {_TAKES}"
        )
    return Anchor(network.state_dict(), f"initial weights {first.network[:12]}", first.network)
