"""The authors' released weights as a network of ours: every tensor of their files is placed exactly once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from vgsearch.config.geowarp import TORCHVISION_ENCODERS, GeoWarpConfig, PoolingName
from vgsearch.errors import ConfigError, WeightsError
from vgsearch.models.stored_tensors import name_some
from vgsearch.models.weights_file import read_weights_file
from vgsearch.rerank.baseline import BaselinePooling
from vgsearch.rerank.encoder import encoder_tensors, load_trunk
from vgsearch.rerank.network import GeoWarpNetwork, build_geowarp
from vgsearch.rerank.pooling_tensors import pooling_of_file, read_authors_pooling
from vgsearch.rerank.regression import POSITIONS

_REGRESSION, _EXTRACTOR = "homography_regression.", "features_extractor."
_CONVOLUTION = re.compile(r"conv\.(\d+)\.weight")


@dataclass(frozen=True)
class ImportedGeoWarp:
    """What their files hold.

    Attributes:
        network: In eval mode.
        pooling: Of the baseline that the encoder comes from; None where no file has one.
    """

    network: GeoWarpNetwork
    pooling: BaselinePooling | None


def import_geowarp(
    file: Path,
    encoder: str,
    *,
    encoder_weights: str | None = None,
    pooling: PoolingName | None = None,
    resize_px: int | None = None,
) -> ImportedGeoWarp:
    """Read a trained homography regression, and the encoder that it was trained with.

    Args:
        file: State dict of their `HomographyRegression` (`conv.*`, `linear.*`), or of their whole `Network`
            (`homography_regression.*`, `features_extractor.*`); with `module.` prefixes or without.
        encoder: As `GeoWarpConfig.encoder`.
        encoder_weights: File of their baseline (`encoder.*`, and `pool.*`, which re-ranking does not use), or
            what `build_encoder` takes; None where `file` holds the whole network.
        pooling: Of the baseline; None takes what the file has, and `gem` where it has none.
        resize_px: As `GeoWarpConfig.resize_px`.

    Raises:
        WeightsError: A file cannot be read, or holds tensors that have no place or lacks some.
        ConfigError: There is no such encoder, or `pooling` is not the file's.
    """
    tensors = read_weights_file(file)
    of_encoder = _under(tensors, _EXTRACTOR)
    of_regression = _under(tensors, _REGRESSION)
    is_whole = bool(of_regression)
    stray = [key for key in tensors if is_whole and not key.startswith((_REGRESSION, _EXTRACTOR))]
    if stray:
        raise WeightsError(f"{file}: {name_some(stray)} belongs neither to encoder nor to regression")
    if not is_whole:
        of_regression = dict(tensors)
    if of_encoder and encoder_weights is not None:
        raise WeightsError(
            f"{file} holds its own encoder, so there is no room for --encoder-weights; leave it out"
        )
    if not of_encoder and encoder_weights is None:
        raise WeightsError(
            f"{file} holds a regression alone; --encoder-weights gives the encoder that it was trained with "
            "(the authors' pretrained baseline), or imagenet"
        )
    baseline, source = of_encoder, str(file)
    if encoder_weights is not None and Path(encoder_weights).expanduser().is_file():
        baseline, source = read_weights_file(Path(encoder_weights).expanduser()), encoder_weights
    config = _config(file, of_regression, encoder, _pooling_name(baseline, source, pooling), resize_px)
    network = build_geowarp(config, encoder_weights="none" if of_encoder else str(encoder_weights))
    if of_encoder:
        if encoder not in TORCHVISION_ENCODERS:
            raise WeightsError(
                f"{file} holds an encoder of the authors, which are {', '.join(TORCHVISION_ENCODERS)}"
            )
        load_trunk(network.encoder.trunk, encoder_tensors(of_encoder, encoder), str(file))
    _load(network.regression, of_regression, file)
    kept = read_authors_pooling(baseline, source, network.encoder.channels)
    return ImportedGeoWarp(network.eval(), kept)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _pooling_name(baseline: Mapping[str, Tensor], source: str, asked: PoolingName | None) -> PoolingName:
    found = pooling_of_file(baseline, source)
    if None not in (found, asked) and found != asked:
        raise ConfigError(
            [f"--pooling: {asked} was asked for, but {source} holds a baseline with {found}; leave it out"]
        )
    return found or asked or "gem"


def _config(
    file: Path, tensors: Mapping[str, Tensor], encoder: str, pooling: PoolingName, resize_px: int | None
) -> GeoWarpConfig:
    """Kernel sizes and channels stand in the shapes of the convolutions."""
    weights = {
        int(found[1]): tensor for key, tensor in tensors.items() if (found := _CONVOLUTION.fullmatch(key))
    }
    kernels = [weights[number] for number in sorted(weights) if weights[number].ndim == 4]
    if not kernels or "linear.weight" not in tensors or kernels[0].shape[1] != POSITIONS:
        raise WeightsError(
            f"{file} is no homography regression of GeoWarp: that has conv.0.weight for {POSITIONS} channels "
            f"and linear.weight, this has {name_some(list(tensors))}"
        )
    try:
        return GeoWarpConfig(
            encoder=encoder,
            pooling=pooling,
            kernel_sizes=tuple(kernel.shape[-1] for kernel in kernels),
            channels=tuple(kernel.shape[0] for kernel in kernels),
            resize_px=resize_px,
        )
    except ValidationError as error:
        raise WeightsError(f"{file}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


def _load(regression: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    load_trunk(regression, {key: _as_stored(tensor) for key, tensor in tensors.items()}, str(file))


def _as_stored(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor
