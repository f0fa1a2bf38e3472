"""The files that ToDayGAN's and ComboGAN's training writes: `<epoch>_net_G<k>.pth`.

With N domains, files 0 to N - 1 are the encoders and N to 2N - 1 the decoders, both in the alphabetical order
of the training folders (`train0`, `train1`, ...). So which number is which domain is not in the files. In the
authors' published Oxford RobotCar weights (epoch 150) 0 is day and 1 is night.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vgsearch.errors import CheckpointError, WeightsError
from vgsearch.models.stored_tensors import require_same_tensors
from vgsearch.models.weights_file import read_weights_file
from vgsearch.translation.generator import Decoder, Encoder, GeneratorShape

PUBLISHED_ORDER = ("day", "night")
AUTHORS_LOAD_PX = 512
"""Shorter side that photos have in the authors' training and test scripts (`--loadSize 512`)."""

_FILE = re.compile(r"(\d+)_net_G(\d+)\.pth")
_FIRST_CONV = "model.1.weight"
_BLOCK = re.compile(r"(model\.(\d+)\.conv_block)\..*")
# torch before 0.4 kept statistics of instance norms, which the authors' networks never read.
_UNREAD = re.compile(r".*\.(running_mean|running_var|num_batches_tracked)")


@dataclass(frozen=True)
class AuthorFiles:
    """One epoch's files in a folder.

    Attributes:
        epoch: as their names say.
        domains: names, in the order of the numbers.
        files: 2N of them, by number.
    """

    epoch: int
    domains: tuple[str, ...]
    files: tuple[Path, ...]

    def encoder_file(self, domain: str) -> Path:
        """Of the encoder of one of `domains`."""
        return self.files[self.domains.index(domain)]

    def decoder_file(self, domain: str) -> Path:
        """Of the decoder of one of `domains`."""
        return self.files[len(self.domains) + self.domains.index(domain)]


def has_author_files(folder: Path) -> bool:
    """Whether a folder holds any file that is called so."""
    return any(_FILE.fullmatch(path.name) for path in folder.iterdir())


def find_author_files(
    folder: Path, domains: Sequence[str] | None = None, epoch: int | None = None
) -> AuthorFiles:
    """Find one epoch's files.

    Args:
        folder: where they lie.
        domains: their names in the order of the numbers; None is `PUBLISHED_ORDER`.
        epoch: None takes the last one.

    Raises:
        WeightsError: there is no such epoch, a file is missing, or the number of domains is another.
    """
    numbers: dict[int, dict[int, Path]] = {}
    for path in folder.iterdir():
        if match := _FILE.fullmatch(path.name):
            numbers.setdefault(int(match[1]), {})[int(match[2])] = path
    if epoch is None:
        epoch = max(numbers, default=None)
    if epoch is None or epoch not in numbers:
        there = f"; it has epochs {', '.join(map(str, sorted(numbers)))}" if numbers else ""
        raise WeightsError(f"{folder} holds no {'EPOCH' if epoch is None else epoch}_net_G0.pth{there}")
    names = tuple(PUBLISHED_ORDER if domains is None else domains)
    found = numbers[epoch]
    wanted = range(2 * len(names))
    missing = [f"{epoch}_net_G{k}.pth" for k in wanted if k not in found]
    if missing:
        raise WeightsError(
            f"{folder} has no {', '.join(missing)}: encoders and decoders of {', '.join(names)} are files 0 "
            f"to {wanted[-1]}; copy all of them, or name the domains they are of with --domains"
        )
    if max(found) > wanted[-1]:
        raise WeightsError(
            f"{folder} has {len(found)} files of epoch {epoch}, up to {found[max(found)].name}, but "
            f"{len(names)} domains ({', '.join(names)}) have {len(wanted)}: name all with --domains, in the "
            "order of the training folders (shared blocks, netG_n_shared, cannot be read)"
        )
    return AuthorFiles(epoch, names, tuple(found[k] for k in wanted))


def read_encoder(path: Path) -> Encoder:
    """Read an encoder; its width and depth are those of its tensors.

    Raises:
        WeightsError: the file is damaged, holds other objects than tensors, or is no such encoder.
    """
    tensors = _read(path)
    if _FIRST_CONV not in tensors or tensors[_FIRST_CONV].ndim != 4:
        raise WeightsError(
            f"{path} is no encoder of ToDayGAN: it has no {_FIRST_CONV}; are the files in order?"
        )
    shape = GeneratorShape(channels=len(tensors[_FIRST_CONV]), encoder_blocks=_num_blocks(tensors))
    encoder = Encoder(shape)
    _fit(path, encoder.state_dict(), tensors, "an encoder")
    encoder.load_state_dict(tensors)
    return encoder


def read_decoder(path: Path) -> Decoder:
    """Read a decoder; its width and depth are those of its tensors.

    Raises:
        WeightsError: the file is damaged, holds other objects than tensors, or is no such decoder.
    """
    tensors = _read(path)
    blocks = _num_blocks(tensors)
    first_up = f"model.{blocks}.weight"
    if _FIRST_CONV in tensors or first_up not in tensors or tensors[first_up].ndim != 4:
        raise WeightsError(
            f"{path} is no decoder of ToDayGAN: no {first_up} follows its blocks; are the files in order?"
        )
    shape = GeneratorShape(channels=max(1, len(tensors[first_up]) // 4), decoder_blocks=blocks)
    decoder = Decoder(shape)
    _fit(path, decoder.state_dict(), tensors, "a decoder")
    decoder.load_state_dict(tensors)
    return decoder


def _read(path: Path) -> dict[str, Tensor]:
    tensors = {
        name: tensor for name, tensor in read_weights_file(path).items() if not _UNREAD.fullmatch(name)
    }
    if any(name.endswith("conv_block.6.weight") for name in tensors):
        raise WeightsError(f"{path} was trained with --use_dropout, which is not supported")
    return tensors


def _num_blocks(tensors: Mapping[str, Tensor]) -> int:
    return len({match[1] for name in tensors if (match := _BLOCK.fullmatch(name))})


def _fit(path: Path, expected: Mapping[str, Tensor], given: Mapping[str, Tensor], what: str) -> None:
    try:
        require_same_tensors(expected, given, f"{path} is not {what} of ToDayGAN with instance norms")
    except CheckpointError as error:
        raise WeightsError(str(error)) from error
