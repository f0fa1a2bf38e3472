from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.config.checks import objectives
from vgsearch.config.search import DataConfig
from vgsearch.ensembling.criterion import Criterion
from vgsearch.errors import ConfigError
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.training.val_scores import recall_metrics

SINGLE = DataConfig(train="t", val="v", tests={"sf_xs": "s", "mean": "m"})
NAMED = DataConfig(train="t", val={"night": "n", "day": "d"}, tests={"day": "td"})


def result(ranks: list[int]) -> RetrievalResult:
    return RetrievalResult("", np.array(ranks, np.int32), num_without_positive=0, stamp="s")


ranks = st.lists(st.integers(-1, 19), min_size=1, max_size=12)


@given(day=ranks, night=ranks)
def test_every_objective_of_a_search_has_the_value_that_the_search_saw(
    day: list[int], night: list[int]
) -> None:
    named = {"night": result(night), "day": result(day)}
    for data, results in ((NAMED, named), (SINGLE, {"": result(day)})):
        seen = recall_metrics(results)
        assert set(seen) == set(objectives(data))
        for name, value in seen.items():
            criterion = Criterion.parse(name)
            assert str(criterion) == name
            assert not criterion.is_test
            criterion.check(data, allow_test_selection=False)
            # Results of other splits may lie beside those that count.
            assert criterion.percent({**results, "test/day": result([0])}) == pytest.approx(value)
            assert set(criterion.splits(data)) <= set(results)


@given(day=ranks, night=ranks, n=st.sampled_from([1, 5, 10, 20]))
def test_hits_are_those_of_the_splits_by_name(day: list[int], night: list[int], n: int) -> None:
    results = {"night": result(night), "day": result(day), "test/day": result([0])}
    right = {name: [0 <= rank < n for rank in ranks] for name, ranks in (("day", day), ("night", night))}
    both = right["day"] + right["night"]
    assert Criterion.parse(f"val/mean/recall_at_{n}").hits(results).tolist() == both
    assert Criterion.parse(f"val/night/recall_at_{n}").hits(results).tolist() == right["night"]
    assert Criterion.parse(f"test/day/recall_at_{n}").hits(results).tolist() == [True]


def test_splits_are_named_as_results_are() -> None:
    assert Criterion.parse("val/recall_at_1").splits(SINGLE) == [""]
    assert Criterion.parse("val/mean/recall_at_1").splits(NAMED) == ["night", "day"]
    assert Criterion.parse("val/day/recall_at_20").splits(NAMED) == ["day"]
    assert Criterion.parse("test/mean/recall_at_1").splits(SINGLE) == ["test/mean"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "recall_at_1",
        "val/recall@1",
        "val/recall_at_2",
        "val/recall_at_01 ",
        "val/recall_at_",
        "val//recall_at_1",
        "val/a/b/recall_at_1",
        "val/../recall_at_1",
        "val/a b/recall_at_1",
        "test/recall_at_1",
        "train/recall_at_1",
        "VAL/recall_at_1",
        "val/recall_at_1\n",
        "val/recall_at_1" * 100,
    ],
)
def test_other_texts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"a criterion must be val/recall_at_N") as caught:
        Criterion.parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "data", "message"),
    [
        (
            "val/recall_at_1",
            NAMED,
            "by val/night/recall_at_N, val/day/recall_at_N, val/mean/recall_at_N",
        ),
        ("val/dusk/recall_at_1", NAMED, "val/dusk/recall_at_1: there is no such selection split"),
        ("val/mean/recall_at_1", SINGLE, "choose by val/recall_at_N"),
        ("val/day/recall_at_1", SINGLE, "choose by val/recall_at_N"),
        ("test/night/recall_at_1", NAMED, "data.tests has no night; it has: day"),
        ("test/night/recall_at_1", DataConfig(train="t", val="v"), "it has: none"),
    ],
)
def test_splits_that_are_not_there_are_refused(text: str, data: DataConfig, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Criterion.parse(text).check(data, allow_test_selection=True)
    assert message in str(caught.value)


def test_selecting_on_a_test_needs_the_flag() -> None:
    criterion = Criterion.parse("test/day/recall_at_1")
    assert criterion.is_test
    with pytest.raises(ConfigError, match=r"val/mean/recall_at_N\), or pass --allow-test-selection"):
        criterion.check(NAMED, allow_test_selection=False)
    criterion.check(NAMED, allow_test_selection=True)


@pytest.mark.parametrize("text", ["val/recall_at_1", "val/dusk/recall_at_1", "test/night/recall_at_1"])
def test_a_value_needs_its_results(text: str) -> None:
    criterion = Criterion.parse(text)
    with pytest.raises(ValueError, match="needs results of"):
        criterion.percent({"day": result([0])})
    with pytest.raises(ValueError, match="needs results of"):
        criterion.hits({"day": result([0])})


def test_a_mean_over_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs results of named selection splits"):
        Criterion.parse("val/mean/recall_at_1").percent({"": result([0]), "test/day": result([0])})
