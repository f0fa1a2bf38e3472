"""What turns a photo into a map: torchvision's networks as the authors cut them, or timm's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from vgsearch.config.geowarp import TIMM_PREFIX, TORCHVISION_ENCODERS, GeoWarpConfig
from vgsearch.config.suggestions import nearest_hint
from vgsearch.config.trial import BackboneConfig
from vgsearch.errors import ConfigError, WeightsError, first_line
from vgsearch.models.backbones import Backbone, backbone_problem, build_backbone
from vgsearch.models.seeding import seeded_cpu_draws
from vgsearch.models.stored_tensors import name_some
from vgsearch.models.weights_file import read_weights_file

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PROBE_PX = 128
# Children of torchvision's ResNet up to conv4, as a Sequential over them numbers them.
_RESNET_CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
_LEFT_OUT = {"alexnet": ("classifier.",), "vgg16": ("classifier.",), "resnet50": ("layer4.", "fc.")}


class Encoder(nn.Module):
    """From normalised images to one feature map.

    Attributes:
        trunk: The layers.
        channels: Of the map.
        mean: Channel means that images in [0, 1] are normalised with.
        std: Channel standard deviations likewise.
    """

    def __init__(
        self, trunk: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], level: int | None = None
    ) -> None:
        """Wrap `trunk`; `level` picks one of the maps that a timm model has on its way."""
        super().__init__()
        self.trunk = trunk
        self.mean = mean
        self.std = std
        self._level = level
        trunk.eval()
        with torch.inference_mode():
            self.channels: int = self(torch.zeros(1, 3, _PROBE_PX, _PROBE_PX)).shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """Compute the map: normalised float (b, 3, h, w) -> (b, channels, h', w')."""
        if self._level is None:
            feature_map: Tensor = self.trunk(images)
            return feature_map
        maps = self.trunk.forward_intermediates(  # type: ignore[operator]
            images, indices=[self._level], intermediates_only=True, stop_early=True, output_fmt="NCHW"
        )
        picked: Tensor = maps[0]
        return picked


def build_encoder(config: GeoWarpConfig, *, weights: str, seed: int = 0) -> Encoder:
    """Build an encoder on the CPU.

    Args:
        config: Names it.
        weights: `imagenet`, `none`, a file of its tensors, or for timm's EfficientNet-Lite0 `bundled`. A file
            for one of torchvision's encoders has the authors' names or torchvision's.
        seed: Of random weights.

    Raises:
        ConfigError: There is none of that name, or it has no such level.
        WeightsError: The weights cannot be had or do not fit.
    """
    name = config.encoder
    if name.startswith(TIMM_PREFIX):
        return _timm_encoder(config, weights, seed)
    if name not in TORCHVISION_ENCODERS:
        nearest = nearest_hint(name, TORCHVISION_ENCODERS)
        raise ConfigError(
            [f"encoder: {name!r} is none of {', '.join(TORCHVISION_ENCODERS)}{nearest}; timm/NAME is timm's"]
        )
    with seeded_cpu_draws(seed, "encoder"):
        whole = torchvision.models.get_model(name, weights=None)
    layers = list(whole.children())[:-3] if name == "resnet50" else list(whole.features.children())[:-2]
    trunk = nn.Sequential(*layers)
    if weights == "imagenet":
        load_trunk(trunk, _numbered(_imagenet(name), name), f"the imagenet weights of {name}")
    elif weights != "none":
        load_trunk(trunk, encoder_tensors(read_weights_file(_file(weights)), name), weights)
    return Encoder(trunk, _IMAGENET_MEAN, _IMAGENET_STD)


def encoder_tensors(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Bring a file's tensors to the numbers of a torchvision encoder.

    Args:
        tensors: With the authors' names (`encoder.0.weight`; what pools for their baseline, `pool.*`, is left
            out) or torchvision's (its classifier and last stage are left out).
        name: Of the encoder.

    Returns:
        By name, as `trunk` has them; what is not an encoder's keeps its name, so that it is found out.
    """
    if any(key.startswith("encoder.") for key in tensors):
        return {
            key.removeprefix("encoder."): tensor
            for key, tensor in tensors.items()
            if not key.startswith("pool.")
        }
    return _numbered(tensors, name)


