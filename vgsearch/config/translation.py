"""How a translator between two domains is trained. Defaults are those of ToDayGAN's code and its script."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from vgsearch.config.strict import Strict

_DOMAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class TranslationConfig(Strict):
    """One training: its networks, photos, losses and rates.

    Attributes:
        domains: names of the two folders' domains.
        channels: filters of the generator's first convolution.
        blocks: residual blocks of an encoder and a decoder together; the decoder has the odd one.
        discriminator_channels: filters of the discriminators' first convolutions.
        discriminator_layers: strided layers of the RGB and the luminance discriminator; that of gradients has
            one less.
        load_px: shorter side to which photos are resized.
        crop_px: side of the random square that is cut from them.
        flip: probability of a mirror image.
        batch_size: photos of each domain in a step.
        epochs: at the full rate.
        decay_epochs: after them, the rate falling to zero in a line.
        iterations_per_epoch: steps; null for as many as the larger folder has batches.
        lr: Adam's rate, of generator and discriminators.
        beta1: Adam's first moment.
        cycle: factor of the loss of going there and back.
        identity: factor of the loss of going nowhere (a domain's encoder, then its own decoder).
        latent: factor that the loss of the codes on the way there and back reaches in the end.
        forward: factor of the loss between a photo and its translation, both at half size.
        pool_size: translations of the past that discriminators may be shown, for each domain.
        precision: of convolutions; auto, fp32, bf16 or fp16.
        seed: of all draws.
    """

    domains: tuple[str, str] = ("night", "day")
    channels: int = Field(64, ge=1, le=1024)
    blocks: int = Field(9, ge=0, le=64)
    discriminator_channels: int = Field(64, ge=1, le=1024)
    discriminator_layers: int = Field(4, ge=2, le=8)
    load_px: int = Field(512, ge=16, le=8192)
    crop_px: int = Field(384, ge=16, le=8192)
    flip: float = Field(0.5, ge=0, le=1)
    batch_size: int = Field(1, ge=1, le=1024)
    epochs: int = Field(75, ge=1, le=100_000)
    decay_epochs: int = Field(75, ge=0, le=100_000)
    iterations_per_epoch: int | None = Field(None, ge=1)
    lr: float = Field(2.0e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    cycle: float = Field(10.0, ge=0)
    identity: float = Field(0.0, ge=0)
    latent: float = Field(0.0, ge=0)
    forward: float = Field(0.0, ge=0)
    pool_size: int = Field(50, ge=0, le=10_000)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    seed: int = Field(0, ge=0)

    @field_validator("domains")
    @classmethod
    def _named_apart(cls, domains: tuple[str, str]) -> tuple[str, str]:
        if len(set(domains)) < 2 or not all(_DOMAIN.fullmatch(name) for name in domains):
            raise ValueError(f"must be two names of letters, digits, _ and -, got {', '.join(domains)!r}")
        return domains

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop_px > self.load_px:
            raise ValueError(f"crop_px must be at most load_px, got {self.crop_px} and {self.load_px}")
        least = 2 ** (self.discriminator_layers + 1)
        if self.crop_px < least:
            raise ValueError(
                f"crop_px must be at least {least} for discriminator_layers {self.discriminator_layers}, got "
                f"{self.crop_px}"
            )
        return self

    @property
    def total_epochs(self) -> int:
        """How many epochs the training has."""
        return self.epochs + self.decay_epochs

    def learning_rate(self, epoch: int) -> float:
        """Of an epoch, counted from 1; as the authors' code has it, the rate falls one epoch late."""
        over = max(0, epoch - 1 - self.epochs)
        return self.lr * (1 - over / self.decay_epochs) if over else self.lr

    def latent_factor(self, epoch: int) -> float:
        """Of an epoch, counted from 1: it grows in a line from nothing."""
        return self.latent * (epoch - 1) / self.total_epochs
