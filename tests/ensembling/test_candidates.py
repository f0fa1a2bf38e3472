from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.ensembling.searched_store import SearchedStore, moved, record_trial
from vgsearch.ensembling.candidates import (
    Candidate,
    data_here,
    find_candidate,
    gather_candidates,
    latest_search,
    open_candidate,
    same_architecture,
    same_data,
)
from vgsearch.errors import CheckpointError, DataError, RegistryError
from vgsearch.models.architecture import architecture_hash, describe_architecture
from vgsearch.models.checkpoint import load_network
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.registry.records import ModelVersion
from vgsearch.retrieval.recall import RetrievalResult


def test_candidates_are_what_was_recorded(searched_store: SearchedStore) -> None:
    registry, home, search = searched_store
    candidates = gather_candidates(registry, [search, search])
    assert [candidate.reference for candidate in candidates] == [
        f"models:/vgsearch-{search}/{number}" for number in (1, 2, 3, 4, 5)
    ]
    for candidate in candidates:
        network = load_network(candidate.folder)
        assert candidate.architecture == architecture_hash(network, candidate.spec.trial)
        assert candidate.architecture_in_words == describe_architecture(candidate.spec.trial)
        assert candidate.spec.uid == candidate.version.uid
        recorded = float(candidate.version.tags["vgsearch.val.recall_at_1"])
        assert candidate.results[""].at(1).percent == pytest.approx(recorded, abs=1e-4)
        # On this machine the recorded files themselves are opened.
        assert candidate.folder.is_relative_to(home / "artifacts")


def test_the_newest_version_of_a_trial_counts(own_searched_store: SearchedStore, tmp_path: Path) -> None:
    registry, _, search = own_searched_store
    before = gather_candidates(registry, [search])
    spec = before[1].spec
    network = moved(load_network(before[1].folder), 0.1, seed=9)
    newer = record_trial(registry, spec, network, tmp_path / "epoch_0002", epoch=2)
    after = gather_candidates(registry, [search])
    assert [candidate.version.version for candidate in after] == ["1", "3", "4", "5", "6"]
    assert after[-1].version == newer
    assert after[-1].version.uid == before[1].version.uid


def test_architectures_are_parted(searched_store: SearchedStore) -> None:
    registry, _, search = searched_store
    candidates = gather_candidates(registry, [search])
    champion = registry.champion(search)
    kept, others = same_architecture(candidates, champion)
    assert [candidate.version.version for candidate in kept] == ["1", "2", "3", "4"]
    assert [candidate.version.version for candidate in others] == ["5"]
    assert same_architecture(candidates, find_candidate(candidates, champion)) == (kept, others)
    assert same_architecture(candidates, candidates[-1]) == (others, kept)
    with pytest.raises(RegistryError, match="is not among what is to be combined: models:/vgsearch-pot/5"):
        same_architecture(others, champion)


def test_data_are_the_same_wherever_the_folders_lie(searched_store: SearchedStore, tmp_path: Path) -> None:
    registry, _, search = searched_store
    candidates = gather_candidates(registry, [search])
    data = candidates[0].spec.data
    elsewhere = data.model_copy(update={"train": "/mnt/b/train", "val": str(tmp_path / "nowhere")})
    moved_spec = candidates[0].spec.model_copy(update={"data": elsewhere})
    candidates[0] = replace(candidates[0], spec=moved_spec)
    same_data(candidates)
    same_data([])
    assert data_here(candidates) == data
    with pytest.raises(DataError, match=r"not on this machine \(.*nowhere\)"):
        data_here(candidates[:1])


def test_other_data_are_refused(searched_store: SearchedStore) -> None:
    registry, _, search = searched_store
    candidates = gather_candidates(registry, [search])
    result = candidates[2].results[""]

    def with_results(**results: RetrievalResult) -> list[Candidate]:
        return [*candidates[:2], replace(candidates[2], results=results)]

    other = with_results(**{"": replace(result, stamp="0" * 16 + "-10m-native-fullsize")})
    with pytest.raises(DataError, match=r"on val models:/vgsearch-pot/1 has the stamp \w{16}-25m.*-10m-"):
        same_data(other)
    split = with_results(day=result, night=result)
    with pytest.raises(DataError, match="vgsearch-pot/1 has val and models:/vgsearch-pot/3 has day, night"):
        same_data(split)
    for case in (other, split):
        with pytest.raises(DataError) as caught:
            same_data(case)
        assert "\n" not in str(caught.value)


def test_the_latest_search_is_one_that_can_be_combined(searched_store: SearchedStore) -> None:
    trial = gather_candidates(searched_store.registry, [searched_store.search])[0]
    registry = MemoryRegistry()
    with pytest.raises(RegistryError, match="no search with a recorded checkpoint yet: run `vgsearch tune`"):
        latest_search(registry)

    def record(search: str, *, tuned: bool, trained: bool = True, kind: str = "trial") -> None:
        tags = {"vgsearch.objective": "val/recall_at_1"} if tuned else {}
        registry.open_search(search, params={}, config_text="", tags=tags)
        if kind == "trial":
            run = registry.open_trial(search, "t", label="", params={}, spec_text="")
        else:
            run = registry.open_combination(search, "t", kind="soup", label="", params={}, spec_text="")
        if trained:
            registry.record_checkpoint(run, trial.folder, search=search, uid="t", epoch=1)

    for search, expected, facts in (
        ("a_train", "a_train", {"tuned": False}),
        ("first", "first", {"tuned": True}),
        ("second", "second", {"tuned": True}),
        ("just_begun", "second", {"tuned": True, "trained": False}),
        ("b_train", "second", {"tuned": False}),
        ("only_a_soup", "second", {"tuned": True, "kind": "soup"}),
    ):
        record(search, **facts)  # type: ignore[arg-type]
        assert latest_search(registry) == expected


def test_kinds_are_asked_for(searched_store: SearchedStore) -> None:
    trial = gather_candidates(searched_store.registry, [searched_store.search])[0]
    registry = MemoryRegistry()
    registry.open_search("s", params={}, config_text="")
    with pytest.raises(RegistryError, match="no trial or imported network is recorded in s"):
        gather_candidates(registry, ["s"])
    run = registry.open_combination("s", "soup-1", kind="soup", label="", params={}, spec_text="")
    registry.record_checkpoint(run, trial.folder, search="s", uid="soup-1", epoch=1)
    with pytest.raises(RegistryError, match="no trial or imported network is recorded in s"):
        gather_candidates(registry, ["s"])
    (soup,) = gather_candidates(registry, ["s"], kinds=("trial", "soup"))
    assert soup.version.kind == "soup"
    with pytest.raises(RegistryError, match="no search is named 'z'"):
        gather_candidates(registry, ["s", "z"], kinds=("soup",))


def _copied(candidate: Candidate, tmp_path: Path) -> tuple[MemoryRegistry, Path]:
    folder = tmp_path / "copy"
    shutil.copytree(candidate.folder, folder)
    registry = MemoryRegistry()
    registry.open_search("s", params={}, config_text="")
    return registry, folder


def _record(registry: MemoryRegistry, folder: Path) -> ModelVersion:
    run = registry.open_trial("s", "t", label="", params={}, spec_text="")
    return registry.record_checkpoint(run, folder, search="s", uid="t", epoch=1)


def test_a_version_without_results_is_refused(searched_store: SearchedStore, tmp_path: Path) -> None:
    candidate = gather_candidates(searched_store.registry, [searched_store.search])[0]
    registry, folder = _copied(candidate, tmp_path)
    (folder / "val.npz").unlink()
    _record(registry, folder)
    with pytest.raises(CheckpointError, match="models:/vgsearch-s/1 holds no per-query results of val"):
        gather_candidates(registry, ["s"])


def test_damaged_weights_are_refused(searched_store: SearchedStore, tmp_path: Path) -> None:
    candidate = gather_candidates(searched_store.registry, [searched_store.search])[0]
    registry, folder = _copied(candidate, tmp_path)
    version = _record(registry, folder)
    kept = registry.download(version.reference) / "model.safetensors"
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="is not the file that was recorded"):
        gather_candidates(registry, ["s"])
    (folder / "model.safetensors").write_bytes(b"no tensors")
    registry, _ = _copied(candidate, tmp_path / "again")
    version = _record(registry, folder)
    with pytest.raises(CheckpointError, match="is damaged"):
        open_candidate(registry, version)


def test_weights_that_do_not_say_their_architecture(searched_store: SearchedStore, tmp_path: Path) -> None:
    """A file written by another tool has no such metadata; the network itself is asked."""
    candidate = gather_candidates(searched_store.registry, [searched_store.search])[0]
    registry, folder = _copied(candidate, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors, folder / "model.safetensors")
    opened = open_candidate(registry, _record(registry, folder))
    assert opened.architecture == candidate.architecture
    assert opened.architecture_in_words == candidate.architecture_in_words
    assert np.array_equal(opened.results[""].first_hit_rank, candidate.results[""].first_hit_rank)