def load_trunk(trunk: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load all of `tensors` into all of `trunk`.

    Raises:
        WeightsError: One is missing, too many or of another shape; they are counted and some are named.
    """
    expected = trunk.state_dict()
    # Files from before PyTorch 0.4.1 do not count BatchNorm's batches, and nothing here reads the count.
    counts = {key for key in expected if key.endswith("num_batches_tracked")}
    faults = {
        "missing": [key for key in expected if key not in tensors and key not in counts],
        "unexpected": [key for key in tensors if key not in expected],
        "of another shape": [
            f"{key}: {tuple(tensors[key].shape)} instead of {tuple(tensor.shape)}"
            for key, tensor in expected.items()
            if key in tensors and tensors[key].shape != tensor.shape
        ],
    }
    found = [f"{len(keys)} {what} ({name_some(keys)})" for what, keys in faults.items() if keys]
    if found:
        raise WeightsError(f"{source} does not fit: tensors {', '.join(found)}; is it of this encoder?")
    trunk.load_state_dict(dict(tensors), strict=not counts)


def _numbered(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Torchvision's names as a Sequential over its children numbers them, without what is behind the cut."""
    numbers = {child: str(number) for number, child in enumerate(_RESNET_CHILDREN)}
    renamed = {}
    for key, tensor in tensors.items():
        if key.startswith(_LEFT_OUT[name]):
            continue
        child, _, rest = key.partition(".")
        if name == "resnet50":
            renamed[f"{numbers.get(child, child)}.{rest}"] = tensor
        else:
            renamed[key.removeprefix("features.")] = tensor
    return renamed


def _imagenet(name: str) -> Mapping[str, Tensor]:
    """Torchvision's own weights, from its cache or its server."""
    try:
        found: Mapping[str, Tensor] = torchvision.models.get_model_weights(name)[
            "IMAGENET1K_V1"
        ].get_state_dict(progress=False, check_hash=True)
    except Exception as error:
        raise WeightsError(
            f"the imagenet weights of {name} cannot be fetched ({first_line(error)}); give a FILE or `none`"
        ) from error
    return found


def _file(weights: str) -> Path:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"encoder weights: {weights!r} is neither imagenet, none nor a file; give one of these"
        )
    return path


def _timm_encoder(config: GeoWarpConfig, weights: str, seed: int) -> Encoder:
    name = config.encoder.removeprefix(TIMM_PREFIX)
    problem = backbone_problem(name)
    if problem is not None:
        raise ConfigError([problem.replace("trial.backbone: ", "encoder: ", 1)])
    backbone = _said_of_encoder(
        lambda: build_backbone(
            BackboneConfig(name=name, weights=weights, trainable_stages=0), image_px=_PROBE_PX, seed=seed
        )
    )
    if config.level is None:
        return Encoder(backbone, backbone.mean, backbone.std)
    trunk = backbone.trunk
    try:
        trunk.prune_intermediate_layers([config.level], prune_norm=True)  # type: ignore[operator]
        return Encoder(trunk, backbone.mean, backbone.std, config.level)
    except Exception as error:
        raise ConfigError(
            [f"level: {name} has no map at level {config.level} ({first_line(error)}); leave level out"]
        ) from error


def _said_of_encoder(build: Callable[[], Backbone]) -> Backbone:
    """What goes wrong with a trial's backbone goes wrong with an encoder under other names."""
    try:
        return build()
    except WeightsError as error:
        raise WeightsError(str(error).replace("trial.weights", "encoder weights")) from error
    except ConfigError as error:
        raise ConfigError([each.replace("trial.backbone", "encoder") for each in error.problems]) from error
