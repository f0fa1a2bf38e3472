"""A styled folder has the names and coordinates of its original, and the styled pixels."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from tests.training.conftest import write_places
from vgsearch.data.csv_layout import CSV_NAME
from vgsearch.data.index import index_folder
from vgsearch.data.styled_index import StyledIndex, in_style
from vgsearch.errors import ImageError, StorageError
from vgsearch.translation import styled_folder
from vgsearch.translation.origin import original_of
from vgsearch.translation.styled_folder import write_styled_folder


@pytest.fixture
def styled(tmp_path: Path) -> StyledIndex:
    write_places(tmp_path / "day" / "part", range(2), places=range(3))
    write_places(tmp_path / "night", range(1), places=range(3), night=True)
    first = next((tmp_path / "day" / "part").glob("*.jpg"))
    Image.open(first).save(first.with_suffix(".png"))
    first.unlink()
    return in_style(index_folder(tmp_path / "day"), index_folder(tmp_path / "night"), beta=0.05, seed=0)


def test_names_coordinates_and_pixels(styled: StyledIndex, tmp_path: Path) -> None:
    written: list[int] = []
    write_styled_folder(styled, tmp_path / "out", threads=2, progress=written.append)
    assert sum(written) == 6
    index = index_folder(tmp_path / "out")
    assert index.paths == styled.paths
    np.testing.assert_array_equal(index.utm_east, styled.utm_east)
    for i, path in enumerate(index.paths):
        difference = (index.read(i).int() - styled.read(i).int()).abs()
        assert difference.float().mean() < (0.001 if path.endswith(".png") else 3)
    assert original_of(tmp_path / "out") == styled.root.resolve()
    assert index.read(0).float().mean() < 0.6 * index_folder(styled.root).read(0).float().mean()


def test_a_csv_goes_along(styled: StyledIndex, tmp_path: Path) -> None:
    lines = [f"{path},{500_000 + i},4000000" for i, path in enumerate(styled.paths)]
    (styled.root / CSV_NAME).write_text("\n".join(["path,utm_east,utm_north", *lines]))
    index = in_style(index_folder(styled.root), styled.styles, beta=0.05, seed=0)
    write_styled_folder(index, tmp_path / "out", threads=1)
    np.testing.assert_array_equal(index_folder(tmp_path / "out").utm_east, 500_000 + np.arange(6))


def test_all_or_nothing(styled: StyledIndex, tmp_path: Path) -> None:
    styled.absolute(3).write_bytes(b"no picture")
    with pytest.raises(ImageError, match="not an image"):
        write_styled_folder(styled, tmp_path / "out", threads=2)
    assert {path.name for path in tmp_path.iterdir()} == {"day", "night"}


@pytest.mark.parametrize("error", [ImageError, KeyboardInterrupt])
def test_an_error_ends_it_at_once(
    styled: StyledIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    many = styled.subset(np.zeros(1000, np.int64))
    begun = []

    def save(path: Path, photo: Tensor) -> None:
        begun.append(path)
        time.sleep(0.005)
        raise error("the first one fails")

    monkeypatch.setattr(styled_folder, "save_photo", save)
    with pytest.raises(error, match="the first one fails"):
        write_styled_folder(many, tmp_path / "out", threads=1)  # type: ignore[arg-type]
    assert len(begun) < 100
    assert {path.name for path in tmp_path.iterdir()} == {"day", "night"}


def test_where_it_must_not_go(styled: StyledIndex, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="must be new"):
        write_styled_folder(styled, tmp_path / "night", threads=1)
    for folder in ("day", "night"):
        with pytest.raises(StorageError, match="outside it"):
            write_styled_folder(styled, tmp_path / folder / "out", threads=1)
