"""Ensemble files: what is refused, and that every file we ship is valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from vgsearch.config.ensemble import load_ensemble
from vgsearch.config.soup import load_soup
from vgsearch.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "ensembles"


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "e.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_ensemble(path)
    (problem,) = caught.value.problems
    return problem.removeprefix(f"{path}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fusion: median", ":1: fusion: must be one of mean, concat, similarity, got 'median'"),
        (
            "selection: {name: gready}",
            ":1: selection.name: must be one of all, top_k, greedy, simplex, got 'gready'",
        ),
        ("selection: {name: greedy, size: 0}", ":1: selection.size: must be at least 1, got 0"),
        ("selection: {name: greedy, size: 1000}", ":1: selection.size: must be at most 64"),
        ("selection: {name: simplex}", ":1: selection: simplex fits the weights of fusion: similarity"),
        (
            "fusion: concat\nselection: {name: greedy, bags: 3}",
            ":2: selection.bags: bags add up to unequal weights",
        ),
        ("weights: [1, 2]", ":1: weights: must be one for each of members, got 0 members and 2 weights"),
        ("members: [a, b]\nweights: [1]", ":2: weights: must be one for each of members"),
        ("members: [a]\nsearches: [s]\nweights: [1]", ":3: weights: belong to named members"),
        ("members: [a]\nfusion: concat\nweights: [1]", ":3: weights: concat takes equal weights"),
        ("members: [a]\nweights: [0]", ":2: weights.0: must be at least 1e-06, got 0"),
        ("members: [a]\nweights: [.nan]", ":2: weights.0: must be"),
        ("members: [a]\nweights: [.inf]", ":2: weights.0: must be a finite number"),
        ("members: [a, b]\nweights: [1.0e+308, 1]", ":2: weights.0: must be at most 1000000"),
        ("eval: {query_method: centre_crop}", ":1: eval.query_method: must be one of native, single_query"),
    ],
)
def test_refusals(text: str, said: str, tmp_path: Path) -> None:
    assert refused(tmp_path, text).startswith(said)


@pytest.mark.parametrize("name", ["descriptor_mean", "greedy_similarity"])
def test_shipped_ensembles_are_valid_and_select_on_val(name: str) -> None:
    settings = load_ensemble(SHIPPED / f"{name}.yaml").settings
    assert settings.selection.name == "greedy"
    assert settings.fusion == name.removeprefix("descriptor_").removeprefix("greedy_")
    assert not settings.criterion.startswith("test")
    assert settings.searches == []


def test_the_papers_table_16_has_its_eight_criteria_six_of_them_tests() -> None:
    settings = load_soup(SHIPPED / "paper_table16.yaml").settings
    assert len(settings.criteria) == 8
    assert sum(criterion.startswith("test/") for criterion in settings.criteria) == 6
    assert settings.eval is not None
    assert settings.eval.query_method == "central_crop"


def test_no_shipped_file_names_a_place_of_its_writers() -> None:
    for path in SHIPPED.glob("*.yaml"):
        text = path.read_text()
        assert text.startswith("#")
        assert "/work" not in text
        assert "/tmp" not in text
