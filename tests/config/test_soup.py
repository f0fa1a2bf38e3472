"""Soup files: defaults, what is shipped, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vgsearch.config.soup import SoupFile, load_soup
from vgsearch.errors import ConfigError

ENSEMBLES = Path(__file__).parent.parent.parent / "ensembles"


@pytest.fixture
def problems(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(text, *overrides, **checks):
        Path("soup.yaml").write_text(text)
        with pytest.raises(ConfigError) as caught:
            load_soup(Path("soup.yaml"), overrides, **checks)
        return caught.value.problems

    return load


def test_the_shipped_greedy_soup_writes_the_defaults_out():
    document = load_soup(ENSEMBLES / "greedy_soup.yaml")
    assert document.settings == SoupFile()
    assert document.text.startswith("# A greedy soup")
    unwritten = {"criteria", "between", "alphas", "shares", "anchor", "eval"}
    assert set(SoupFile.model_fields) - document.settings.model_fields_set == unwritten


def test_the_shipped_uniform_soup():
    settings = load_soup(ENSEMBLES / "uniform_soup.yaml").settings
    assert settings.method == "uniform"
    assert settings.alias == "uniform_soup"


def test_no_file_takes_the_defaults_and_the_flags():
    document = load_soup(None, ['method="greedy_weighted"', "shares=[0.2]", 'searches=["a", "b"]', "top_k=3"])
    assert document.settings == SoupFile(method="greedy_weighted", shares=[0.2], searches=["a", "b"], top_k=3)
    assert document.text == ""


def test_on_and_off_are_words_and_no_truth_values(tmp_path):
    for word in ("on", "off", "auto"):
        assert load_soup(None, [f"recalibrate_bn={word}"]).settings.recalibrate_bn == word


def test_one_criterion_or_several():
    assert SoupFile().considered_criteria == []
    assert SoupFile(criterion="a").considered_criteria == ["a"]
    assert SoupFile(criteria=["a", "b"]).considered_criteria == ["a", "b"]


def test_settings_can_be_written_and_read_again(tmp_path):
    settings = SoupFile(method="interpolate", between=["1", "2"], alphas=[0.5])
    path = tmp_path / "soup.yaml"
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True)))
    assert load_soup(path).settings == settings


def test_every_problem_has_its_line(problems):
    text = "metod: greedy\ntop_k: 0\nrecalibrate_bn: true\nimage_cache_gb: -1\nalphas: [2]\n"
    assert problems(text) == [
        "soup.yaml:1: metod: unknown key; nearest: method",
        "soup.yaml:2: top_k: must be at least 1, got 0",
        "soup.yaml:3: recalibrate_bn: must be one of auto, on, off, got true",
        "soup.yaml:4: image_cache_gb: must be at least 0, got -1",
        "soup.yaml:5: alphas.0: must be at most 1, got 2",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("method: gredy\n", "soup.yaml:1: method: must be one of greedy, uniform, interpolate, model_stock"),
        ("method: !choice [greedy, uniform]\n", "soup.yaml:1: method: takes one value here"),
        ("\nshares: [0.5]\n", "soup.yaml:2: shares: belongs to method: greedy_weighted, got method: greedy"),
        ("method: uniform\nanchor: x\n", "soup.yaml:2: anchor: belongs to method: model_stock"),
        (
            "method: interpolate\nbetween: [a]\n",
            "soup.yaml:2: between: must be two different versions, got 1",
        ),
        ("method: interpolate\nbetween: [a, a]\n", "soup.yaml:2: between: must be two different versions"),
        ("criterion: a\ncriteria: [b]\n", "soup.yaml:2: criteria: stands in place of criterion"),
        ("criteria: [b, b]\n", "soup.yaml:1: criteria: must not repeat a criterion"),
        ("method: greedy_weighted\nshares: [1]\n", "soup.yaml:2: shares.0: must be less than 1, got 1"),
        ("method: greedy_weighted\nshares: []\n", "soup.yaml:2: shares: "),
        ("- greedy\n", "soup.yaml: must be a mapping"),
    ],
)
def test_one_mistake_is_one_line(problems, text, line):
    (problem,) = problems(text)
    assert problem.startswith(line)


def test_a_criterion_is_checked_by_whom_it_concerns(problems):
    def check(text):
        return None if text == "good" else f"no recall is called {text}"

    text = "criteria:\n  - good\n  - bad\n"
    assert problems(text, check_criterion=check) == ["soup.yaml:3: criteria.1: no recall is called bad"]
    assert problems("", "criterion=worse", check_criterion=check) == [
        "--set criterion: no recall is called worse"
    ]
