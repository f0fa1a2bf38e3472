"""The order in which images of retrieval sets are described, so that queries can be judged on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vgsearch.config.search import EvalConfig
from vgsearch.data.framing import Framing
from vgsearch.data.index import ImageIndex, join_indexes
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.ensembling.positives import Positives, find_positives
from vgsearch.retrieval.batch_plan import PlannedBatch, plan_batches
from vgsearch.retrieval.image_loader import network_sizes
from vgsearch.retrieval.query_methods import DescribedPart, described_parts, framing_of


@dataclass(frozen=True, eq=False)
class PlannedSet:
    """One retrieval set inside a plan: its images are rows `first...` of the joint index.

    Attributes:
        retrieval_set: The set.
        positives: Of each query, as rows of the set's database.
        first_database: Joint row of database image 0.
        first_query: Joint row of query 0.
    """

    retrieval_set: RetrievalSet
    positives: Positives
    first_database: int
    first_query: int

    @property
    def database_rows(self) -> slice:
        """Joint rows of the database."""
        return slice(self.first_database, self.first_database + len(self.retrieval_set.database))

    @property
    def query_rows(self) -> slice:
        """Joint rows of the queries."""
        return slice(self.first_query, self.first_query + len(self.retrieval_set.queries))


@dataclass(frozen=True, eq=False)
class ValPlan:
    """Batches over one joint index of all sets; a database that sets share is in it once.

    A query's batch comes after every batch that holds one of its positives. Within a batch are the images
    that `extract_descriptors` would put together, so that descriptors are the same to the bit.

    Attributes:
        index: All images.
        steps: Batches in the order to describe them, with rows of `index`.
        sets: The sets by split name.
    """

    index: ImageIndex
    steps: tuple[PlannedBatch, ...]
    sets: Mapping[str, PlannedSet]

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.index)


def plan_val(sets: Mapping[str, RetrievalSet], eval_config: EvalConfig, *, threads: int) -> ValPlan:
    """Order the batches of several sets.

    Args:
        sets: By split name, at least one.
        eval_config: Of a method with one descriptor a query.
        threads: Threads that read the images' headers.

    Raises:
        ImageError: A header cannot be read.
        DataError: The query method has no target; see `query_config`.
    """
    parts: dict[tuple[str, Framing], tuple[int, ImageIndex, list[PlannedBatch]]] = {}
    num_images = 0

    def planned_part(part: DescribedPart) -> tuple[int, ImageIndex, list[PlannedBatch]]:
        nonlocal num_images
        framing = framing_of(part.eval_config)
        key = part.index.fingerprint, framing
        if key not in parts:
            sizes_px = network_sizes(part.index, framing, threads)
            batches = list(plan_batches(sizes_px, eval_config.batch_size, framing))
            parts[key] = num_images, part.index, batches
            num_images += len(part.index)
        return parts[key]

    steps: list[PlannedBatch] = []
    planned: dict[str, PlannedSet] = {}
    waiting: dict[int, dict[int, PlannedBatch]] = {}  # by first row of a part, then by batch number
    described: set[int] = set()
    for split, retrieval_set in sets.items():
        of_database, of_queries = described_parts(
            retrieval_set.database, retrieval_set.queries, eval_config, threads=threads
        )
        first_database, _, database = planned_part(of_database)
        first_query, _, queries = planned_part(of_queries)
        positives = find_positives(retrieval_set)
        planned[split] = PlannedSet(retrieval_set, positives, first_database, first_query)
        batch_of = np.empty(len(retrieval_set.database), dtype=np.int64)
        for number, batch in enumerate(database):
            batch_of[batch.ids] = number
        left = waiting.setdefault(first_database, dict(enumerate(database)))
        for batch in queries:
            for number in np.unique(batch_of[positives.of(batch.ids).ids]).tolist():
                if number in left:
                    steps.append(_moved(left.pop(number), first_database))
            if first_query not in described:
                steps.append(_moved(batch, first_query))
        described.add(first_query)
    for first, left in waiting.items():
        steps.extend(_moved(batch, first) for batch in left.values())
    return ValPlan(join_indexes([index for _, index, _ in parts.values()]), tuple(steps), planned)


def _moved(batch: PlannedBatch, first: int) -> PlannedBatch:
    return replace(batch, ids=batch.ids + first)
