"""What a pot holds, in which order, and every reason for which models cannot be fused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ensembling.searched_store import SearchedStore, moved, record_trial
from vgsearch.config.combination import CombinationEvalConfig
from vgsearch.config.ensemble import EnsembleFile
from vgsearch.config.search import EvalConfig
from vgsearch.ensembling.candidates import gather_candidates
from vgsearch.ensembling.ensemble_pot import find_recorded, gather_pot
from vgsearch.errors import ConfigError, RegistryError, VgsearchError
from vgsearch.models.checkpoint import load_network
from vgsearch.models.network import build_network


def refusal(error: type[VgsearchError], store: SearchedStore, file: EnsembleFile, **options: bool) -> str:
    with pytest.raises(error) as caught:
        gather_pot(store.registry, file, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_latest_search_best_first(searched_store: SearchedStore) -> None:
    pot = gather_pot(searched_store.registry, EnsembleFile())
    percents = [pot.criterion.percent(each.results) for each in pot.candidates]
    assert len(percents) == 5
    assert percents == sorted(percents, reverse=True)
    assert str(pot.criterion) == "val/recall_at_1"
    assert pot.num_left_out == 0


def test_a_large_pot_is_cut(searched_store: SearchedStore) -> None:
    whole = gather_pot(searched_store.registry, EnsembleFile())
    pot = gather_pot(searched_store.registry, EnsembleFile(pot_size=2))
    assert [each.reference for each in pot.candidates] == [each.reference for each in whole.candidates[:2]]
    assert pot.num_left_out == 3


def test_named_members_alone_or_beside_a_search(searched_store: SearchedStore) -> None:
    registry, _, search = searched_store
    champion = f"models:/vgsearch-{search}@champion"
    pot = gather_pot(registry, EnsembleFile(members=[champion, f"models:/vgsearch-{search}/5"]))
    assert len(pot.candidates) == 2
    assert len(gather_pot(registry, EnsembleFile(members=[champion], searches=[search])).candidates) == 5
    version = find_recorded(registry, champion)
    assert find_recorded(registry, f"runs:/{version.run_id}") == version


def test_weights_keep_the_files_order(searched_store: SearchedStore) -> None:
    registry, _, search = searched_store
    references = [f"models:/vgsearch-{search}/{number}" for number in (4, 2)]
    pot = gather_pot(registry, EnsembleFile(members=references, weights=[1, 2]))
    assert [each.reference for each in pot.candidates] == references


def test_names_that_mean_nothing(searched_store: SearchedStore, tmp_path: Path) -> None:
    search = searched_store.search
    text = refusal(RegistryError, searched_store, EnsembleFile(members=["models:/vgsearch-pott/1"]))
    assert f"nearest: vgsearch-{search}" in text
    text = refusal(RegistryError, searched_store, EnsembleFile(members=[str(tmp_path)]))
    assert "members are recorded models" in text
    both = [f"models:/vgsearch-{search}@champion"]
    version = find_recorded(searched_store.registry, both[0])
    text = refusal(ConfigError, searched_store, EnsembleFile(members=[*both, version.reference]))
    assert "are the same version; name it once" in text


def test_a_test_split_is_refused_unless_allowed(searched_store: SearchedStore) -> None:
    file = EnsembleFile(criterion="test/day/recall_at_1")
    assert "--allow-test-selection" in refusal(ConfigError, searched_store, file)
    assert gather_pot(searched_store.registry, file, allow_test_selection=True).criterion.is_test


def test_mean_refuses_other_lengths_and_similarity_takes_them(
    own_searched_store: SearchedStore, tmp_path: Path
) -> None:
    registry, _, search = own_searched_store
    spec = gather_candidates(registry, [search])[-1].spec
    trial = spec.trial.model_copy(update={"descriptor_dim": 8})
    other = spec.model_copy(update={"uid": "pot-short", "trial": trial})
    record_trial(registry, other, build_network(trial), tmp_path / "short")
    text = refusal(ConfigError, own_searched_store, EnsembleFile(fusion="mean"))
    assert "mean needs descriptors of one length" in text
    assert " has 8" in text
    assert len(gather_pot(registry, EnsembleFile(fusion="similarity")).candidates) == 6


def test_other_sizes_of_images_are_refused_unless_the_file_says_which(
    own_searched_store: SearchedStore, tmp_path: Path
) -> None:
    registry, _, search = own_searched_store
    first = gather_candidates(registry, [search])[0]
    other = first.spec.model_copy(update={"uid": "pot-small", "eval": EvalConfig(resize_px=48)})
    record_trial(registry, other, moved(load_network(first.folder), 0.1, seed=5), tmp_path / "small")
    text = refusal(ConfigError, own_searched_store, EnsembleFile())
    assert "eval.resize_px null" in text
    assert "has 48" in text
    assert "write eval: {resize_px: ...} into the ensemble's file" in text
    file = EnsembleFile(eval=CombinationEvalConfig(batch_size=4))
    assert "eval.resize_px" in refusal(ConfigError, own_searched_store, file)
    for resize_px in (None, 48):
        file = EnsembleFile(eval=CombinationEvalConfig(resize_px=resize_px))
        pot = gather_pot(registry, file)
        assert pot.eval_config.resize_px == resize_px
        assert len(pot.candidates) == 6


def test_a_query_method_of_the_file(searched_store: SearchedStore) -> None:
    file = EnsembleFile(eval=CombinationEvalConfig(query_method="central_crop"))
    pot = gather_pot(searched_store.registry, file)
    assert pot.eval_config.query_method == "central_crop"


def test_models_that_were_searched_with_several_descriptors_a_query(
    own_searched_store: SearchedStore, tmp_path: Path
) -> None:
    registry, _, search = own_searched_store
    first = gather_candidates(registry, [search])[0]
    nearest = EvalConfig(query_method="nearest_crop")
    other = first.spec.model_copy(update={"uid": "pot-nearest", "eval": nearest})
    record_trial(registry, other, moved(load_network(first.folder), 0.1, seed=5), tmp_path / "nearest")
    text = refusal(ConfigError, own_searched_store, EnsembleFile())
    assert "eval.query_method native" in text
    assert "has nearest_crop" in text
    member = next(v for v in registry.versions(search) if v.uid == "pot-nearest").reference
    text = refusal(ConfigError, own_searched_store, EnsembleFile(members=[member]))
    assert f"{member} was searched with eval.query_method: nearest_crop gives 5 descriptors" in text
