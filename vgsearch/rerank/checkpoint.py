"""A GeoWarp checkpoint: a folder of `geowarp.safetensors`, `geowarp.yaml` and `lineage.json`.

Where the pooling of the encoder's baseline is known, it lies beside them in `pooling.safetensors`; re-ranking
does not read it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError

from vgsearch.config.geowarp import GeoWarpConfig
from vgsearch.errors import CheckpointError
from vgsearch.models.atomic_folder import atomic_folder, storage_error
from vgsearch.models.file_hash import file_sha256
from vgsearch.models.plain_yaml import read_plain_model, read_small_text
from vgsearch.models.stored_tensors import read_tensors, require_same_tensors, write_tensors
from vgsearch.rerank.baseline import BaselinePooling, PooledEncoder
from vgsearch.rerank.network import GeoWarpNetwork, build_geowarp
from vgsearch.rerank.pooling_tensors import holds_pooling, read_pooling, write_pooling

GEOWARP_FILE = "geowarp.safetensors"
GEOWARP_CONFIG_FILE = "geowarp.yaml"
GEOWARP_LINEAGE_FILE = "lineage.json"


def save_geowarp(
    folder: Path,
    network: GeoWarpNetwork,
    lineage: Mapping[str, object],
    *,
    pooling: BaselinePooling | None = None,
    extra_files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a checkpoint whole or not at all; one of that name is replaced.

    Args:
        folder: Its final name.
        network: Training mode and device do not matter.
        lineage: Where the weights come from: plain values.
        pooling: Of the baseline that the encoder comes from, as `network.config.pooling` says; None where it
            is not known.
        extra_files: Further files by name.

    Returns:
        `folder`.

    Raises:
        StorageError: The disk is full or the place cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    config = yaml.safe_dump(network.config.model_dump(mode="json"), sort_keys=False)
    with atomic_folder(folder) as temporary:
        try:
            write_tensors(temporary / GEOWARP_FILE, tensors, {"format": "pt", "kind": "geowarp"})
            if pooling is not None:
                write_pooling(temporary, pooling)
        except (SafetensorError, RuntimeError) as error:
            raise storage_error(folder, error) from error
        (temporary / GEOWARP_CONFIG_FILE).write_text(config, encoding="utf-8")
        text = json.dumps(dict(lineage), indent=1, ensure_ascii=False, allow_nan=False)
        (temporary / GEOWARP_LINEAGE_FILE).write_text(text + "\n", encoding="utf-8")
        for name, content in (extra_files or {}).items():
            (temporary / name).write_bytes(content)
    return folder


def is_geowarp(folder: Path) -> bool:
    """Whether a folder holds such a checkpoint."""
    return all((folder / name).is_file() for name in (GEOWARP_FILE, GEOWARP_CONFIG_FILE))


def read_geowarp_config(folder: Path) -> GeoWarpConfig:
    """Read what a checkpoint's network is.

    Raises:
        CheckpointError: `geowarp.yaml` is missing, is no YAML, or breaks the schema.
    """
    return read_plain_model(folder / GEOWARP_CONFIG_FILE, GeoWarpConfig)


def read_geowarp_lineage(folder: Path) -> dict[str, Any]:
    """Read where a checkpoint's weights come from.

    Raises:
        CheckpointError: `lineage.json` is missing or damaged.
    """
    path = folder / GEOWARP_LINEAGE_FILE
    try:
        lineage = json.loads(read_small_text(path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is damaged ({type(error).__name__}); delete {folder}") from error
    if not isinstance(lineage, dict):
        raise CheckpointError(f"{path}: is damaged (no mapping); delete {folder}")
    return lineage


def load_geowarp(folder: Path, device: torch.device | str = "cpu") -> GeoWarpNetwork:
    """Rebuild the network of a checkpoint, in eval mode.

    Raises:
        CheckpointError: The folder is missing or damaged, or its tensors do not fit one by one.
        ConfigError: This machine's timm lacks the encoder.
    """
    network = build_geowarp(read_geowarp_config(folder))
    path = folder / GEOWARP_FILE
    tensors, _ = read_tensors(path)
    require_same_tensors(
        network.state_dict(), tensors, f"{path}: does not fit {network.config.encoder} as it is here"
    )
    network.load_state_dict(tensors, strict=True)
    return network.eval().to(device)


def load_baseline(folder: Path, device: torch.device | str = "cpu") -> PooledEncoder:
    """Rebuild the descriptor network that a checkpoint's encoder comes from, in eval mode.

    Where the checkpoint keeps no pooling, GeM has its usual power.

    Raises:
        CheckpointError: As in `load_geowarp`, or the checkpoint says NetVLAD and does not keep its clusters.
        ConfigError: This machine's timm lacks the encoder.
    """
    network = load_geowarp(folder)
    pooling = read_pooling(folder, network.config.pooling, network.encoder.channels)
    if pooling is None and network.config.pooling == "netvlad":
        raise CheckpointError(
            f"{folder}: was trained with NetVLAD pooling and does not keep its clusters, so it describes no "
            "photo; import it with --encoder-weights BASELINE, or use another"
        )
    return PooledEncoder(network, pooling).eval().to(device)


def holds_geowarp(folder: Path, network: GeoWarpNetwork, pooling: BaselinePooling | None = None) -> bool:
    """Whether a checkpoint is of this very network: the same description, and each number the same.

    Another pooling than `pooling` must not be lost either; a checkpoint from before they were kept has none.

    Raises:
        CheckpointError: The checkpoint is damaged.
    """
    tensors, _ = read_tensors(folder / GEOWARP_FILE)
    ours = network.state_dict()
    return (
        read_geowarp_config(folder) == network.config
        and tensors.keys() == ours.keys()
        and all(torch.equal(tensor, ours[name].cpu()) for name, tensor in tensors.items())
        and holds_pooling(folder, pooling)
    )


def geowarp_identity(folder: Path) -> str:
    """Tell a network from others: 16 hex digits of the hash of its weights and of `geowarp.yaml`.

    Raises:
        CheckpointError: They cannot be read.
    """
    hashes = "".join(file_sha256(folder / name) for name in (GEOWARP_FILE, GEOWARP_CONFIG_FILE))
    return hashlib.sha256(hashes.encode()).hexdigest()[:16]
