"""What a weights file holds for a descriptor network: backbone, maybe a head, and what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from vgsearch.config.trial import BackboneConfig
from vgsearch.errors import WeightsError
from vgsearch.models.stored_tensors import name_some, read_metadata
from vgsearch.models.torchvision_names import SAME_AS_TORCHVISION, TORCHVISION_BN_EPS, timm_names
from vgsearch.models.weights_file import read_weights_file

Layout = Literal["checkpoint", "cosplace", "backbone"]

_OUR_TRUNK, _OUR_HEAD = "backbone.trunk.", ("pooling.p", "linear.weight", "linear.bias")
_THEIR_TRUNK, _THEIR_HEAD = "backbone.", ("aggregation.1.p", "aggregation.3.weight", "aggregation.3.bias")
_CLASSIFIER_CHILDREN = ("fc", "classifier", "head", "pre_logits", "last_linear", "_fc")


@dataclass(frozen=True, eq=False)
class Head:
    """What follows a backbone's map.

    Attributes:
        power: GeM's p, (1,).
        weight: Of the linear layer, (descriptor length, channels).
        bias: Of the linear layer, (descriptor length,).
    """

    power: Tensor
    weight: Tensor
    bias: Tensor

    @property
    def descriptor_dim(self) -> int:
        """Length of a descriptor."""
        return len(self.weight)


@dataclass(frozen=True, eq=False)
class OutsideWeights:
    """The content of a file.

    Attributes:
        path: The file.
        layout: A checkpoint of ours, CosPlace's and EigenPlaces' whole network, or a backbone.
        trunk: The backbone's tensors under the file's names, without the network's prefix.
        head: None where the file holds a backbone alone.
        backbone_in_words: What a checkpoint of ours says that its backbone is, else None.
        prefix: Of the backbone's tensors in the file.
    """

    path: Path
    layout: Layout
    trunk: Mapping[str, Tensor]
    head: Head | None = None
    backbone_in_words: str | None = None
    prefix: str = ""


def read_outside_weights(path: Path) -> OutsideWeights:
    """Read a file and tell its layout by the names in it.

    Raises:
        WeightsError: It cannot be read, is an ensemble's, or holds a head that is not CosPlace's.
    """
    tensors = read_weights_file(path)
    if any(name.startswith("members.") for name in tensors):
        raise WeightsError(f"{path} is an ensemble; give a single network's weights")
    if any(name.startswith(_OUR_TRUNK) for name in tensors):
        metadata = read_metadata(path) if path.suffix == ".safetensors" else {}
        words = metadata.get("architecture_in_words")
        backbone = None if words is None else words.partition(" + gem")[0]
        return _parted(path, "checkpoint", tensors, _OUR_TRUNK, _OUR_HEAD, backbone)
    if any(name.startswith("aggregation.") for name in tensors):
        return _parted(path, "cosplace", tensors, _THEIR_TRUNK, _THEIR_HEAD, None)
    return OutsideWeights(path, "backbone", tensors)


def fitted_trunk(
    weights: OutsideWeights, trunk: nn.Module, config: BackboneConfig, ignored_children: Iterable[str] = ()
) -> tuple[dict[str, Tensor], list[str]]:
    """Bring the backbone's tensors to the names of a timm model, each of them exactly once.

    Args:
        weights: The file.
        trunk: timm model without classifier.
        config: What it was built as.
        ignored_children: Names of further children whose tensors the file may hold.

    Returns:
        The tensors by the names of `trunk`, and the file's names of a classifier that is left out.

    Raises:
        WeightsError: The file is of another backbone, or of one that computes otherwise; one line.
    """
    ours = backbone_in_words(config)
    if weights.backbone_in_words not in (None, ours):
        raise WeightsError(
            f"{weights.path} is a checkpoint of {weights.backbone_in_words}, but the backbone is {ours}; set "
            "trial.backbone to the checkpoint's"
        )
    names = None if weights.layout == "checkpoint" else timm_names(list(weights.trunk), trunk)
    if names is not None:
        _require_same_computation(weights.path, config)
    renamed: dict[str, str] = {}
    for theirs in weights.trunk:
        own = theirs if names is None else names[theirs]
        if own in renamed:
            raise WeightsError(
                f"{weights.path} has both {weights.prefix}{renamed[own]} and {weights.prefix}{theirs} for "
                f"{own} of {config.name}; "
                "save one model alone"
            )
        renamed[own] = theirs
    expected = trunk.state_dict()
    heads = tuple(f"{child}." for child in (*_CLASSIFIER_CHILDREN, *ignored_children))
    left_out = [theirs for own, theirs in renamed.items() if own not in expected and own.startswith(heads)]
    _require_fit(
        expected,
        {own: weights.trunk[theirs] for own, theirs in renamed.items()},
        {own: weights.prefix + theirs for own, theirs in renamed.items() if theirs not in left_out},
        f"{weights.path} does not fit {config.name}",
    )
    return {own: weights.trunk[renamed[own]] for own in expected if own in renamed}, left_out


def backbone_in_words(config: BackboneConfig) -> str:
    """The backbone of an architecture in words, as `resnet18.tv_in1k`, or with `+ bn_eps 0.001`."""
    return config.name if config.bn_eps is None else f"{config.name} + bn_eps {config.bn_eps:g}"


def _parted(
    path: Path,
    layout: Layout,
    tensors: Mapping[str, Tensor],
    trunk_prefix: str,
    head_names: tuple[str, str, str],
    words: str | None,
) -> OutsideWeights:
    for name in tensors:
        if not name.startswith(trunk_prefix) and name not in head_names:
            raise WeightsError(
                f"{path}: {name} belongs neither to a backbone nor to CosPlace's head "
                f"({', '.join(head_names)}); only L2, GeM, linear layer and L2 can be taken"
            )
    missing = [name for name in head_names if name not in tensors]
    if missing:
        raise WeightsError(f"{path} lacks {missing[0]} of the head; is the file whole?")
    power, weight, bias = (tensors[name].float() for name in head_names)
    if power.shape != (1,) or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        shapes = ", ".join(f"{name} {tuple(tensors[name].shape)}" for name in head_names)
        raise WeightsError(f"{path}: the head's shapes must be (1,), (d, c) and (d,), got {shapes}")
    trunk = {n.removeprefix(trunk_prefix): t for n, t in tensors.items() if n.startswith(trunk_prefix)}
    return OutsideWeights(path, layout, trunk, Head(power, weight, bias), words, trunk_prefix)


def _require_same_computation(path: Path, config: BackboneConfig) -> None:
    """Refuse a backbone of timm's that has torchvision's tensors but does something else with them."""
    architecture = config.name.partition(".")[0]
    if architecture not in SAME_AS_TORCHVISION:
        plain = architecture.removeprefix("tf_")
        named = plain if plain in SAME_AS_TORCHVISION else ", ".join(SAME_AS_TORCHVISION)
        raise WeightsError(
            f"{path} has torchvision's layout, and timm's {architecture} is none of torchvision's backbones "
            f"(padding or pooling may differ); set backbone: {named}"
        )
    eps = TORCHVISION_BN_EPS.get(architecture)
    if eps is not None and config.bn_eps != eps:
        raise WeightsError(
            f"{path} has torchvision's layout, whose BatchNorm of {architecture} has an epsilon of {eps:g} "
            f"where timm's has 1e-05; set backbone: {{name: {config.name}, bn_eps: {eps:g}}}"
        )


def _require_fit(
    expected: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    their_names: Mapping[str, str],
    context: str,
) -> None:
    """Refuse tensors that are missing, too many or of another shape; all of `their_names` have to fit."""
    # Files written before PyTorch 0.4.1 do not count BatchNorm's batches, and nothing here reads the count.
    missing = [name for name in expected if name not in given and not name.endswith("num_batches_tracked")]
    unexpected = [theirs for own, theirs in their_names.items() if own not in expected]
    misshaped = [
        f"{their_names[name]}: {tuple(given[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in given and given[name].shape != expected[name].shape
    ]
    faults = [
        f"{len(keys)} {what} ({name_some(keys)})"
        for what, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshaped),
        )
        if keys
    ]
    if faults:
        raise WeightsError(f"{context}: tensors {', '.join(faults)}; use weights of this backbone")
