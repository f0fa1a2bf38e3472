"""`ensemble.yaml`: which networks an ensemble's folder holds, and how their descriptors become one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, model_validator

from vgsearch.config.search import TrialSpec
from vgsearch.config.strict import Strict
from vgsearch.errors import CheckpointError
from vgsearch.models.architecture import describe_architecture
from vgsearch.models.ensemble_network import WEIGHT_SUM_TOLERANCE, Fusion
from vgsearch.models.plain_yaml import read_plain_yaml

ENSEMBLE_FILE = "ensemble.yaml"
MAX_MEMBERS = 64

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class MemberRecord(Strict):
    """One member: where it came from, what its weights were, and the trial that builds its network."""

    reference: str = Field(min_length=1, max_length=1000)
    uid: str = Field(min_length=1, max_length=128)
    epoch: int = Field(ge=0)
    weights_sha256: _Sha256
    architecture: _Sha256
    spec: TrialSpec


class EnsembleRecord(Strict):
    """Fusion, weights (positive, sum 1) and members, in one order."""

    fusion: Fusion
    weights: list[Annotated[float, Field(gt=0, le=1)]] = Field(min_length=1, max_length=MAX_MEMBERS)
    members: list[MemberRecord] = Field(min_length=1, max_length=MAX_MEMBERS)

    @model_validator(mode="after")
    def _fits(self) -> EnsembleRecord:
        if len(self.weights) != len(self.members):
            raise ValueError(f"{len(self.members)} members need as many weights, got {len(self.weights)}")
        if abs(sum(self.weights) - 1) > WEIGHT_SUM_TOLERANCE:
            raise ValueError(f"weights must have the sum 1, got {sum(self.weights):.9g}")
        lengths = sorted({member.spec.trial.descriptor_dim for member in self.members})
        if self.fusion == "mean" and len(lengths) > 1:
            raise ValueError(f"mean needs descriptors of one length, got {lengths}")
        if self.fusion == "concat" and max(self.weights) - min(self.weights) > WEIGHT_SUM_TOLERANCE:
            raise ValueError("concat takes equal weights")
        return self

    @property
    def architecture(self) -> str:
        """64 hexadecimal digits: all that decides what the ensemble computes apart from its tensors."""
        content = {
            "fusion": self.fusion,
            "weights": self.weights,
            "members": [member.architecture for member in self.members],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def in_words(self) -> str:
        """`mean of 2: resnet18.tv_in1k + gem + 512 (0.67); tf_efficientnet_lite0 + gem + 512 (0.33)`."""
        parts = [
            f"{describe_architecture(member.spec.trial)} ({weight:.2f})"
            for member, weight in zip(self.members, self.weights, strict=True)
        ]
        return f"{self.fusion} of {len(parts)}: {'; '.join(parts)}"

    def to_yaml(self) -> str:
        """The file's text."""
        return yaml.dump(
            self.model_dump(mode="json"), Dumper=_NoAliasDumper, sort_keys=False, allow_unicode=True
        )


class _NoAliasDumper(yaml.SafeDumper):
    """The reader takes no aliases, so equal parts are written out."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def is_ensemble(folder: Path) -> bool:
    """Whether a folder is an ensemble's rather than a single network's."""
    return (folder / ENSEMBLE_FILE).is_file()


def read_ensemble(folder: Path) -> EnsembleRecord:
    """Read `ensemble.yaml`, strictly.

    Raises:
        CheckpointError: It is missing, damaged, or breaks a rule; one line.
    """
    path = folder / ENSEMBLE_FILE
    content = read_plain_yaml(path)
    try:
        return EnsembleRecord.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise CheckpointError(
            f"{path}: {where + ': ' if where else ''}{message} ({error.error_count()} problems); was it "
            "changed by hand, or written by another version of vgsearch?"
        ) from error
