"""How a query photo is brought to the network and its descriptors to the search: the names of the ways."""

from __future__ import annotations

from typing import Literal

from vgsearch.errors import ConfigError

QueryMethod = Literal[
    "native", "single_query", "central_crop", "five_crops", "nearest_crop", "majority_voting"
]

NUM_CROPS = 5
MULTI_ROW: tuple[QueryMethod, ...] = ("nearest_crop", "majority_voting")
"""Methods that search once for each of a query's five crops, so that a query has five descriptors."""

ONE_ROW: tuple[QueryMethod, ...] = ("native", "single_query", "central_crop", "five_crops")


def multi_row_refusal(method: QueryMethod) -> str | None:
    """Why models cannot be combined under a method, in words; None where they can."""
    if method not in MULTI_ROW:
        return None
    return (
        f"{method} gives {NUM_CROPS} descriptors a query, and soups and ensembles are built on one; use "
        f"{', '.join(ONE_ROW[:-1])} or {ONE_ROW[-1]}"
    )


def require_one_row(method: QueryMethod, reference: str) -> None:
    """Refuse to combine models under a method with several descriptors a query.

    Args:
        method: under which they would be scored.
        reference: the model whose own file says so.

    Raises:
        ConfigError: it is one of `MULTI_ROW`.
    """
    refusal = multi_row_refusal(method)
    if refusal is not None:
        raise ConfigError(
            [f"{reference} was searched with eval.query_method: {refusal} (--set eval.query_method=...)"]
        )
