"""A transductive target domain marks every run of a search, its versions, and what is made of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.search.ledger_run import finish_trials, open_study
from vgsearch.config.weight_files import RecordedWeights
from vgsearch.data.index import index_folder
from vgsearch.data.target_domain import RECORD_NAME, gather
from vgsearch.errors import DataError
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.registry.names import SELECTED_ON_TEST_TAG, TRANSDUCTIVE_TAG
from vgsearch.search.data_tags import data_tags
from vgsearch.search.ledger import Ledger
from vgsearch.search.memory import Holding
from vgsearch.search.provenance import gather as provenance

DOMAIN = "trial.domain={grl_alpha: 0.3}"


@pytest.fixture
def target(tiny_city, tmp_path):
    """Make a target domain of the tiny city's night photos, as transductive or not."""

    def make(*, transductive):
        out = tmp_path / f"target_{transductive}"
        photos = index_folder(tiny_city / "target_night", cache_dir=tmp_path / "cache")
        queries = index_folder(tiny_city / "test_day" / "queries", cache_dir=tmp_path / "cache")
        gather(
            [photos, queries], out, {"day": queries}, transductive=transductive, leave_out=not transductive
        )
        return out

    return make


@pytest.mark.parametrize("transductive", [True, False])
def test_runs_and_versions_are_tagged(search, target, transductive):
    folder = target(transductive=transductive)
    _, registry, _ = search("search.num_trials=2", f"data.target_domain={folder}", DOMAIN)
    expected = "true" if transductive else None
    (record,) = registry.searches()
    assert record.tags.get(TRANSDUCTIVE_TAG) == expected
    assert {trial.tags.get(TRANSDUCTIVE_TAG) for trial in registry.trials("quick")} == {expected}
    versions = registry.versions("quick")
    assert versions
    assert {version.transductive for version in versions} == {transductive}


def test_the_record_says_it(load, target):
    document, data = load(f"data.target_domain={target(transductive=True)}", DOMAIN)
    assert data_tags(data) == {TRANSDUCTIVE_TAG: "true"}
    assert b'"vgsearch.transductive": "true"' in provenance(document, data, [])["data.json"]


def test_no_target_domain_and_no_record_say_nothing(load, tiny_city):
    assert data_tags(load()[1]) == {}
    _, data = load("data.target_domain=demo_city/target_night")
    assert data_tags(data) == {}


def test_a_damaged_record_is_an_error(load, tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / RECORD_NAME).write_text("no mapping")
    _, data = load(f"data.target_domain={tmp_path / 'target'}")
    with pytest.raises(DataError, match="is damaged"):
        data_tags(data)


def test_one_of_several_target_domains_is_enough(load, target, tiny_city):
    folders = f"{{night: demo_city/target_night, tests: {target(transductive=True)}}}"
    assert data_tags(load(f"data.target_domain={folders}")[1]) == {TRANSDUCTIVE_TAG: "true"}


def test_a_search_has_the_tags_of_the_model_it_starts_from(load, tmp_path):
    document, data = load("search.num_trials=1")
    tags = {SELECTED_ON_TEST_TAG: "true", TRANSDUCTIVE_TAG: "true"}
    weights = {"models:/vgsearch-a/1": RecordedWeights(tmp_path / "a.safetensors", tags)}
    document = replace(document, recorded_weights=weights)
    registry = MemoryRegistry()
    study = open_study(document, data, tmp_path, resume=False)
    try:
        ledger = Ledger(document, data, study, registry, lambda event: None, holding=Holding(0.5))
        finish_trials(ledger, tmp_path)
    finally:
        study.close()
    for record in (*registry.searches(), *registry.trials("quick")):
        assert tags.items() <= record.tags.items()
    (version,) = registry.versions("quick")
    assert version.selected_on_test
    assert version.transductive
    assert version.inherited_tags == document.inherited_tags == tags
