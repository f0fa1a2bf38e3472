"""A network of CosPlace or EigenPlaces as one of ours, its descriptors unchanged."""

from __future__ import annotations

from pathlib import Path

from vgsearch.config.suggestions import nearest_hint
from vgsearch.config.trial import BackboneConfig, TrialConfig
from vgsearch.errors import ConfigError, WeightsError
from vgsearch.models.network import DescriptorNetwork, build_network
from vgsearch.models.outside_weights import read_outside_weights
from vgsearch.models.torchvision_names import TORCHVISION_BN_EPS

# CosPlace's names, and the timm backbone that computes the same. The tag decides what images are normalised
# with: each of these has ImageNet's mean and standard deviation, as all of torchvision's have.
COSPLACE_BACKBONES = {
    "VGG16": "vgg16.tv_in1k",
    "ResNet18": "resnet18.tv_in1k",
    "ResNet50": "resnet50.tv_in1k",
    "ResNet101": "resnet101.tv_in1k",
    "ResNet152": "resnet152.tv_in1k",
    "EfficientNet_B0": "efficientnet_b0.ra_in1k",
    "EfficientNet_B1": "efficientnet_b1.ft_in1k",
    "EfficientNet_B2": "efficientnet_b2.ra_in1k",
    "EfficientNet_B3": "efficientnet_b3.ra2_in1k",
    "EfficientNet_B4": "efficientnet_b4.ra2_in1k",
    "EfficientNet_B5": "efficientnet_b5.sw_in12k_ft_in1k",
    "EfficientNet_B6": "efficientnet_b6",
    "EfficientNet_B7": "efficientnet_b7",
}

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def find_cosplace_backbone(name: str) -> str:
    """CosPlace's spelling of a backbone's name; case counts for nothing.

    Raises:
        ConfigError: It offers no such backbone; the nearest and all of them are named.
    """
    spelled = {known.lower(): known for known in COSPLACE_BACKBONES}
    if name.lower() in spelled:
        return spelled[name.lower()]
    nearest = nearest_hint(name, COSPLACE_BACKBONES)
    raise ConfigError(
        [f"--backbone: {name!r} is none of CosPlace's{nearest}; it has {', '.join(COSPLACE_BACKBONES)}"]
    )


def import_cosplace(path: Path, backbone: str) -> tuple[DescriptorNetwork, TrialConfig]:
    """Read a whole network: `best_model.pth`, a file of their releases, or a training checkpoint.

    Args:
        path: State dict with `backbone.*` and `aggregation.*`, as their `GeoLocalizationNet` writes it;
            nested in `model_state_dict` or not, with `module.` prefixes or not.
        backbone: Their name of the backbone, as `find_cosplace_backbone` spells it.

    Returns:
        The network in eval mode, with their descriptors for the same images, and the trial that describes it:
        everything that is not the network's is CosPlace's default.

    Raises:
        WeightsError: The file cannot be read, is no such network, or is of another backbone.
        ConfigError: This timm has no such backbone, or normalises otherwise.
    """
    outside = read_outside_weights(path)
    if outside.layout != "cosplace" or outside.head is None:
        first = next(iter(outside.trunk))
        raise WeightsError(
            f"{path} is no whole network of CosPlace or EigenPlaces: it has {first} but no aggregation.*; a "
            "backbone alone is for trial.weights of a search"
        )
    name = COSPLACE_BACKBONES[backbone]
    eps = TORCHVISION_BN_EPS.get(name.partition(".")[0])
    trial = TrialConfig(
        backbone=name if eps is None else BackboneConfig(name=name, bn_eps=eps),
        weights=str(path.resolve()),
        descriptor_dim=outside.head.descriptor_dim,
    )
    network = build_network(trial)
    if (network.backbone.mean, network.backbone.std) != (_IMAGENET_MEAN, _IMAGENET_STD):
        raise ConfigError(
            [f"--backbone: this timm normalises the images of {name} otherwise than CosPlace; update timm"]
        )
    network.eval()
    return network, trial
