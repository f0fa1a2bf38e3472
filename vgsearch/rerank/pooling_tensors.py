"""The pooling of a retrieval baseline as tensors: in the authors' files, and in a checkpoint of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vgsearch.config.geowarp import PoolingName
from vgsearch.errors import WeightsError
from vgsearch.models.netvlad import NUM_CLUSTERS, NetVLAD
from vgsearch.models.pooling import GeM
from vgsearch.models.stored_tensors import name_some, read_tensors, require_same_tensors, write_tensors
from vgsearch.rerank.baseline import BaselinePooling

POOLING_FILE = "pooling.safetensors"

_PREFIX = "pool."
_POWER, _ASSIGNMENT, _CENTROIDS = "pool.1.p", "pool.conv.weight", "pool.centroids"
_KINDS: dict[frozenset[str], PoolingName] = {
    frozenset({_POWER}): "gem",
    frozenset({_ASSIGNMENT, _CENTROIDS}): "netvlad",
}


def pooling_of_file(tensors: Mapping[str, Tensor], source: str) -> PoolingName | None:
    """Which pooling a baseline of the authors has.

    Args:
        tensors: By their names: `encoder.*`, and `pool.*` where there is a pooling.
        source: What an error begins with.

    Returns:
        None where it has none.

    Raises:
        WeightsError: It is neither of the two.
    """
    keys = _pool_keys(tensors)
    if not keys:
        return None
    name = _KINDS.get(frozenset(keys))
    if name is None:
        raise WeightsError(
            f"{source}: the pooling of a baseline is GeM ({_POWER}) or NetVLAD ({_ASSIGNMENT} and "
            f"{_CENTROIDS}), this has {name_some(keys)}; give a baseline of the authors"
        )
    return name


def read_authors_pooling(tensors: Mapping[str, Tensor], source: str, channels: int) -> BaselinePooling | None:
    """Rebuild the pooling of a baseline of the authors.

    Args:
        tensors: As in `pooling_of_file`; finite.
        source: What an error begins with.
        channels: Of the encoder's map.

    Returns:
        None where it has none.

    Raises:
        WeightsError: It is neither GeM nor NetVLAD, or not of this encoder.
    """
    name = pooling_of_file(tensors, source)
    if name is None:
        return None
    expected: dict[str, tuple[int, ...]] = {_POWER: (1,)}
    if name == "netvlad":
        clusters = len(tensors[_CENTROIDS]) if tensors[_CENTROIDS].ndim else NUM_CLUSTERS
        expected = {_CENTROIDS: (clusters, channels), _ASSIGNMENT: (clusters, channels, 1, 1)}
    faults = [
        f"{key}: {tuple(tensors[key].shape)} instead of {shape}"
        for key, shape in expected.items()
        if tensors[key].shape != shape
    ]
    if faults:
        raise WeightsError(f"{source} does not fit: {', '.join(faults)}; is it of this encoder?")
    if name == "gem":
        return GeM(tensors[_POWER].item())
    return NetVLAD(tensors[_CENTROIDS].float(), tensors[_ASSIGNMENT].float().flatten(1))


def pooling_name(pooling: BaselinePooling) -> PoolingName:
    """As `GeoWarpConfig.pooling` calls it."""
    return "gem" if isinstance(pooling, GeM) else "netvlad"


def write_pooling(folder: Path, pooling: BaselinePooling) -> None:
    """Write it into the folder of a checkpoint that is being made; raises as `write_tensors` does."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in pooling.state_dict().items()}
    write_tensors(folder / POOLING_FILE, tensors, {"format": "pt", "kind": pooling_name(pooling)})


def read_pooling(folder: Path, name: PoolingName, channels: int) -> BaselinePooling | None:
    """Read the pooling that a checkpoint keeps.

    Args:
        folder: The checkpoint.
        name: What its description says.
        channels: Of its encoder's map.

    Returns:
        On the CPU; None where it keeps none.

    Raises:
        CheckpointError: The file is damaged, or does not fit the other two.
    """
    path = folder / POOLING_FILE
    if not path.is_file():
        return None
    tensors, _ = read_tensors(path)
    pooling: BaselinePooling = GeM()
    if name == "netvlad":
        given = tensors.get("centroids")
        clusters = NUM_CLUSTERS if given is None or given.ndim == 0 else len(given)
        empty = torch.zeros(clusters, channels)
        pooling = NetVLAD(empty, empty)
    context = f"{path}: does not fit pooling {name} of {channels} channels"
    require_same_tensors(pooling.state_dict(), tensors, context)
    pooling.load_state_dict(tensors, strict=True)
    return pooling


def holds_pooling(folder: Path, pooling: BaselinePooling | None) -> bool:
    """Whether nothing would be lost if `pooling` took the place of what a checkpoint keeps.

    Raises:
        CheckpointError: What it keeps is damaged.
    """
    if not (folder / POOLING_FILE).is_file():
        return True
    if pooling is None:
        return False
    tensors, _ = read_tensors(folder / POOLING_FILE)
    ours = pooling.state_dict()
    return tensors.keys() == ours.keys() and all(
        torch.equal(tensor, ours[name].cpu()) for name, tensor in tensors.items()
    )


def _pool_keys(tensors: Mapping[str, Tensor]) -> list[str]:
    """Only beside an encoder of the authors: elsewhere `pool.*` may be anything."""
    is_authors = any(key.startswith("encoder.") for key in tensors)
    return [key for key in tensors if is_authors and key.startswith(_PREFIX)]
