"""A resumed search starts from the weights that it began with, wherever the alias points now."""

import pytest

from tests.cli.test_import import space_file
from vgsearch.cli.load import load_space
from vgsearch.config.weight_files import RecordedWeights
from vgsearch.errors import ConfigError, SearchError
from vgsearch.models.checkpoint import read_spec
from vgsearch.search import driver
from vgsearch.search.opening import open_study

CHAMPION = "models:/vgsearch-pot@champion"


def test_a_resumed_search_keeps_its_weights_when_the_alias_moves(
    vgsearch, own_searched_store, tmp_path, monkeypatch
):
    registry, home = own_searched_store.registry, own_searched_store.home
    champion = registry.champion("pot")
    file = space_file(
        own_searched_store,
        tmp_path / "space.yaml",
        backbone=read_spec(registry.download(CHAMPION)).trial.backbone,
        weights=CHAMPION,
    )
    document = load_space(file, None, tmp_path, home=home)
    assert set(document.recorded_weights) == {CHAMPION}
    settings = {"deterministic": False, "warm_start": None, "trials_in_file": None, "say": print}
    open_study(document, document.resolved_data(tmp_path), home, resume=False, **settings).close()
    other = next(v for v in registry.versions("pot") if v.version not in (champion.version, "5"))
    registry.set_champion("pot", other.version)
    begun = []

    def run_search(document, *arguments, **more):
        begun.append(document)
        raise SearchError("it would begin here")

    monkeypatch.setattr(driver, "run_search", run_search)
    for more in (["--resume"], ["--set", "name=fresh"]):
        run = vgsearch("tune", file, *more, "--home", home, "--data-root", tmp_path)
        assert "it would begin here" in run.err
    resumed, fresh = (each.recorded_weights[CHAMPION].file.parent for each in begun)
    assert resumed == registry.download(champion.reference)
    assert fresh == registry.download(other.reference)

    kept = document.recorded_weights
    offline = load_space(file, None, tmp_path, home=tmp_path / "no store", kept=kept)
    assert offline.recorded_weights == kept
    gone = {CHAMPION: RecordedWeights(tmp_path / "gone.safetensors")}
    with pytest.raises(ConfigError, match="has no MLflow store"):
        load_space(file, None, tmp_path, home=tmp_path / "no store", kept=gone)
