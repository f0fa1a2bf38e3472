"""A translator from what a user names: the authors' folder of files, or a checkpoint of `translate train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from vgsearch.errors import ConfigError, WeightsError
from vgsearch.models.file_hash import file_sha256
from vgsearch.models.precision import Precision
from vgsearch.translation.author_files import (
    AUTHORS_LOAD_PX,
    find_author_files,
    has_author_files,
    read_decoder,
    read_encoder,
)
from vgsearch.translation.gan_translator import GanTranslator
from vgsearch.translation.photo_size import WorkingSize

OWN_SIZE_PX = 0
"""What a user gives as side for photos that are not to be resized."""


def load_translator(
    folder: Path,
    *,
    source: str,
    target: str,
    device: torch.device,
    precision: Precision,
    domains: Sequence[str] | None = None,
    epoch: int | None = None,
    load_px: int | None = None,
) -> GanTranslator:
    """Load the encoder of one domain and the decoder of another.

    Args:
        folder: `<epoch>_net_G<k>.pth` files.
        source: the domain that photos are from.
        target: the domain that they go to.
        device: where the networks go.
        precision: of convolutions there.
        domains: names of the authors' files' domains in the order of their numbers; None is day, night.
        epoch: which one, where there are several; None takes the last.
        load_px: shorter side at which photos are translated, `OWN_SIZE_PX` for their own; None takes that of
            the training, 512 for the authors' files.

    Raises:
        WeightsError: the folder is no such folder, a file is missing, damaged or of another network.
        ConfigError: a domain is unknown, or both are the same.
    """
    if not folder.is_dir():
        raise WeightsError(
            f"{folder} is no folder: give the one that holds <epoch>_net_G<k>.pth files (unpack an archive)"
        )
    if not has_author_files(folder):
        raise WeightsError(f"{folder} holds no <epoch>_net_G<k>.pth file; name the folder that does")
    found = find_author_files(folder, domains, epoch)
    require_domains(source, target, found.domains)
    encoder_file, decoder_file = found.encoder_file(source), found.decoder_file(target)
    encoder, decoder = read_encoder(encoder_file), read_decoder(decoder_file)
    if encoder.shape.channels != decoder.shape.channels:
        raise WeightsError(
            f"{encoder_file.name} has {encoder.shape.channels} filters and {decoder_file.name} "
            f"{decoder.shape.channels}: both must be of one training"
        )
    return GanTranslator(
        encoder.eval().to(device),
        decoder.eval().to(device),
        WorkingSize((AUTHORS_LOAD_PX if load_px is None else load_px) or None),
        device,
        precision,
        {
            "method": "gan",
            "from": source,
            "to": target,
            "weights": str(folder.resolve()),
            "epoch": found.epoch,
            "sha256": {path.name: file_sha256(path) for path in (encoder_file, decoder_file)},
            "precision": precision.name,
        },
    )


def require_domains(source: str, target: str, domains: Sequence[str]) -> None:
    """Refuse domains that the weights do not have.

    Raises:
        ConfigError: one is unknown, or both are the same.
    """
    for option, name in (("--from", source), ("--to", target)):
        if name not in domains:
            raise ConfigError([f"{option} must be one of {', '.join(domains)}, got {name!r} (see --domains)"])
    if source == target:
        raise ConfigError([f"--from and --to must be two domains, got {source!r} twice"])
