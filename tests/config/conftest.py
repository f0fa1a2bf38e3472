from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from vgsearch.config.document import SearchDocument, load_document
from vgsearch.errors import ConfigError

Load = Callable[..., SearchDocument]
Problems = Callable[..., list[str]]

HEAD = "name: probe\ndata: {train: train, val: val}\n"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a search file and load it; a text without `name:` gets two lines in front of its own."""

    def load(text: str, *overrides: str, **options: object) -> SearchDocument:
        file = tmp_path / "space.yaml"
        file.write_text(text if re.search("(?m)^name:", text) else HEAD + text, encoding="utf-8")
        return load_document(file, overrides, **options)

    return load


@pytest.fixture
def problems(load: Load, tmp_path: Path) -> Problems:
    """What loading complains of, file name and line first, without the temporary folder."""

    def problems(text: str, *overrides: str, **options: object) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, *overrides, **options)
        assert str(caught.value) == "\n".join(caught.value.problems)
        assert all("\n" not in problem for problem in caught.value.problems)
        return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return problems
