"""Soups and ensembles in the registry: the contract, checked on both stores that are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vgsearch.errors import RegistryError
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.registry.protocol import Registry

if TYPE_CHECKING:
    from vgsearch.registry.mlflow_registry import MlflowRegistry
    from vgsearch.registry.records import CombinationKind


@pytest.fixture(params=["memory", "mlflow"])
def registry(request: pytest.FixtureRequest) -> Registry:
    """A store with a search of two trials, each with a version, the first one's champion."""
    store = MemoryRegistry() if request.param == "memory" else request.getfixturevalue("mlflow_registry")
    make: Callable[..., Path] = request.getfixturevalue("make_checkpoint")
    store.open_search("grl", params={}, config_text="")
    for uid in ("t0", "t1"):
        run = store.open_trial("grl", uid, label=uid, params={}, spec_text="")
        store.record_checkpoint(run, make(uid, 3, uid.encode()), search="grl", uid=uid, epoch=3)
        store.finish_trial(run, "complete")
    store.crown("grl", "t0")
    return store


def open_combination(registry: Registry, uid: str = "soup-1", kind: CombinationKind = "soup") -> str:
    return registry.open_combination(
        "grl", uid, kind=kind, label=f"a {kind}", params={"method": "greedy"}, spec_text="method: greedy\n"
    )


def record(
    registry: Registry,
    make_checkpoint: Callable[..., Path],
    uid: str = "soup-1",
    kind: CombinationKind = "soup",
    weights: bytes = b"mean",
    **tags: str,
) -> Any:
    folder = make_checkpoint(uid, 1, weights)
    (folder / "lineage.json").write_text("{}")
    if kind == "ensemble":
        (folder / "ensemble.yaml").write_text("fusion: mean\n")
    run = open_combination(registry, uid, kind)
    return registry.record_checkpoint(run, folder, search="grl", uid=uid, epoch=1, tags=tags)


def test_a_combination_is_one_run_and_no_trial(registry: Registry) -> None:
    run = open_combination(registry)
    registry.finish_trial(run, "complete")
    assert open_combination(registry) == run
    assert open_combination(registry, "soup-2") != run
    assert registry.find_run("grl", "soup-1") == run
    assert [trial.uid for trial in registry.trials("grl")] == ["t0", "t1"]
    assert len(registry.searches()) == 1


def test_a_combination_is_a_child_of_its_search(mlflow_registry: MlflowRegistry, home: Path) -> None:
    from mlflow import MlflowClient

    parent = mlflow_registry.open_search("grl", params={}, config_text="")
    run = open_combination(mlflow_registry)
    mlflow_registry.log_scores(run, {"val/recall_at_1": 67.9})
    mlflow_registry.finish_trial(run, "complete")
    client = MlflowClient(tracking_uri=mlflow_registry.uri)
    stored = client.get_run(run)
    assert stored.data.tags["mlflow.parentRunId"] == parent
    assert stored.data.tags["vgsearch.kind"] == "soup"
    assert stored.info.run_name == "a soup"
    assert stored.info.status == "FINISHED"
    assert stored.data.params == {"method": "greedy"}
    assert stored.data.metrics == {"val/recall_at_1": 67.9}
    kept = home / "artifacts" / "grl" / run / "artifacts" / "combination.yaml"
    assert kept.read_text() == "method: greedy\n"


def test_versions_know_what_they_are(registry: Registry, make_checkpoint: Callable[..., Path]) -> None:
    record(registry, make_checkpoint)
    record(registry, make_checkpoint, "ensemble-1", "ensemble", b"both")
    kinds = [(version.version, version.uid, version.kind) for version in registry.versions("grl")]
    assert kinds == [
        ("1", "t0", "trial"),
        ("2", "t1", "trial"),
        ("3", "soup-1", "soup"),
        ("4", "ensemble-1", "ensemble"),
    ]
    # The run says what it is, whatever the tags of the version claim.
    claimed = record(registry, make_checkpoint, "soup-2", weights=b"x", **{"vgsearch.kind": "trial"})
    assert claimed.kind == "soup"


