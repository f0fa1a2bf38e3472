"""Files that say how to combine models: every problem in one message, with line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from vgsearch.config.combination import CombinationEvalConfig, load_combination
from vgsearch.config.problems import Problem
from vgsearch.config.query_method import MULTI_ROW, ONE_ROW, QueryMethod, require_one_row
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


class Combined(Strict):
    eval: CombinationEvalConfig | None = None


@pytest.mark.parametrize("method", ONE_ROW)
def test_methods_with_one_descriptor_a_query_can_be_combined(method: str, tmp_path: Path) -> None:
    document = load_combination(write(tmp_path, f"eval: {{query_method: {method}}}\n"), Combined)
    assert document.settings.eval is not None
    assert document.settings.eval.over(EvalConfig(resize_px=32)).query_method == method
    require_one_row(document.settings.eval.query_method, "models:/a/1")


@pytest.mark.parametrize("method", MULTI_ROW)
def test_methods_with_several_are_refused_in_one_line(method: QueryMethod, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_combination(write(tmp_path, f"eval:\n  query_method: {method}\n"), Combined)
    text = str(caught.value)
    assert f":2: eval.query_method: {method} gives 5 descriptors a query" in text
    assert "use native, single_query, central_crop or five_crops" in text
    assert "\n" not in text
    with pytest.raises(ConfigError, match=f"models:/a/1 was searched with eval.query_method: {method}"):
        require_one_row(method, "models:/a/1")


def test_one_side_of_a_crop_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"eval: crop_width_px is set \(64\) and crop_height_px is not"):
        load_combination(write(tmp_path, "eval: {crop_width_px: 64}\n"), Combined)


def test_unset_crops_leave_no_trace_in_what_is_written() -> None:
    """Keys of stored descriptors and of recorded models are hashes of such texts."""
    assert EvalConfig().model_dump() == {"resize_px": None, "query_method": "native", "batch_size": 16}
    cropped = EvalConfig(query_method="central_crop", crop_height_px=48, crop_width_px=64)
    assert EvalConfig.model_validate(cropped.model_dump()) == cropped
    assert EvalConfig.model_validate_json(EvalConfig().model_dump_json()) == EvalConfig()
