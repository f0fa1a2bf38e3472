"""`vgsearch evaluate --against`: another split of the same queries, and how each split differs from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vgsearch.errors import ConfigError

if TYPE_CHECKING:
    from vgsearch.data.retrieval_set import RetrievalSet
    from vgsearch.retrieval.compare import PairedComparison
    from vgsearch.retrieval.recall import RetrievalResult

COMPARED_AT = (1, 5, 10)

Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="SPLIT",
        help="Another split of the same queries, named like --on, such as the photos as they were before "
        "vgsearch translate. It is scored too, and every --on is compared with it, query by query; --fda "
        "leaves it as it is.",
    ),
]


def require_comparable(other: RetrievalSet, sets: Sequence[RetrievalSet]) -> None:
    """Refuse, before anything is scored, what cannot be compared query by query.

    Raises:
        ConfigError: A split is `other` itself.
        DataError: Its queries are not those of `other`; see `require_same_queries`.
    """
    from vgsearch.data.same_queries import require_same_queries

    for each in sets:
        if _photos(each) == _photos(other):
            raise ConfigError(
                [f"--on {each.name} and --against {other.name} are the same photos; leave one of them out"]
            )
        require_same_queries(other, each)


def compare_against(other: RetrievalResult, result: RetrievalResult) -> list[PairedComparison]:
    """The differences from `other` to the same model's result on a split that `require_comparable` passed."""
    from vgsearch.retrieval.compare import asked_alike, compare_results

    # The photos are the only thing that the two stamps tell apart, and they are what is compared.
    alike = asked_alike(result, other)
    return [compare_results(other, alike, n) for n in COMPARED_AT]


def _photos(retrieval_set: RetrievalSet) -> list[tuple[str, str]]:
    """Which photos: where they are, and in what style."""
    parts = (retrieval_set.database, retrieval_set.queries)
    return [(str(part.root.resolve()), part.fingerprint) for part in parts]
