"""Averages of weights, tensor by tensor: two models in memory, however many are averaged.

Floating tensors are added up in float32 (float64 stays float64) and come back in their own dtype. Everything
else, such as BatchNorm's count of batches, is kept from the first model: an average of counters means
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vgsearch.errors import CheckpointError
from vgsearch.models.architecture import COMPILE_PREFIX
from vgsearch.models.checkpoint import MODEL_FILE
from vgsearch.models.stored_tensors import name_some, open_tensors

Weights = Path | Mapping[str, Tensor]
"""A checkpoint folder, its `model.safetensors`, or tensors by name."""

Stream = Iterator[tuple[str, Tensor]]
"""Tensors with their names, one at a time."""


class RunningAverage:
    """A weighted mean of models that are added one by one: holds one sum, reads tensor by tensor.

    The mean of a single model is that model, bit for bit.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._sums: dict[str, Tensor] = {}
        self._kept: dict[str, Tensor] = {}
        self._dtypes: dict[str, torch.dtype] = {}
        self._total = 0.0
        self._count = 0

    @property
    def count(self) -> int:
        """How many models were added."""
        return self._count

    def add(self, weights: Weights, coefficient: float = 1.0) -> None:
        """Add a model; after an error the average is not to be used.

        Args:
            weights: The model.
            coefficient: Its part of the mean before all parts are divided by their sum.

        Raises:
            CheckpointError: It cannot be read, was saved from a compiled network (`_orig_mod.`), is not
                finite, or has other tensors than the first.
            ValueError: The coefficient is not finite.
        """
        if not math.isfinite(coefficient):
            raise ValueError(f"a coefficient must be finite, got {coefficient}")
        with open_weights(weights) as source:
            if self._count:
                source.require_like(self._dtypes, {**self._sums, **self._kept})
            for name, tensor in source.tensors():
                if not tensor.is_floating_point():
                    self._kept.setdefault(name, tensor.clone())
                elif name in self._sums:
                    self._sums[name].add_(tensor.to(self._sums[name].dtype), alpha=coefficient)
                else:
                    self._sums[name] = tensor.to(_wide(tensor.dtype)) * coefficient
                self._dtypes.setdefault(name, tensor.dtype)
        self._total += coefficient
        self._count += 1

    def stream(self, extra: Weights | None = None, coefficient: float = 1.0) -> Stream:
        """The mean, tensor by tensor, as it is or as it would be with `extra` added.

        Raises:
            CheckpointError: As `add`, about `extra`.
            ValueError: Nothing was added, or the coefficients do not have a positive sum.
        """
        total = self._total + (0.0 if extra is None else coefficient)
        if not self._count or not total > 0:
            raise ValueError(f"a mean needs coefficients with a positive sum, got {self._count} with {total}")
        if extra is None:
            for name, dtype in self._dtypes.items():
                yield name, self._mean(name, None, total, 0.0).to(dtype)
            return
        with open_weights(extra) as source:
            source.require_like(self._dtypes, {**self._sums, **self._kept})
            for name, tensor in source.tensors():
                yield name, self._mean(name, tensor, total, coefficient).to(tensor.dtype)

    def result(self) -> dict[str, Tensor]:
        """The mean in the models' own dtypes.

        Raises:
            ValueError: As `stream`.
        """
        return dict(self.stream())

    def _mean(self, name: str, extra: Tensor | None, total: float, coefficient: float) -> Tensor:
        if name in self._kept:
            return self._kept[name].clone()
        own = self._sums[name]
        if extra is not None:
            own = own.add(extra.to(own.dtype), alpha=coefficient)
        return own / total


def interpolate(first: Weights, second: Weights, t: float) -> dict[str, Tensor]:
    """The point `first + t (second - first)` of the line between two models.

    Exactly `first` at 0 and `second` at 1; between a model and itself it is that model at every `t` in [0,
    1].

    Raises:
        CheckpointError: As `RunningAverage.add`.
        ValueError: `t` is not finite.
    """
    return dict(line(first, second, t))


def line(first: Weights, second: Weights, t: float) -> Stream:
    """As `interpolate`, tensor by tensor."""
    if not math.isfinite(t):
        raise ValueError(f"a place on the line must be finite, got {t}")
    with open_weights(first) as start, open_weights(second) as end:
        end.require_like(start.dtypes(), start.shapes())
        for name, tensor in start.tensors():
            if not tensor.is_floating_point():
                yield name, tensor.clone()
                continue
            wide = _wide(tensor.dtype)
            # torch.lerp counts from the nearer end, so that both ends are exact.
            yield name, torch.lerp(tensor.to(wide), end.tensor(name).to(wide), t).to(tensor.dtype)


