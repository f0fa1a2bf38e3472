"""The descriptor network: backbone, L2, GeM, linear layer, L2."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgsearch.config.trial import TrialConfig
from vgsearch.models.backbones import Backbone, build_backbone
from vgsearch.models.domain_classifier import seeded_linear
from vgsearch.models.gradient_reversal import reverse_gradient
from vgsearch.models.pooling import GeM
from vgsearch.models.seeding import part_generator
from vgsearch.models.weights import load_head


class DescriptorNetwork(nn.Module):
    """From street photos to unit descriptors, as in CosPlace (Berton et al., CVPR 2022).

    Images are normalised inside, with the backbone's own mean and standard deviation; these are not in
    the state dict.

    Attributes:
        backbone: Images to feature map.
        pooling: GeM over the L2-normalised map.
        linear: Pooled channels to descriptor.
        descriptor_dim: Length d of a descriptor.
    """

    input_scale: Tensor
    input_shift: Tensor
    grl_alpha: Tensor

    def __init__(
        self, backbone: Backbone, pooling: GeM, linear: nn.Linear, *, reverses_inline: bool = False
    ) -> None:
        """Join the parts.

        Args:
            backbone: Backbone.
            pooling: Pooling.
            linear: Layer from `backbone.channels` to the descriptor's length.
            reverses_inline: Whether a gradient reversal stands between pooling and linear layer.
        """
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.linear = linear
        self.descriptor_dim = linear.out_features
        self.reverses_inline = reverses_inline
        mean = torch.tensor(backbone.mean, dtype=torch.float64).reshape(1, 3, 1, 1)
        std = torch.tensor(backbone.std, dtype=torch.float64).reshape(1, 3, 1, 1)
        self.register_buffer("input_scale", (1.0 / std).float(), persistent=False)
        self.register_buffer("input_shift", (-mean / std).float(), persistent=False)
        # A tensor, so that a compiled network does not compile again whenever alpha moves.
        self.register_buffer("grl_alpha", torch.zeros(()), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Describe images.

        Args:
            images: Tensor with shape (b, 3, h, w): uint8, or floating in [0, 1].

        Returns:
            float32 tensor with shape (b, d) and L2 norm 1. Pooling and what follows are computed in float32
            under autocast too.
        """
        return self.describe(images)[0]

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Describe images, and give the pooled features that the descriptors are made of.

        Args:
            images: As in `forward`.

        Returns:
            The descriptors, and float32 features with shape (b, c): the GeM of the backbone's L2-normalised
            map, c being its channels. Every entry is positive.
        """
        feature_map = self.backbone(self.normalise(images))
        with torch.autocast(images.device.type, enabled=False):
            pooled = self.pooling(F.normalize(feature_map.float(), dim=1))
            if self.reverses_inline:
                pooled = reverse_gradient(pooled, self.grl_alpha)
            return F.normalize(self.linear(pooled), dim=1), pooled

    def normalise(self, images: Tensor) -> Tensor:
        """Shift and scale images by the backbone's mean and standard deviation.

        Args:
            images: Tensor with shape (b, 3, h, w): uint8, or floating in [0, 1].

        Returns:
            float32 tensor of the same shape, channels last in memory.
        """
        scale = self.input_scale if images.is_floating_point() else self.input_scale / 255.0
        # Reordered first: a byte moves faster than the float that it becomes.
        floats = images.contiguous(memory_format=torch.channels_last).to(scale.dtype)
        normalised = torch.addcmul(self.input_shift, floats, scale)
        return normalised.contiguous(memory_format=torch.channels_last)

    def trainable_parameters(self) -> list[nn.Parameter]:
        """Parameters that an optimizer should have: those of frozen stages are left out."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def set_grl_alpha(self, alpha: float) -> None:
        """Set the strength of the inline gradient reversal; without one this has no effect."""
        self.grl_alpha.fill_(alpha)


def build_network(
    trial: TrialConfig, *, load_weights: bool = True, say: Callable[[str], None] = lambda text: None
) -> DescriptorNetwork:
    """Build the network of a trial on the CPU, in channels-last memory format and training mode.

    All random weights come from `trial.seed` alone, each part's from its own stream; nobody's random
    state moves. A weights file that holds a whole network also gives GeM's power and the linear layer, where
    its descriptors have the trial's length.

    Args:
        trial: The decided trial.
        load_weights: Whether to load the backbone's pre-trained weights; False for a checkpoint that
            overwrites them.
        say: Told, one sentence each, what of a weights file is taken and what is left out.

    Raises:
        ConfigError: The backbone does not exist or cannot be divided as asked.
        WeightsError: Its weights cannot be had or do not fit.
    """
    config = trial.resolved_backbone
    backbone = build_backbone(
        config, image_px=trial.image_px, load_weights=load_weights, seed=trial.seed, say=say
    )
    linear = seeded_linear(backbone.channels, trial.descriptor_dim, part_generator(trial.seed, "linear"))
    inline = trial.domain is not None and trial.domain.placement == "inline"
    pooling = GeM(trial.pooling.p)
    if load_weights:
        load_head(config.weights or "none", pooling, linear, say)
    network = DescriptorNetwork(backbone, pooling, linear, reverses_inline=inline)
    if inline and trial.domain is not None:
        network.set_grl_alpha(trial.domain.grl_alpha)
    network.train()
    return network.to(memory_format=torch.channels_last)
