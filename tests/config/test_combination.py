"""Files that say how to combine models: every problem in one message, with line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from vgsearch.config.combination import CombinationEvalConfig, load_combination
from vgsearch.config.problems import Problem
from vgsearch.config.search import EvalConfig
from vgsearch.config.strict import Strict
from vgsearch.config.tree import Node, find
from vgsearch.errors import ConfigError


class Inner(Strict):
    size: int = Field(3, ge=1)


class File(Strict):
    names: list[str] = []
    inner: Inner = Inner()
    eval: CombinationEvalConfig | None = None


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    return path


def test_all_problems_come_at_once_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "names: [a, 1]\ninner:\n  siz: 2\neval: {resize_px: 4}\n")
    with pytest.raises(ConfigError) as caught:
        load_combination(path, File, ["inner.size=0"])
    assert caught.value.problems == [
        f"{path}:1: names.1: input should be a valid string, got 1",
        f"{path}:3: inner.siz: unknown key; nearest: size",
        f"{path}:4: eval.resize_px: must be at least 16, got 4",
        "--set inner.size: must be at least 1, got 0",
    ]


def test_nothing_is_searched_here(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":1: inner.size: takes one value here, not a range or a choice"):
        load_combination(write(tmp_path, "inner: {size: !int [1, 3]}"), File)


@pytest.mark.parametrize("text", ["[1, 2]", "word", "!choice [1, 2]"])
def test_it_must_be_a_mapping(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a mapping with keys of names, inner, eval"):
        load_combination(write(tmp_path, text), File)


def test_true_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="inner.size: must be a whole number, got true"):
        load_combination(write(tmp_path, "inner: {size: true}"), File)


def test_without_a_file_the_defaults_and_overrides_count(tmp_path: Path) -> None:
    document = load_combination(None, File, ["inner.size=7"])
    assert document.settings == File(inner=Inner(size=7))
    assert (document.text, document.source) == ("", None)
    empty = load_combination(write(tmp_path, "# nothing\n"), File)
    assert empty.settings == File()


def test_rules_that_span_keys_come_after_the_keys_are_right(tmp_path: Path) -> None:
    def check(root: Node, file: File) -> list[Problem]:
        keys = ("names",)
        return (
            [Problem(find(root, keys).place, keys, "too many")] if len(file.names) > file.inner.size else []
        )

    path = write(tmp_path, "inner: {size: 1}\nnames: [a, b]\n")
    with pytest.raises(ConfigError, match=r":2: names: too many"):
        load_combination(path, File, checks=[check])
    assert load_combination(path, File, ["names=[a]"], checks=[check]).settings.names == ["a"]


def test_only_what_the_file_says_replaces_the_searchs_own_scoring() -> None:
    base = EvalConfig(resize_px=480, batch_size=8)
    assert CombinationEvalConfig().over(base) == base
    assert CombinationEvalConfig(resize_px=None).over(base) == EvalConfig(resize_px=None, batch_size=8)
    assert CombinationEvalConfig(batch_size=2).over(base) == EvalConfig(resize_px=480, batch_size=2)


def test_a_query_method_that_cannot_be_run_is_valid_but_refused_in_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        CombinationEvalConfig(query_method="central_crop").over(EvalConfig())
    assert "queries are scored native only" in str(caught.value)
    assert "\n" not in str(caught.value)
