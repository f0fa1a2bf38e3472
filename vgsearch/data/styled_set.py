"""A retrieval set in the style of other photos, by Fourier domain adaptation at test time."""

from __future__ import annotations

from dataclasses import replace

from vgsearch.config.fda import FdaSetting
from vgsearch.data.fda_name import FdaName
from vgsearch.data.index import ImageIndex
from vgsearch.data.retrieval_set import RetrievalSet, query_set_hash
from vgsearch.data.styled_index import beside_styled, in_style


def styled_set(
    plain: RetrievalSet,
    setting: FdaSetting,
    *,
    beta: float,
    seed: int,
    train: ImageIndex | None = None,
    is_other_style: bool = False,
) -> RetrievalSet:
    """Let the database, the queries or both take another style.

    A style photo is drawn at random for each image, see `in_style`; no coordinate is read for that. The
    styles of queries are known only where all queries are there before the first one is answered.

    Args:
        plain: the set as it is.
        setting: whose style goes where.
        beta: size of the window, see `window_half_width`.
        seed: of the draws, >= 0.
        train: the photos of `train_to_split`.
        is_other_style: whether `train` holds other photos than those that the model was trained on.

    Returns:
        A set with the same places. Its name ends as `FdaName` says, and its `query_set_hash` is its own: its
        recalls never pass for those of the plain set. Where styled photos stand beside the plain ones,
        the database is twice as long and a place is found by either.

    Raises:
        ValueError: `train_to_split` without `train`.
    """
    database, queries = plain.database, plain.queries
    if setting == "train_to_split":
        if train is None:
            raise ValueError("train_to_split needs the training photos")
        database = in_style(plain.database, train, beta=beta, seed=seed)
        # Draws of their own: image i of both parts would take the same photo.
        queries = in_style(plain.queries, train, beta=beta, seed=seed + 1)
    elif setting == "database_to_queries":
        queries = in_style(plain.queries, plain.database, beta=beta, seed=seed)
    elif setting == "queries_to_database":
        database = in_style(plain.database, plain.queries, beta=beta, seed=seed)
    else:
        database = beside_styled(plain.database, plain.queries, beta=beta, seed=seed)
    style = train.content_hash[:8] if is_other_style and train is not None else ""
    return replace(
        plain,
        name=plain.name + FdaName(setting, beta, seed, style).suffix,
        database=database,
        queries=queries,
        query_set_hash=query_set_hash(database, queries),
    )
