"""How a split was translated, from the record beside the photos to the name of a result and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vgsearch.data.index import index_folder
from vgsearch.data.styled_index import in_style
from vgsearch.translation.brightener import brightener_like
from vgsearch.translation.origin import RECORD_NAME
from vgsearch.translation.styled_folder import write_styled_folder
from vgsearch.translation.translated_folder import write_translated_folder
from vgsearch.translation.translated_name import TranslatedName

NAMES = st.builds(
    TranslatedName,
    st.sampled_from(["authors", "own", "brighten"]),
    st.sampled_from(["queries", "database"]),
    st.from_regex(r"[A-Za-z0-9_-]{0,20}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_-]{0,20}", fullmatch=True),
    st.one_of(st.none(), st.integers(1, 8192)),
    st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
)


@given(name=NAMES, plain=st.from_regex(r"[A-Za-z0-9._/-]{0,40}", fullmatch=True))
def test_what_is_written_is_read_back(name: TranslatedName, plain: str) -> None:
    assert TranslatedName.read(name.set_name(plain)) == (name, plain)
    assert TranslatedName.read(plain) == (None, plain)


def test_a_domain_of_any_letters_cannot_mislead() -> None:
    name = TranslatedName("authors", "queries", "late: evening", "day", 512, "0" * 8)
    found, plain = TranslatedName.read(name.set_name("x"))
    assert found is not None
    assert (found.source, plain) == ("late__evening", "x")


@pytest.fixture
def split(tmp_path: Path) -> Path:
    for part in ("database", "queries"):
        (tmp_path / "split" / part).mkdir(parents=True)
        for i in range(2):
            pixels = np.full((16, 16, 3), 60 * i + 40, np.uint8)
            name = f"@{500000 + i:010.2f}@{4000000:010.2f}@30@T@0@0@pano{i:04d}@@0@@@@@@.png"
            Image.fromarray(pixels).save(tmp_path / "split" / part / name)
    return tmp_path / "split"


def brightened(photos: Path, out: Path) -> Path:
    index = index_folder(photos)
    write_translated_folder(index, out, brightener_like(index), batch_size=1, threads=1)
    return out


def with_record(folder: Path, **changes: object) -> None:
    """Change the record beside the photos."""
    path = folder / RECORD_NAME
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def test_photos_as_they_are_have_no_name(split: Path) -> None:
    assert TranslatedName.of_folders(split / "database", split / "queries") is None


def test_the_part_that_was_translated_is_named(split: Path, tmp_path: Path) -> None:
    for part in ("queries", "database"):
        folders = {name: split / name for name in ("database", "queries")}
        folders[part] = brightened(split / part, tmp_path / f"bright_{part}")
        name = TranslatedName.of_folders(**folders)
        assert name is not None
        assert (name.kind, name.part, name.source, name.px) == ("brighten", part, "", None)


def test_weights_and_domains_are_those_of_the_record(split: Path, tmp_path: Path) -> None:
    queries = brightened(split / "queries", tmp_path / "q")
    found = []
    files: list[dict[str, str]] = [
        {"150_net_G1.pth": "aa", "150_net_G2.pth": "bb"},
        {"150_net_G1.pth": "aa", "150_net_G2.pth": "cc"},
        {"translator.safetensors": "aa"},
    ]
    for sha256 in files:
        changes = {"method": "gan", "from": "night", "to": "day", "sha256": sha256, "shorter_side_px": 512}
        with_record(queries, **changes)
        name = TranslatedName.of_folders(split / "database", queries)
        assert name is not None
        assert (name.part, name.source, name.target, name.px) == ("queries", "night", "day", 512)
        found.append((name.kind, name.identity))
    assert [kind for kind, _ in found] == ["authors", "authors", "own"]
    assert len({identity for _, identity in found}) == 3


def test_what_is_more_or_other_than_one_translation_has_no_name(split: Path, tmp_path: Path) -> None:
    once = brightened(split / "queries", tmp_path / "once")
    twice = brightened(once, tmp_path / "twice")
    assert TranslatedName.of_folders(split / "database", twice) is None
    database = brightened(split / "database", tmp_path / "database")
    assert TranslatedName.of_folders(database, once) is None
    styles = in_style(index_folder(split / "queries"), index_folder(split / "database"), beta=0.1, seed=0)
    write_styled_folder(styles, tmp_path / "styled", threads=1)
    assert TranslatedName.of_folders(split / "database", tmp_path / "styled") is None
    for damage in ({"method": "gan"}, {"shorter_side_px": "wide"}, {"method": 3}):
        with_record(once, **damage)
        assert TranslatedName.of_folders(split / "database", once) is None
