from __future__ import annotations

from collections.abc import Iterator

import pytest

from vgsearch.config.search import TrialSpec
from vgsearch.config.trial import CellsConfig, DomainConfig
from vgsearch.errors import DataError
from vgsearch.training.data_cache import clear_data_cache, load_trial_data


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    clear_data_cache()
    yield
    clear_data_cache()


def test_what_a_trial_gets(tiny_spec: TrialSpec) -> None:
    data = load_trial_data(tiny_spec.data, tiny_spec.trial)
    assert [group.num_classes for group in data.groups] == [8, 8]
    assert {name: val.name for name, val in data.val.items()} == {"day": "day", "night": "night"}
    assert data.target is not None
    assert len(data.target) == 32
    assert data.target_sizes == (32,)


def test_trials_share_what_they_have_in_common(tiny_spec: TrialSpec) -> None:
    first = load_trial_data(tiny_spec.data, tiny_spec.trial)
    other = tiny_spec.trial.model_copy(
        update={"cells": CellsConfig(groups_across=1, groups_heading=1, groups_used=1, min_images=2)}
    )
    second = load_trial_data(tiny_spec.data, other)
    assert second.train is first.train
    assert second.val["day"] is first.val["day"]
    assert [group.num_classes for group in second.groups] == [16]
    clear_data_cache()
    assert load_trial_data(tiny_spec.data, tiny_spec.trial).train is not first.train


@pytest.mark.parametrize(
    ("domain", "has_target"), [(None, False), ({"placement": "inline"}, False), ({}, True)]
)
def test_target_only_where_it_is_used(
    tiny_spec: TrialSpec, domain: dict[str, str] | None, has_target: bool
) -> None:
    config = None if domain is None else DomainConfig.model_validate(domain)
    trial = tiny_spec.trial.model_copy(update={"domain": config})
    assert (load_trial_data(tiny_spec.data, trial).target is not None) == has_target


def test_several_target_domains_are_one_index(two_domains: TrialSpec) -> None:
    data = load_trial_data(two_domains.data, two_domains.trial)
    assert data.target_sizes == (5, 32)  # in the order of their names
    assert data.target is not None
    folders = [data.target.absolute(i).parent.name for i in range(len(data.target))]
    assert folders == ["dusk"] * 5 + ["night"] * 32


def test_a_group_smaller_than_a_batch_is_found_before_its_turn(tiny_spec: TrialSpec) -> None:
    trial = tiny_spec.trial.model_copy(update={"batch_size": 9})
    with pytest.raises(DataError, match=r"group 0 .* has 8 classes, too few for one batch of 9: lower trial"):
        load_trial_data(tiny_spec.data, trial)


def test_missing_folder(tiny_spec: TrialSpec) -> None:
    data = tiny_spec.data.model_copy(update={"train": "/nowhere/train"})
    with pytest.raises(DataError, match="/nowhere/train"):
        load_trial_data(data, tiny_spec.trial)
