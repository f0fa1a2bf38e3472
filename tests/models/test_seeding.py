from __future__ import annotations

import pytest
import torch

from vgsearch.models.seeding import part_generator, part_seed, seeded_cpu_draws


def test_parts_and_seeds_have_streams_of_their_own() -> None:
    seeds = {part_seed(seed, part) for seed in range(50) for part in ("backbone", "linear")}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.usefixtures("unchanged_global_draws")
def test_draws_come_from_the_seed_and_leave_the_global_state() -> None:
    with seeded_cpu_draws(7, "backbone"):
        first = torch.rand(3)
    with seeded_cpu_draws(7, "backbone"):
        again = torch.rand(3)
    assert torch.equal(first, again)
    assert torch.equal(first, torch.rand(3, generator=part_generator(7, "backbone")))
