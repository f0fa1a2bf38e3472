from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from vgsearch.config.search import EvalConfig
from vgsearch.data.retrieval_set import RetrievalSet, load_retrieval_set
from vgsearch.errors import DataError
from vgsearch.models.precision import Precision
from vgsearch.retrieval.scoring import score_descriptors, score_set, score_sets, stamp_of

if TYPE_CHECKING:
    from conftest import ToyNetwork, WriteImages

CPU = torch.device("cpu")
NATIVE = EvalConfig()


@pytest.fixture
def city(write_images: WriteImages, tmp_path: Path) -> RetrievalSet:
    """Thirty database photos 100 m apart; the first twelve are queries too, and two queries lie far away."""
    write_images(tmp_path / "city" / "database", [(32, 40)] * 30)
    queries = tmp_path / "city" / "queries"
    index = write_images(queries, [(32, 40)] * 12)
    for i in (2, 7):
        index.absolute(i).rename(queries / f"@0900000.00@{i:010.2f}@30@T@0@0@far{i}@@0@@@@@@.jpg")
    return load_retrieval_set(tmp_path / "city", 25.0, cache_dir=tmp_path / "cache")


def _loop_over_everything(database: np.ndarray, queries: np.ndarray, city: RetrievalSet) -> list[int]:
    """First-hit ranks from the definition: full sort, every distance in metres by itself."""
    ranks = []
    for q, query in enumerate(queries.astype(np.float64)):
        order = sorted(range(len(database)), key=lambda i: (((database[i] - query) ** 2).sum(), i))
        rank = -1
        for r, i in enumerate(order[:20]):
            east = city.queries.utm_east[q] - city.database.utm_east[i]
            north = city.queries.utm_north[q] - city.database.utm_north[i]
            if np.hypot(east, north) <= city.positive_distance_m:
                rank = r
                break
        ranks.append(rank)
    return ranks


@pytest.mark.parametrize("seed", range(5))
def test_ranks_equal_a_loop(city: RetrievalSet, seed: int) -> None:
    rng = np.random.default_rng(seed)
    database = rng.standard_normal((30, 8)).astype(np.float32)
    queries = rng.standard_normal((12, 8)).astype(np.float32)
    result = score_descriptors(database, queries, city, eval_config=NATIVE)
    expected = _loop_over_everything(database, queries, city)
    assert result.first_hit_rank.tolist() == expected
    for n in (1, 5, 10, 20):
        assert result.at(n).hits == sum(0 <= rank < n for rank in expected)


def test_the_same_photo_is_its_own_nearest(city: RetrievalSet, network: ToyNetwork) -> None:
    steps: list[int] = []
    network.train()
    result = score_set(
        network,
        city,
        eval_config=NATIVE,
        device=CPU,
        precision=Precision(torch.float32, use_scaler=False),
        progress=steps.append,
    )
    assert network.training
    assert sum(steps) == 42
    assert (result.at(1).hits, result.num_queries, result.num_without_positive) == (10, 12, 2)
    assert "2 of them have no positive" in result.summary()
    assert result.set_name == "city"
    assert result.query_utm_m is not None
    assert result.query_utm_m[0].tolist() == [500000.0, 4000000.0]


def test_fewer_database_images_than_ranks(write_images: WriteImages, tmp_path: Path) -> None:
    for part in ("database", "queries"):
        write_images(tmp_path / "few" / part, [(32, 40)] * 3)
    few = load_retrieval_set(tmp_path / "few", 25.0, cache_dir=tmp_path / "cache")
    result = score_descriptors(
        np.eye(3, dtype=np.float32), np.roll(np.eye(3, dtype=np.float32), 1, axis=0), few, eval_config=NATIVE
    )
    assert result.at(1).hits == 0
    assert result.at(20).hits == 3


def test_stamp_tells_everything_that_must_agree(city: RetrievalSet) -> None:
    stamp = stamp_of(city, NATIVE)
    assert stamp == f"{city.query_set_hash[:16]}-25m-native-fullsize"
    assert stamp_of(city, EvalConfig(resize_px=480)) == f"{city.query_set_hash[:16]}-25m-native-480px"
    assert stamp_of(city, EvalConfig(batch_size=3)) == stamp


def test_descriptors_of_other_images_are_refused(city: RetrievalSet) -> None:
    rows = np.ones((12, 4), np.float32)
    with pytest.raises(ValueError, match="30 and 12 rows are needed"):
        score_descriptors(rows, rows, city, eval_config=NATIVE)
    with pytest.raises(DataError, match="NaN"):
        score_descriptors(np.full((30, 4), np.nan, np.float32), rows, city, eval_config=NATIVE)


def test_a_database_with_the_same_files_is_extracted_once(
    write_images: WriteImages, network: ToyNetwork, tmp_path: Path
) -> None:
    """Day and night queries against hard links of one database; a third set has another database."""
    day, night, other = (tmp_path / name for name in ("day", "night", "other"))
    write_images(day / "database", [(32, 40)] * 30)
    write_images(other / "database", [(32, 40)] * 9)
    (night / "database").mkdir(parents=True)
    for image in (day / "database").iterdir():
        (night / "database" / image.name).hardlink_to(image)
    for count, folder in ((12, day), (7, night), (5, other)):
        write_images(folder / "queries", [(32, 40)] * count)
    sets = [load_retrieval_set(folder, 25.0, cache_dir=tmp_path / "cache") for folder in (day, night, other)]
    options = {"eval_config": NATIVE, "device": CPU, "precision": Precision(torch.float32, use_scaler=False)}
    extracted: list[int] = []
    together = score_sets(network, sets, progress=extracted.append, **options)
    assert sum(extracted) == 30 + 12 + 7 + 9 + 5
    for result, retrieval_set in zip(together, sets, strict=True):
        alone = score_set(network, retrieval_set, **options)
        assert result.first_hit_rank.tolist() == alone.first_hit_rank.tolist()
        assert result.stamp == alone.stamp
