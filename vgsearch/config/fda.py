"""How a split is scored in other photos' styles."""

from __future__ import annotations

from typing import Literal

FdaSetting = Literal[
    "train_to_split", "database_to_queries", "queries_to_database", "queries_to_database_add"
]
"""Whose style goes where; the four settings of the paper that asked (its section 4.5).

- `train_to_split`: every image of the split takes the style of a training photo.
- `database_to_queries`: queries take the style of database photos.
- `queries_to_database`: database photos take the style of queries, in their place.
- `queries_to_database_add`: likewise, and stand beside the photos as they are.
"""

DEFAULT_BETA = 0.01
DEFAULT_SEED = 0
