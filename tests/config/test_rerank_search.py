"""The file of `vgsearch rerank`."""

from pathlib import Path

import pytest

from vgsearch.config.rerank_search import MOST_CANDIDATES, load_rerank_search
from vgsearch.errors import ConfigError
from vgsearch.retrieval.recall import DEPTH

FILES = Path(__file__).parents[2] / "rerankings"
HEAD = "name: choice\nmodel: models:/vgsearch-demo@champion\n"


def load(tmp_path, text, *overrides):
    path = tmp_path / "choice.yaml"
    path.write_text(HEAD + text)
    return load_rerank_search(path, overrides).settings


@pytest.mark.parametrize("path", sorted(FILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_load(path):
    assert load_rerank_search(path).settings.rerank.n == [5, 10, 15]


def test_no_more_candidates_than_a_search_keeps():
    assert MOST_CANDIDATES == DEPTH


def test_all_kept_networks_with_the_papers_n(tmp_path):
    space = load(tmp_path, "").rerank
    assert (space.networks, space.encoder, space.pooling, space.n) == ([], [], [], [5, 10, 15])


def test_set_changes_any_key(tmp_path):
    found = load(tmp_path, "rerank: {n: [5]}\n", "rerank.pooling=[netvlad]", "rerank.n=[3, 20]")
    assert (found.rerank.pooling, found.rerank.n) == (["netvlad"], [3, 20])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rerank: {n: [1]}", "rerank.n"),
        ("rerank: {n: [21]}", "rerank.n"),
        ("rerank: {n: []}", "rerank.n"),
        ("rerank: {n: [5, 5]}", "names 5 twice"),
        ("rerank: {networks: [a, b, a]}", "names a twice"),
        ("rerank: {pooling: [max]}", "rerank.pooling"),
        ("rerank: {encoders: [alexnet]}", "encoder"),
        ("precision: fp8", "precision"),
    ],
)
def test_what_cannot_be_is_named_with_its_line(tmp_path, text, said):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    assert said in str(error.value)
    assert "choice.yaml:3" in str(error.value)
