"""A study keeps which files the references to recorded models were."""

from dataclasses import replace

from vgsearch.config.weight_files import RecordedWeights
from vgsearch.search.kept_weights import kept_weights
from vgsearch.search.opening import open_study


def test_a_study_keeps_what_its_references_were(load, tmp_path):
    document, data = load()
    weights = {
        "models:/vgsearch-a@champion": RecordedWeights(
            tmp_path / "a.safetensors", {"vgsearch.transductive": "true"}
        ),
        "runs:/b": RecordedWeights(tmp_path / "b.safetensors"),
    }
    assert kept_weights(tmp_path, document.name) == {}
    settings = {"deterministic": False, "warm_start": None, "trials_in_file": None, "say": print}
    begun = replace(document, recorded_weights=weights)
    open_study(begun, data, tmp_path, resume=False, **settings).close()
    assert kept_weights(tmp_path, document.name) == weights
    open_study(document, data, tmp_path, resume=True, **settings).close()
    assert kept_weights(tmp_path, document.name) == weights
