from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ensembling.searched_store import SearchedStore
from vgsearch.ensembling.candidates import gather_candidates
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.recording import Ingredient, combination_uid, finish_combination, record_combination
from vgsearch.errors import CheckpointError, RegistryError, StorageError
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion
from vgsearch.training.val_scores import recall_metrics, stored_results

VAL = Criterion.parse("val/recall_at_1")
UID = "soup-0123456789ab"
TEST = Criterion.parse("test/day/recall_at_1")
SETTINGS = {"method": "greedy", "top_k": None, "nested": {"tolerance": 0.5}}
WRITES = (
    "create_run",
    "update_run",
    "log_batch",
    "set_tag",
    "set_terminated",
    "log_artifact",
    "log_artifacts",
    "log_text",
    "create_model_version",
    "set_model_version_tag",
    "set_registered_model_alias",
)


class Cut(BaseException):
    """A kill between two writes."""


@pytest.fixture
def folder(searched_store: SearchedStore, tmp_path: Path) -> Path:
    """A checkpoint that stands for a soup: files of the second trial."""
    second = gather_candidates(searched_store.registry, [searched_store.search])[1]
    return Path(shutil.copytree(second.folder, tmp_path / "soup"))


def ingredients(registry: Registry, search: str) -> list[Ingredient]:
    return [Ingredient(version, 0.5) for version in registry.versions(search)[:2]]


def record(
    store: SearchedStore, folder: Path, uid: str = "soup-0123456789ab", **changes: object
) -> ModelVersion:
    registry, _, search = store
    arguments: dict[str, object] = {
        "kind": "soup",
        "search": search,
        "uid": uid,
        "folder": folder,
        "ingredients": ingredients(registry, search),
        "params": SETTINGS,
        "spec_text": "method: greedy\n",
        "alias": "soup",
        "tags": {"vgsearch.method": "greedy"},
        "criterion": VAL,
        **changes,
    }
    return record_combination(registry, **arguments)  # type: ignore[arg-type]


def run_of(store: SearchedStore, version: ModelVersion):  # type: ignore[no-untyped-def]
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{store.home}/mlflow.db").get_run(version.run_id)


def test_a_soup_is_recorded_with_its_lineage(own_searched_store: SearchedStore, folder: Path) -> None:
    registry, _, search = own_searched_store
    before = registry.versions(search)
    version = record(own_searched_store, folder)
    assert (version.version, version.kind, version.aliases) == ("6", "soup", ("soup",))
    assert not version.selected_on_test
    # Recalls stand where those of trials stand, as tags of the version and as metrics of the run.
    recalls = recall_metrics(stored_results(folder))
    for name, value in recalls.items():
        assert float(version.tags[f"vgsearch.{name.replace('/', '.')}"]) == pytest.approx(value, abs=1e-4)
    assert version.tags["vgsearch.method"] == "greedy"
    assert version.tags["vgsearch.num_ingredients"] == "2"
    assert version.tags["vgsearch.selected_on"] == "val/recall_at_1"
    run = run_of(own_searched_store, version)
    assert run.data.metrics == pytest.approx(recalls)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"method": "greedy", "top_k": "null", "nested.tolerance": "0.5"}
    kept = registry.download(f"models:/vgsearch-{search}@soup")
    assert json.loads((kept / "lineage.json").read_text()) == {
        "kind": "soup",
        "ingredients": [
            {
                "reference": f"models:/vgsearch-{search}/{each.version}",
                "uid": each.uid,
                "epoch": 1,
                "weights_sha256": each.weights_sha256,
                "coefficient": 0.5,
            }
            for each in before[:2]
        ],
        "settings": SETTINGS,
        "selected_on": "val/recall_at_1",
        "selected_on_test": False,
    }
    # The search itself is as it was.
    assert registry.champion(search) == next(each for each in before if "champion" in each.aliases)
    assert len(registry.trials(search, metric_prefix="@")) == 5
    trials = [candidate.version for candidate in gather_candidates(registry, [search])]
    assert trials == before
    soups = gather_candidates(registry, [search], kinds=("soup",))
    assert [candidate.version for candidate in soups] == [version]


def test_the_same_command_again_is_the_same_version(own_searched_store: SearchedStore, folder: Path) -> None:
    first = record(own_searched_store, folder)
    assert record(own_searched_store, folder) == first
    other = record(own_searched_store, folder, "soup-ba9876543210", alias=None)
    assert (other.version, other.aliases) == ("7", ())
    assert other.run_id != first.run_id
    # The alias is on what was asked for last.
    assert record(own_searched_store, folder, "soup-ba9876543210").aliases == ("soup",)
    assert record(own_searched_store, folder).aliases == ("soup",)
    aliases = [each.aliases for each in own_searched_store.registry.versions("pot")][5:]
    assert aliases == [("soup",), ()]


