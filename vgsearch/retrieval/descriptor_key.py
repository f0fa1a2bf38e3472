"""What a stored matrix of descriptors is a function of, and the name that follows from it.

The network: hash of its weights and architecture (an ensemble's covers fusion and coefficients).

The images: `ImageIndex.fingerprint` (paths, sizes, times of change, order) and the beginnings of a few files.
The fingerprint alone trusts times of change, and archives that set all times alike exist; two variants of a
set could then pass for one. Hashing every file would cost as much as reading the set. What stays unseen is a
single photo among many that was overwritten by one of the same size and given the old time again.

The preprocessing: all of `EvalConfig` but the batch size, so that a key that is added there counts from the
first day.

The arithmetic: number format, kind of device, and TF32. A CPU and a GPU differ by more than the order of
sums: cuDNN runs float32 convolutions in TF32 (10 bits of mantissa) where it may, and a result must not depend
on who described the images first. Batch size, threads and versions of libraries change the last bits only;
they are left out, or every update of PyTorch would empty the store.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch

from vgsearch.config.search import EvalConfig
from vgsearch.data.index import ImageIndex
from vgsearch.errors import ImageError
from vgsearch.models.precision import Precision

# Of the steps from a file to a descriptor: raise it when decoding or resizing gives other pixels, or the
# network computes in another way. 2: BatchNorm is folded into the convolutions, which in bf16 changes more
# than the last bits.
_VERSION = 2

_SAMPLED_IMAGES = 64
_SAMPLED_BYTES = 64 * 1024


class ModelIdentityLike(Protocol):
    """What tells networks apart."""

    @property
    def weights_sha256(self) -> str:
        """Hex hash of the bytes of `model.safetensors`."""

    @property
    def architecture(self) -> str:
        """Hash of all that decides what the network computes apart from its tensors."""


@dataclass(frozen=True)
class DescriptorKey:
    """All that decides the numbers of one stored matrix.

    Attributes:
        weights_sha256: of the network.
        architecture: of the network.
        images: fingerprint of the image list and hash of a sample of contents.
        preprocessing: sorted JSON of the evaluation settings that change descriptors.
        arithmetic: such as `bf16 on cpu`.
        version: of the code between a file and the network.
    """

    weights_sha256: str
    architecture: str
    images: str
    preprocessing: str
    arithmetic: str
    version: int = _VERSION

    @cached_property
    def name(self) -> str:
        """32 hexadecimal digits."""
        content = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def descriptor_key(
    identity: ModelIdentityLike,
    images: str,
    *,
    eval_config: EvalConfig,
    device: torch.device,
    precision: Precision,
) -> DescriptorKey:
    """The key of one network on one index; `images` is what `images_key` gives."""
    preprocessing = eval_config.model_dump(mode="json", exclude={"batch_size"})
    return DescriptorKey(
        weights_sha256=identity.weights_sha256,
        architecture=identity.architecture,
        images=images,
        preprocessing=json.dumps(preprocessing, sort_keys=True),
        arithmetic=arithmetic(device, precision),
    )


def arithmetic(device: torch.device, precision: Precision) -> str:
    """What numbers a device computes with, in words: `bf16 on cpu`, `fp32 on cuda with tf32`."""
    words = f"{precision.name} on {device.type}"
    if device.type == "cuda" and precision.dtype == torch.float32:
        has_tf32 = torch.cuda.get_device_capability(device) >= (8, 0)
        if has_tf32 and (torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32):
            words += " with tf32"
    return words


def images_key(index: ImageIndex) -> str:
    """The index's fingerprint and a hash of the first 64 KiB of up to 64 of its files, evenly apart.

    Raises:
        ImageError: one of these files cannot be read.
    """
    hasher = hashlib.blake2b(digest_size=8)
    places = np.linspace(0, len(index) - 1, min(len(index), _SAMPLED_IMAGES)).round().astype(int)
    for i in places.tolist():
        path = index.absolute(i)
        try:
            with path.open("rb") as file:
                beginning = file.read(_SAMPLED_BYTES)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ImageError(f"{path}: cannot be read ({reason}); copy it again or remove it") from error
        hasher.update(len(beginning).to_bytes(8, "little"))
        hasher.update(beginning)
    return f"{index.fingerprint}-{hasher.hexdigest()}"
