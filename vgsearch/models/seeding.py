"""Random initialisation from a trial's seed alone, without touching anybody's random state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def part_seed(seed: int, part: str) -> int:
    """Seed in [0, 2^63) of one named part, so that no part's draws depend on another part's size."""
    digest = hashlib.sha256(f"{seed}:{part}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def part_generator(seed: int, part: str) -> torch.Generator:
    """CPU generator for one named part of a network."""
    return torch.Generator("cpu").manual_seed(part_seed(seed, part))


@contextmanager
def seeded_cpu_draws(seed: int, part: str) -> Iterator[None]:
    """Make draws from torch's global CPU generator come from `seed`; restore it afterwards.

    For code that takes no generator, such as timm's initialisers. `torch.manual_seed` is avoided
    because it would also seed every CUDA device.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(part_seed(seed, part))
        yield
