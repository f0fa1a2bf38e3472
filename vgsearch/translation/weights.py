"""A translator from what a user names: the authors' folder of files, or a checkpoint of `translate train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from vgsearch.config.translation import TranslationConfig
from vgsearch.errors import ConfigError, WeightsError
from vgsearch.models.file_hash import file_sha256
from vgsearch.models.precision import Precision
from vgsearch.translation.author_files import (
    AUTHORS_LOAD_PX,
    AuthorFiles,
    find_author_files,
    has_author_files,
    read_decoder,
    read_encoder,
)
from vgsearch.translation.checkpoint import (
    WEIGHTS_FILE,
    epoch_folders,
    is_translator,
    load_generator,
    read_history,
    read_record,
)
from vgsearch.translation.gan_translator import GanTranslator
from vgsearch.translation.generator import Decoder, Encoder
from vgsearch.translation.photo_size import WorkingSize


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
        folder: of `<epoch>_net_G<k>.pth` files, of a training, or of one of its checkpoints.
        source: the domain that photos are from.
        target: the domain that they go to.
        device: where the networks go.
        precision: of convolutions there.
        domains: names of the authors' files' domains in the order of their numbers; None is day, night.
        epoch: which one, where there are several; None takes the last.
        load_px: shorter side at which photos are translated, 0 for their own; None takes that of
            the training, 512 for the authors' files.

    Raises:
        WeightsError: the folder is no such folder, a file is missing, damaged or of another network.
        CheckpointError: a checkpoint is damaged.
        ConfigError: a domain is unknown, or both are the same.
    """
    if not folder.is_dir():
        raise WeightsError(
            f"{folder} is no folder: give the one that holds <epoch>_net_G<k>.pth files (unpack an archive), "
            "or one that translate train wrote"
        )
    if has_author_files(folder):
        found = find_author_files(folder, domains, epoch)
        parts = _of_authors(found, source, target)
        load_px = AUTHORS_LOAD_PX if load_px is None else load_px
    else:
        checkpoint = _find_checkpoint(folder, epoch)
        config = read_record(checkpoint).config
        if domains is not None:
            raise ConfigError([f"--domains is for the authors' files; {checkpoint} knows its own"])
        parts = _of_checkpoint(checkpoint, config, source, target)
        load_px = config.load_px if load_px is None else load_px
    return GanTranslator(
        parts.encoder.eval().to(device),
        parts.decoder.eval().to(device),
        WorkingSize(load_px or None),
        device,
        precision,
        {"method": "gan", "from": source, "to": target, **parts.provenance, "precision": precision.name},
    )


@dataclass(frozen=True)
class _Parts:
    encoder: Encoder
    decoder: Decoder
    provenance: Mapping[str, str | int | Mapping[str, str]]


def _of_authors(found: AuthorFiles, source: str, target: str) -> _Parts:
    require_domains(source, target, found.domains)
    encoder_file, decoder_file = found.encoder_file(source), found.decoder_file(target)
    encoder, decoder = read_encoder(encoder_file), read_decoder(decoder_file)
    if encoder.shape.channels != decoder.shape.channels:
        raise WeightsError(
            f"{encoder_file.name} has {encoder.shape.channels} filters and {decoder_file.name} "
            f"{decoder.shape.channels}: both must be of one training"
        )
    sha256 = {path.name: file_sha256(path) for path in (encoder_file, decoder_file)}
    folder = str(encoder_file.parent.resolve())
    return _Parts(encoder, decoder, {"weights": folder, "epoch": found.epoch, "sha256": sha256})


def _of_checkpoint(folder: Path, config: TranslationConfig, source: str, target: str) -> _Parts:
    require_domains(source, target, config.domains)
    generator = load_generator(folder, config)
    sha256 = {WEIGHTS_FILE: file_sha256(folder / WEIGHTS_FILE)}
    return _Parts(
        cast(Encoder, generator.encoders[source]),
        cast(Decoder, generator.decoders[target]),
        {"weights": str(folder.resolve()), "epoch": len(read_history(folder)), "sha256": sha256},
    )


def _find_checkpoint(folder: Path, epoch: int | None) -> Path:
    """A checkpoint that is named itself, or the one of `epoch`, or the last one, of a training's folder."""
    if is_translator(folder) and epoch is None:
        return folder
    found = epoch_folders(folder)
    if not found:
        raise WeightsError(
            f"{folder} holds no <epoch>_net_G<k>.pth file and no checkpoint of translate train; name the "
            "folder that does"
        )
    if epoch is not None and epoch not in found:
        raise WeightsError(f"{folder} has no epoch {epoch}; it keeps {', '.join(map(str, found))}")
    return found[max(found) if epoch is None else epoch]


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
