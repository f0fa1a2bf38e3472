"""Networks from elsewhere in the registry, on both stores that are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vgsearch.config.search import NoData, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import RegistryError
from vgsearch.registry.imports import ImportSource, check_import_name, record_import
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.registry.names import RERANKERS_TAG, TRANSLATORS_TAG
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion

SOURCE = ImportSource(Path("/downloads/best model.pth"), "ab" * 32, "cosplace", "ResNet18")


@pytest.fixture(params=["memory", "mlflow"])
def registry(request: pytest.FixtureRequest) -> Registry:
    return MemoryRegistry() if request.param == "memory" else request.getfixturevalue("mlflow_registry")


@pytest.fixture
def record(registry: Registry, make_checkpoint: Callable[..., Path]) -> Callable[..., ModelVersion]:
    def record(uid: str = "imported-1", name: str = "outside", **metrics: float) -> ModelVersion:
        folder = make_checkpoint(uid, 1, uid.encode())
        spec = TrialSpec(search=name, uid=uid, trial=TrialConfig(), data=NoData())
        (folder / "trial.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json")))
        (folder / "lineage.json").write_bytes(SOURCE.lineage())
        return record_import(
            registry, folder, SOURCE, {name.replace("__", "/"): value for name, value in metrics.items()}
        )

    return record


def test_the_first_import_is_champion_and_says_where_it_came_from(
    registry: Registry, record: Callable[..., ModelVersion]
) -> None:
    version = record(val__recall_at_1=41.5)
    assert (version.kind, version.version, version.aliases) == ("imported", "1", ("champion",))
    assert version.tags["vgsearch.source_sha256"] == SOURCE.sha256
    assert version.tags["vgsearch.source_file"] == "best model.pth"
    assert version.tags["vgsearch.source_backbone"] == "ResNet18"
    assert version.tags["vgsearch.val.recall_at_1"] == "41.5000"
    folder = registry.download("models:/vgsearch-outside@champion")
    lineage = json.loads((folder / "lineage.json").read_text())
    assert lineage["kind"] == "imported"
    assert lineage["source"]["sha256"] == SOURCE.sha256
    assert registry.trials("outside") == []
    (search,) = registry.searches()
    assert search.state == "complete"


def test_a_second_import_leaves_the_champion_alone_and_can_take_its_place(
    registry: Registry, record: Callable[..., ModelVersion]
) -> None:
    record()
    second = record("imported-2")
    assert (second.version, second.aliases) == ("2", ())
    registry.set_champion("outside", "2")
    assert registry.champion("outside").version == "2"
    assert record("imported-2").aliases == ("champion",)


def test_the_same_import_again_is_the_same_version(
    registry: Registry, record: Callable[..., ModelVersion]
) -> None:
    first = record()
    again = record()
    assert (again.version, again.run_id) == (first.version, first.run_id)
    assert len(registry.versions("outside")) == 1


def test_recalls_make_the_same_file_champion(registry: Registry, record: Callable[..., ModelVersion]) -> None:
    assert record().is_unscored_import
    scored = record("imported-2", val__recall_at_1=41.5)
    assert not scored.is_unscored_import
    assert scored.aliases == ("champion",)
    assert record("imported-3", val__recall_at_1=50.0).aliases == ()
    assert record("imported-1").aliases == ()


def test_a_searchs_name_is_refused(registry: Registry, record: Callable[..., ModelVersion]) -> None:
    registry.open_search("grl", params={"a": 1}, config_text="name: grl\n")
    with pytest.raises(RegistryError, match=r"'grl' is the name of a search in this store; .*--name"):
        check_import_name(registry, "grl")
    with pytest.raises(RegistryError, match="'grl' is the name of a search"):
        record(name="grl")
    record()
    check_import_name(registry, "outside")


def test_a_search_cannot_take_the_name_of_imports(
    registry: Registry, record: Callable[..., ModelVersion]
) -> None:
    record()
    (before,) = registry.searches()
    refused = r"'outside' is the name of imported networks in this store: take another .*--set name=NAME"
    with pytest.raises(RegistryError, match=refused):
        registry.open_search("outside", params={"a": 1}, config_text="name: outside\n", tags={"o": "1"})
    assert registry.searches() == [before]
    assert record("imported-2").version == "2"


@pytest.mark.parametrize("tag", [TRANSLATORS_TAG, RERANKERS_TAG])
def test_a_search_cannot_take_the_name_of_other_networks(registry: Registry, tag: str) -> None:
    registry.open_search("other", params={}, config_text="", tags={tag: "true"})
    registry.open_search("other", params={}, config_text="", tags={tag: "true"})
    with pytest.raises(RegistryError, match="'other' is the name of"):
        registry.open_search("other", params={}, config_text="")
