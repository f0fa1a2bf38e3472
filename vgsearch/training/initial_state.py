"""Which weights a trial started from, as hashes: what tells whether two trials can be averaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vgsearch.models.architecture import weights_hash
from vgsearch.models.checkpoint import read_metrics
from vgsearch.models.network import DescriptorNetwork

NETWORK_KEY = "initial_state"
BACKBONE_KEY = "initial_backbone"


@dataclass(frozen=True)
class InitialState:
    """Hashes (see `weights_hash`) of a network before its first step, on any device in any memory format.

    Attributes:
        network: of all its tensors.
        backbone: of its backbone's alone: equal for trials that loaded the same pre-trained weights, while
            the linear layer was drawn from another seed or the pooling began with another power.
    """

    network: str
    backbone: str

    @classmethod
    def of(cls, network: DescriptorNetwork) -> InitialState:
        """Hash a network that has not been trained yet: 0.3 s of one core for a ResNet-50 (98 MB)."""
        return cls(weights_hash(network.state_dict()), weights_hash(network.backbone.state_dict()))

    def to_metrics(self) -> dict[str, str]:
        """The entries of a checkpoint's `metrics.json`."""
        return {NETWORK_KEY: self.network, BACKBONE_KEY: self.backbone}


def read_initial_state(checkpoint: Path) -> InitialState | None:
    """What the trial of a checkpoint started from; None where an older version did not record it.

    Raises:
        CheckpointError: `metrics.json` is missing or damaged.
    """
    metrics = read_metrics(checkpoint)
    network, backbone = metrics.get(NETWORK_KEY), metrics.get(BACKBONE_KEY)
    if not isinstance(network, str) or not isinstance(backbone, str):
        return None
    return InitialState(network, backbone)
