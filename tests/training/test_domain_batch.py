from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.config.trial import DomainConfig
from vgsearch.training.batch_share import BatchShare
from vgsearch.training.domain_batch import DomainBatch, target_counts


@given(st.integers(1, 40), st.lists(st.integers(1, 12), max_size=4), st.integers(1, 5))
def test_shares_are_those_of_a_labelled_row(source: int, targets: list[int], processes: int) -> None:
    row = [domain for domain, size in enumerate(targets, start=1) for _ in range(size)]
    batches = []
    for rank in range(processes):
        share = BatchShare(rank, processes)
        batch = DomainBatch.shared(source, targets, share)
        mine = row[share.part(len(row))]
        assert batch.counts == (
            share.count(source),
            *(mine.count(d) for d in range(1, len(targets) + 1)),
        )
        batches.append(batch)
    for domain, size in enumerate((source, *targets)):
        assert sum(batch.counts[domain] for batch in batches) == size
        assert sum(batch.weights[domain] for batch in batches) == pytest.approx(1)


def test_one_process_has_it_whole() -> None:
    assert DomainBatch.shared(8, [2, 1], BatchShare()) == DomainBatch.whole(8, [2, 1])
    assert DomainBatch.whole(8, []) == DomainBatch((8,), (1.0,))


@pytest.mark.parametrize(
    ("batch_size", "fraction", "domains", "expected"),
    [
        (32, 0.5, 1, [16]),
        (8, 1.5, 1, [12]),
        (2, 0.1, 1, [1]),
        (32, 0.5, 3, [6, 5, 5]),
        (8, 0.5, 2, [2, 2]),
        (2, 0.1, 3, [1, 1, 1]),
    ],
)
def test_target_counts(batch_size: int, fraction: float, domains: int, expected: list[int]) -> None:
    assert target_counts(batch_size, DomainConfig(batch_fraction=fraction), domains) == expected
