"""The four settings: whose style goes where, and what stays the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tests.training.conftest import write_places
from vgsearch.config.fda import FdaSetting
from vgsearch.data.fda_name import FdaName
from vgsearch.data.index import index_folder
from vgsearch.data.retrieval_set import RetrievalSet, load_retrieval_set
from vgsearch.data.styled_index import StyledIndex
from vgsearch.data.styled_set import styled_set

Styled = Callable[[FdaSetting], RetrievalSet]


@pytest.fixture
def plain(tmp_path: Path) -> RetrievalSet:
    write_places(tmp_path / "split" / "database", range(2), places=range(5), spacing_m=100)
    write_places(tmp_path / "split" / "queries", range(2, 3), places=range(5), spacing_m=100, night=True)
    return load_retrieval_set(tmp_path / "split", 25.0, name="test/night")


@pytest.fixture
def styled(plain: RetrievalSet, tmp_path: Path) -> Styled:
    write_places(tmp_path / "train", range(2), places=range(3))
    train = index_folder(tmp_path / "train")
    return lambda setting: styled_set(plain, setting, beta=0.05, seed=0, train=train)


def style_roots(split: RetrievalSet) -> list[str | None]:
    """Whose style database and queries take."""
    return [
        part.styles.root.name if isinstance(part, StyledIndex) else None
        for part in (split.database, split.queries)
    ]


@pytest.mark.parametrize(
    ("setting", "database", "queries"),
    [
        ("train_to_split", "train", "train"),
        ("database_to_queries", None, "database"),
        ("queries_to_database", "queries", None),
        ("queries_to_database_add", "queries", None),
    ],
)
def test_whose_style_goes_where(
    styled: Styled, setting: FdaSetting, database: str | None, queries: str | None
) -> None:
    assert style_roots(styled(setting)) == [database, queries]


@pytest.mark.parametrize("setting", get_args(FdaSetting))
def test_places_stay_and_recalls_do_not_pass_for_plain_ones(
    plain: RetrievalSet, styled: Styled, setting: FdaSetting
) -> None:
    split = styled(setting)
    assert split.name == f"test/night-fda-{setting}-beta0.05-seed0"
    assert FdaName.of_set(split.name) == FdaName(setting, 0.05, 0)
    assert split.query_set_hash != plain.query_set_hash
    assert split.database.root == plain.database.root
    np.testing.assert_array_equal(split.has_positive, plain.has_positive)
    everything = np.tile(np.arange(len(plain.database)), (len(plain.queries), 1))
    np.testing.assert_array_equal(split.is_positive(everything), plain.is_positive(everything))
    assert len({styled(each).query_set_hash for each in get_args(FdaSetting)}) == 4


def test_other_photos_than_the_training_ones_are_in_the_name(plain: RetrievalSet, tmp_path: Path) -> None:
    write_places(tmp_path / "other", range(2), places=range(3))
    other = index_folder(tmp_path / "other")
    split = styled_set(plain, "train_to_split", beta=0.01, seed=2, train=other, is_other_style=True)
    assert FdaName.of_set(split.name) == FdaName("train_to_split", 0.01, 2, other.content_hash[:8])


def test_an_added_photo_is_at_the_place_of_its_original(plain: RetrievalSet, styled: Styled) -> None:
    split, n = styled("queries_to_database_add"), len(plain.database)
    assert len(split.database) == 2 * n
    everything = np.tile(np.arange(2 * n), (len(plain.queries), 1))
    positive = split.is_positive(everything)
    np.testing.assert_array_equal(positive[:, :n], positive[:, n:])
    np.testing.assert_array_equal(positive[:, :n], plain.is_positive(everything[:, :n]))


def test_both_parts_draw_for_themselves(styled: Styled) -> None:
    split = styled("train_to_split")
    assert isinstance(split.database, StyledIndex)
    assert isinstance(split.queries, StyledIndex)
    assert split.database.style_ids[:5].tolist() != split.queries.style_ids.tolist()


def test_training_photos_are_needed(plain: RetrievalSet) -> None:
    with pytest.raises(ValueError, match="training photos"):
        styled_set(plain, "train_to_split", beta=0.05, seed=0)