def test_what_saw_a_test_is_known_for_ever(own_searched_store: SearchedStore, folder: Path) -> None:
    registry, _, search = own_searched_store
    spoilt = record(own_searched_store, folder, "soup-000000000001", criterion=TEST)
    assert spoilt.selected_on_test
    assert spoilt.tags["vgsearch.selected_on"] == "test/day/recall_at_1"
    # A soup of soups that is itself chosen on val, or not chosen at all, inherits it; at any depth.
    for number, criterion in ((2, VAL), (3, None)):
        parts = [
            Ingredient(registry.versions(search)[0], 0.5),
            Ingredient(registry.versions(search)[-1], 0.5),
        ]
        child = record(
            own_searched_store,
            folder,
            f"soup-00000000000{number}",
            criterion=criterion,
            ingredients=parts,
            # A caller cannot take it back.
            tags={"vgsearch.selected_on_test": "false"},
        )
        assert child.selected_on_test
        assert run_of(own_searched_store, child).data.tags["vgsearch.selected_on_test"] == "true"
        kept = json.loads((registry.download(child.reference) / "lineage.json").read_text())
        assert kept["selected_on_test"] is True
        assert kept["selected_on"] == (None if criterion is None else "val/recall_at_1")
    clean = record(own_searched_store, folder, "soup-000000000004")
    assert not clean.selected_on_test
    assert "vgsearch.selected_on_test" not in run_of(own_searched_store, clean).data.tags


def test_what_is_made_of_a_transductive_trial_is_transductive(
    own_searched_store: SearchedStore, folder: Path
) -> None:
    registry, _, search = own_searched_store
    clean, other = registry.versions(search)[:2]
    adapted = replace(other, tags={**other.tags, "vgsearch.transductive": "true"})
    child = record(
        own_searched_store,
        folder,
        "soup-000000000001",
        ingredients=[Ingredient(clean, 0.5), Ingredient(adapted, 0.5)],
        tags={"vgsearch.transductive": "false"},
    )
    assert child.transductive
    assert run_of(own_searched_store, child).data.tags["vgsearch.transductive"] == "true"
    assert not record(own_searched_store, folder, "soup-000000000002").transductive


def test_a_kill_anywhere_leaves_nothing_half_offered(
    own_searched_store: SearchedStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, _, search = own_searched_store
    cuts = 0
    for cut in range(40):
        uid = f"soup-{cut:012d}"
        try:
            with cut_after(cut, monkeypatch):
                record(own_searched_store, folder, uid)
        except Cut:
            cuts += 1
        else:
            break
        # Whatever `versions` and the alias name can be opened, whole.
        found = [version for version in registry.versions(search) if version.uid == uid]
        for version in found:
            assert (registry.download(version.reference) / "metrics.json").is_file()
        # A command that finds its version has little left to do; any other begins again.
        if found:
            again = finish_combination(registry, found[0], "soup")
        else:
            again = record(own_searched_store, folder, uid)
        assert again.aliases == ("soup",)
        assert [each.uid for each in registry.versions(search)].count(uid) == 1
        run = run_of(own_searched_store, again)
        assert run.info.status == "FINISHED"
        assert run.data.metrics["val/recall_at_1"] > 0
    assert cuts > 8
    assert len(registry.trials(search, metric_prefix="@")) == 5


@contextmanager
def cut_after(num_writes: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let so many writes to MLflow through, then end as a kill would."""
    from mlflow import MlflowClient

    left = [num_writes]

    def wrapped(write: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object, **named: object) -> object:
            if left[0] == 0:
                raise Cut
            left[0] -= 1
            return write(*arguments, **named)

        return counted

    with monkeypatch.context() as patch:
        for name in WRITES:
            patch.setattr(MlflowClient, name, wrapped(getattr(MlflowClient, name)))
        yield


def test_what_cannot_be_recorded_is_refused(own_searched_store: SearchedStore, folder: Path) -> None:
    registry, _, search = own_searched_store
    before = registry.versions(search)
    with pytest.raises(ValueError, match="a combination has ingredients"):
        record(own_searched_store, folder, ingredients=[])
    nan = [replace(each, coefficient=float("nan")) for each in ingredients(registry, search)]
    with pytest.raises(ValueError, match="finite coefficients"):
        record(own_searched_store, folder, ingredients=nan)
    with pytest.raises(RegistryError, match="no search is named 'pit'; nearest: pot"):
        record(own_searched_store, folder, search="pit")
    for alias in ("champion", "latest", "a b"):
        with pytest.raises(RegistryError, match="alias"):
            record(own_searched_store, folder, alias=alias)
    (folder / "val.npz").unlink()
    with pytest.raises(ValueError, match="no per-query results"):
        record(own_searched_store, folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="has no model.safetensors"):
        record(own_searched_store, folder)
    assert registry.versions(search) == before
    with pytest.raises(RegistryError, match="has no trial 'soup-0123456789ab'"):
        registry.find_run(search, UID)


def test_a_folder_that_cannot_be_written_is_named(own_searched_store: SearchedStore, folder: Path) -> None:
    (folder / ".lineage.json.tmp").mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*lineage\.json"):
        record(own_searched_store, folder)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(content=st.dictionaries(st.text(), json_values, max_size=5), data=st.data())
def test_names_are_those_of_the_content(content: dict[str, object], data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(content.items()))))
    name = combination_uid("soup", content)
    assert combination_uid("soup", shuffled) == name
    assert combination_uid("ensemble", content).removeprefix("ensemble") == name.removeprefix("soup")
    kind, digits = name.split("-")
    assert (kind, len(digits), set(digits) <= set("0123456789abcdef")) == ("soup", 12, True)
    assert combination_uid("soup", {**content, "one more": 1}) != name


def test_what_has_no_one_text_is_no_name() -> None:
    with pytest.raises(ValueError, match="JSON"):
        combination_uid("soup", {"lr": float("nan")})
