"""One step of training: the generator against all discriminators, then these against it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vgsearch.config.translation import TranslationConfig
from vgsearch.models.precision import Precision, autocast
from vgsearch.translation.discriminators import Discriminators, Predictions
from vgsearch.translation.gan_translator import to_network
from vgsearch.translation.generator import Generator, GeneratorShape, draw_weights
from vgsearch.translation.image_pool import ImagePool
from vgsearch.translation.losses import adversarial_loss, code_loss, cycle_loss, half_size_loss

_BETA2 = 0.999


class GanTraining:
    """Networks, optimizers and pools of a training, on a device."""

    def __init__(self, config: TranslationConfig, device: torch.device, precision: Precision) -> None:
        """Draw all weights from the seed."""
        self.config = config
        self.device = device
        self.precision = precision
        shape = GeneratorShape(config.channels, config.blocks // 2, config.blocks - config.blocks // 2)
        self.generator = Generator(config.domains, shape)
        self.discriminators = nn.ModuleDict(
            {
                name: Discriminators(config.discriminator_channels, config.discriminator_layers)
                for name in config.domains
            }
        )
        draw_weights(self.generator, config.seed, "generator")
        draw_weights(self.discriminators, config.seed, "discriminators")
        self.generator.to(device)
        self.discriminators.to(device)
        betas = (config.beta1, _BETA2)
        self.optimizers = {
            "generator": torch.optim.Adam(self.generator.parameters(), config.lr, betas),
            "discriminators": torch.optim.Adam(self.discriminators.parameters(), config.lr, betas),
        }
        self.pools = {name: ImagePool(config.pool_size) for name in config.domains}
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision.use_scaler)
        self.latent = 0.0

    def begin_epoch(self, epoch: int) -> None:
        """Set what changes from epoch to epoch; they count from 1."""
        self.latent = self.config.latent_factor(epoch)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.config.learning_rate(epoch)

    def step(self, pair: tuple[Tensor, Tensor], pool_uniforms: NDArray[np.float64]) -> dict[str, Tensor]:
        """Train on one batch.

        Args:
            pair: photos of both domains, uint8 (b, 3, h, w) each.
            pool_uniforms: float64 (2, b, 2), the pools' draws for the translations into each domain.

        Returns:
            Losses by name, scalars on the device without gradients.
        """
        photos = {
            name: to_network(batch.to(self.device, non_blocking=True))
            for name, batch in zip(self.config.domains, pair, strict=True)
        }
        with autocast(self.precision, self.device):
            real = {name: self._judge(photos[name], name) for name in photos}
        losses, fakes = self._generator_step(photos, real)
        losses |= self._discriminator_step(real, fakes, pool_uniforms)
        self.scaler.update()
        return {name: loss.detach() for name, loss in losses.items()}

    def _judge(self, photos: Tensor, domain: str) -> tuple[Predictions, ...]:
        predictions: tuple[Predictions, ...] = self.discriminators[domain](photos)
        return predictions

    def _generator_step(
        self, photos: dict[str, Tensor], real: dict[str, tuple[Predictions, ...]]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses by name, and the translations into each domain."""
        optimizer = self.optimizers["generator"]
        optimizer.zero_grad()
        # The graph of `real` keeps its gradients; only the judgement of translations needs none.
        self.discriminators.requires_grad_(False)
        with autocast(self.precision, self.device):
            losses, fakes = self._generator_losses(photos, real)
        self.discriminators.requires_grad_(True)
        self.scaler.scale(self._total(losses)).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(optimizer)
        return losses, fakes

    def _generator_losses(
        self, photos: dict[str, Tensor], real: dict[str, tuple[Predictions, ...]]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        config, generator = self.config, self.generator
        losses, fakes = {}, {}
        side = config.crop_px

        def decode(code: Tensor, domain: str) -> Tensor:
            return generator.decode(code, domain)[:, :, :side, :side]

        codes = {name: generator.encode(batch, name) for name, batch in photos.items()}
        for source, target in (config.domains, config.domains[::-1]):
            fake = fakes[target] = decode(codes[source], target)
            judged = self._judge(fake, target)
            losses[f"generator/{target}"] = adversarial_loss(real[target], judged, of_discriminator=False)
            code_of_fake = generator.encode(fake, target)
            losses[f"cycle/{source}"] = cycle_loss(decode(code_of_fake, source), photos[source])
            if config.identity:
                losses[f"identity/{source}"] = half_size_loss(decode(codes[source], source), photos[source])
            if self.latent:
                losses[f"latent/{source}"] = code_loss(code_of_fake, codes[source])
            if config.forward:
                losses[f"forward/{source}"] = half_size_loss(fake, photos[source])
        return losses, fakes

    def _total(self, losses: dict[str, Tensor]) -> Tensor:
        config = self.config
        factors = {
            "generator": 1.0,
            "cycle": config.cycle,
            "identity": config.identity,
            "latent": self.latent,
            "forward": config.forward,
        }
        return torch.stack([factors[name.partition("/")[0]] * loss for name, loss in losses.items()]).sum()

    def _discriminator_step(
        self,
        real: dict[str, tuple[Predictions, ...]],
        fakes: dict[str, Tensor],
        pool_uniforms: NDArray[np.float64],
    ) -> dict[str, Tensor]:
        optimizer = self.optimizers["discriminators"]
        optimizer.zero_grad()
        losses = {}
        for domain, uniforms in zip(self.config.domains, pool_uniforms, strict=True):
            shown = self.pools[domain].exchange(fakes[domain], uniforms)
            with autocast(self.precision, self.device):
                judged = self._judge(shown, domain)
                losses[f"discriminator/{domain}"] = 0.5 * adversarial_loss(
                    real[domain], judged, of_discriminator=True
                )
        total = torch.stack(list(losses.values())).sum()
        self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(optimizer)
        return losses

    def state_dict(self) -> dict[str, Any]:
        """What a resume needs beside the generator's weights: tensors and plain values only."""
        return {
            "discriminators": self.discriminators.state_dict(),
            "optimizers": {name: each.state_dict() for name, each in self.optimizers.items()},
            "pools": {name: pool.state_dict() for name, pool in self.pools.items()},
            "scaler": dict(self.scaler.state_dict()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            KeyError, ValueError, RuntimeError, TypeError: it does not fit.
        """
        self.discriminators.load_state_dict(state["discriminators"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, pool in self.pools.items():
            pool.load_state_dict(state["pools"][name], self.device)
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