def test_the_same_combination_is_one_version(
    registry: Registry, make_checkpoint: Callable[..., Path]
) -> None:
    first = record(registry, make_checkpoint)
    assert record(registry, make_checkpoint) == first
    other = record(registry, make_checkpoint, weights=b"another device's mean")
    assert other.run_id == first.run_id
    assert [version.version for version in registry.versions("grl")] == ["1", "2", "3", "4"]
    # `runs:/` means the newest of a combination's versions.
    folder = registry.download(f"runs:/{first.run_id}")
    assert (folder / "model.safetensors").read_bytes() == b"another device's mean"


def test_files_of_a_combination_are_kept(
    registry: Registry, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    soup = record(registry, make_checkpoint)
    ensemble = record(registry, make_checkpoint, "ensemble-1", "ensemble", b"both")
    common = {"lineage.json", "metrics.json", "model.safetensors", "trial.yaml", "val.npz"}
    assert {file.name for file in registry.download(soup.reference).iterdir()} == common
    copy = registry.download(ensemble.reference, into=tmp_path / "copy")
    assert {file.name for file in copy.iterdir()} == common | {"ensemble.yaml"}
    assert (copy / "ensemble.yaml").read_text() == "fusion: mean\n"


def test_aliases_move(registry: Registry, make_checkpoint: Callable[..., Path]) -> None:
    for uid in ("soup-1", "soup-2"):
        record(registry, make_checkpoint, uid, weights=uid.encode())
    for number in ("3", "4", "4"):
        registry.set_alias("grl", "soup", number)
        folder = registry.download("models:/vgsearch-grl@soup")
        assert (folder / "model.safetensors").read_text() == f"soup-{int(number) - 2}"
    registry.set_alias("grl", "a-second_one", "4")
    aliases = [version.aliases for version in registry.versions("grl")]
    assert aliases == [("champion",), (), (), ("a-second_one", "soup")]
    with pytest.raises(RegistryError, match="aliases: a-second_one -> 4, champion -> 1, soup -> 4"):
        registry.download("models:/vgsearch-grl@best")
    with pytest.raises(RegistryError, match="no version 9; recorded versions: 1, 2, 3, 4"):
        registry.set_alias("grl", "soup", "9")


@pytest.mark.parametrize(
    "alias", ["latest", "Latest", "v3", "V03", "7", "", "a b", "a@b", "a/b", "a.b", "x" * 129]
)
def test_names_that_no_alias_can_have_are_refused(registry: Registry, alias: str) -> None:
    with pytest.raises(RegistryError, match="an alias may hold only letters, digits, '_' and '-'"):
        registry.set_alias("grl", alias, "1")
    assert [version.aliases for version in registry.versions("grl")] == [("champion",), ()]


def test_only_a_trial_is_champion(registry: Registry, make_checkpoint: Callable[..., Path]) -> None:
    record(registry, make_checkpoint)
    with pytest.raises(RegistryError, match="belongs to a search's best trial"):
        registry.set_alias("grl", "champion", "3")
    with pytest.raises(RegistryError, match=r"models:/vgsearch-grl/3 is no trial \(soup\)"):
        registry.set_champion("grl", "3")
    with pytest.raises(RegistryError, match="no version of the best trial, soup-1"):
        registry.crown("grl", "soup-1")
    assert registry.champion("grl").uid == "t0"


def test_other_kinds_are_refused(registry: Registry) -> None:
    for kind in ("trial", "search", "stew"):
        with pytest.raises(RegistryError, match=f"a combination is one of soup, ensemble, but got '{kind}'"):
            open_combination(registry, kind=kind)  # type: ignore[arg-type]
    with pytest.raises(RegistryError, match="a combination's uid may hold only"):
        open_combination(registry, "a/b")
    with pytest.raises(RegistryError, match="no search is named 'gril'; nearest: grl"):
        registry.open_combination("gril", "s", kind="soup", label="", params={}, spec_text="")


def test_what_saw_a_test_says_so(registry: Registry, make_checkpoint: Callable[..., Path]) -> None:
    record(registry, make_checkpoint, **{"vgsearch.selected_on_test": "true"})
    assert [version.selected_on_test for version in registry.versions("grl")] == [False, False, True]
