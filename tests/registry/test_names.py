from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.config.checks import is_safe_name
from vgsearch.errors import RegistryError
from vgsearch.registry.names import check_key, check_segment, safe_key

KEYS = st.one_of(st.text(max_size=12), st.text(alphabet="ab/._-: @\n", max_size=12), st.just("a" * 251))


@pytest.fixture(scope="module")
def mlflow_refuses() -> Callable[[str], bool]:
    """MLflow's own judgement of a name."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_metric

    def refuses(name: str) -> bool:
        try:
            _validate_metric(name, 1.0, 0, 0)
        except MlflowException:
            return True
        return False

    return refuses


@given(st.one_of(KEYS, st.text(alphabet="aZ09._-", min_size=1, max_size=100)).filter(is_safe_name))
def test_every_name_of_a_target_domain_makes_a_metric(
    mlflow_refuses: Callable[[str], bool], name: str
) -> None:
    metric = f"train/domain_accuracy_{name}"
    assert check_key(metric, "a metric") == metric
    assert not mlflow_refuses(metric)


@given(KEYS)
def test_what_we_take_mlflow_takes(mlflow_refuses: Callable[[str], bool], key: str) -> None:
    try:
        check_key(key, "a metric")
    except RegistryError:
        return
    assert not mlflow_refuses(key)


@given(KEYS)
def test_what_we_rewrite_mlflow_takes(mlflow_refuses: Callable[[str], bool], key: str) -> None:
    rewritten = safe_key(key)
    assert not mlflow_refuses(rewritten)
    assert check_key(rewritten, "a parameter") == rewritten
    assert safe_key(rewritten) == rewritten


@pytest.mark.parametrize(
    "key", ["val/recall_at_1", "val/night 2/recall_at_10", "trial.loss.1_arcface.scale", "a:b"]
)
def test_usual_names_stay(mlflow_refuses: Callable[[str], bool], key: str) -> None:
    assert check_key(key, "a metric") == safe_key(key) == key
    assert not mlflow_refuses(key)


@given(st.text(alphabet="ab./\\\0\n ", max_size=6))
def test_a_segment_stays_one_segment(value: str) -> None:
    try:
        check_segment(value, "a name")
    except RegistryError:
        return
    assert set(value) <= set("ab.")
    assert value.strip(".")