def overwrite_weights(tensors: Iterable[tuple[str, Tensor]], network: nn.Module) -> None:
    """Copy tensors into a network's own, wherever it is, with strict names, shapes and finite values.

    Raises:
        CheckpointError: One is missing, unexpected, of another shape or not finite; the network is then
            partly overwritten.
    """
    own = network.state_dict()
    seen = set()
    with torch.no_grad():
        for name, tensor in tensors:
            if name not in own or own[name].shape != tensor.shape or own[name].dtype != tensor.dtype:
                raise CheckpointError(f"tensor {name} does not fit this network; use other checkpoints")
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise CheckpointError(
                    f"tensor {name} of the combination is NaN or infinite: values of the ingredients are "
                    "too large to be added; leave one out"
                )
            own[name].copy_(tensor)
            seen.add(name)
    missing = [name for name in own if name not in seen]
    if missing:
        raise CheckpointError(
            f"{len(missing)} tensors are missing ({name_some(missing)}); use other checkpoints"
        )


@dataclass(frozen=True)
class OpenWeights:
    """A model that is being read: names in a fixed order, and each tensor when it is asked for."""

    where: str
    names: tuple[str, ...]
    get: Callable[[str], Tensor]
    header: Callable[[str], tuple[tuple[int, ...], torch.dtype]]

    def tensor(self, name: str) -> Tensor:
        """One tensor, on the CPU.

        Raises:
            CheckpointError: It holds NaN or infinity.
        """
        tensor = self.get(name)
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(f"{self.where}: {name} holds NaN or infinity; leave this checkpoint out")
        return tensor

    def tensors(self) -> Stream:
        """All tensors, one at a time."""
        return ((name, self.tensor(name)) for name in self.names)

    def dtypes(self) -> dict[str, torch.dtype]:
        """Dtypes by name."""
        return {name: self.header(name)[1] for name in self.names}

    def shapes(self) -> dict[str, Tensor]:
        """Tensors without storage, for their shapes."""
        return {name: torch.empty(self.header(name)[0], device="meta") for name in self.names}

    def require_like(self, dtypes: Mapping[str, torch.dtype], shapes: Mapping[str, Tensor]) -> None:
        """Check names, shapes and dtypes against another model's.

        Raises:
            CheckpointError: They differ; the message names some.
        """
        other = [name for name in self.names if name not in dtypes]
        other += [name for name in dtypes if name not in set(self.names)]
        other = other or [
            name for name in self.names if self.header(name) != (tuple(shapes[name].shape), dtypes[name])
        ]
        if other:
            raise CheckpointError(
                f"{self.where}: only weights of one architecture can be averaged, but {len(other)} tensors "
                f"differ in name, shape or dtype ({name_some(other)}); leave this checkpoint out"
            )


@contextmanager
def open_weights(weights: Weights) -> Iterator[OpenWeights]:
    """Open a model for reading tensor by tensor.

    Raises:
        CheckpointError: No such file, it is damaged, or it was saved from a compiled network.
    """
    if isinstance(weights, Mapping):
        held = {name: tensor.detach().cpu() for name, tensor in weights.items()}
        yield _checked(
            OpenWeights(
                "the given weights",
                tuple(held),
                held.__getitem__,
                lambda name: (tuple(held[name].shape), held[name].dtype),
            )
        )
        return
    path = weights / MODEL_FILE if weights.is_dir() else weights
    with open_tensors(path) as stored:

        def header(name: str) -> tuple[tuple[int, ...], torch.dtype]:
            part = stored.get_slice(name)
            return tuple(part.get_shape()), _DTYPES[part.get_dtype()]

        names = tuple(stored.keys())
        yield _checked(OpenWeights(str(path), names, stored.get_tensor, header))


_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def _checked(source: OpenWeights) -> OpenWeights:
    wrapped = [name for name in source.names if COMPILE_PREFIX in name]
    if wrapped:
        raise CheckpointError(
            f"{source.where}: {wrapped[0]} was saved from a network inside torch.compile's wrapper "
            f"({COMPILE_PREFIX}); save the network that was wrapped"
        )
    return source


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
