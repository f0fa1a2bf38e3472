"""A translated folder has the names, sizes and coordinates of its original."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from tests.training.conftest import write_places
from vgsearch.data.csv_layout import CSV_NAME
from vgsearch.data.index import ImageIndex, index_folder
from vgsearch.data.retrieval_set import load_retrieval_set
from vgsearch.data.split_parts import find_parts
from vgsearch.errors import DataError, ImageError, StorageError
from vgsearch.models.file_hash import file_sha256
from vgsearch.translation.photo_size import WorkingSize
from vgsearch.translation.translated_folder import write_translated_folder, write_translated_split


@dataclass
class Negative:
    """Photos in negative, with a note of the batches that came."""

    size: WorkingSize
    batches: list[tuple[int, ...]]

    @property
    def provenance(self):
        return {"method": "negative"}

    def translate(self, photos: Tensor) -> Tensor:
        self.batches.append(tuple(photos.shape))
        return 255 - photos


@pytest.fixture
def index(tmp_path: Path) -> ImageIndex:
    folder = tmp_path / "night"
    write_places(folder / "part", range(2), places=range(3))
    photos = sorted(folder.rglob("*.jpg"))
    Image.open(photos[0]).save(photos[0].with_suffix(".png"))
    photos[0].unlink()
    Image.open(photos[1]).resize((90, 40)).save(photos[1])
    return index_folder(folder)


def write(index: ImageIndex, out: Path, load_px: int | None = None, **options) -> Negative:
    method = Negative(WorkingSize(load_px), [])
    options = {"batch_size": 4, "threads": 2, **options}
    write_translated_folder(index, out, method, **options)
    return method


@pytest.mark.parametrize("load_px", [None, 32])
def test_names_sizes_coordinates_and_pixels(index, tmp_path, load_px):
    done: list[int] = []
    method = write(index, tmp_path / "out", load_px, progress=done.append)
    assert sum(done) == 6
    out = index_folder(tmp_path / "out")
    assert out.paths == index.paths
    np.testing.assert_array_equal(out.utm_east, index.utm_east)
    for i, path in enumerate(index.paths):
        negative = 255 - index.read(i).int()
        assert out.read(i).shape == negative.shape
        difference = (out.read(i).int() - negative).abs().float().mean()
        assert difference < (0.001 if path.endswith(".png") and load_px is None else 12)
    side = load_px or 64
    wide = (1, 3, 32, 72) if load_px else (1, 3, 40, 90)
    assert sorted(method.batches) == sorted([(4, 3, side, side), (1, 3, side, side), wide])
    record = yaml.safe_load((tmp_path / "out" / "translation.yaml").read_text())
    assert record["method"] == "negative"
    assert record["num_photos"] == 6
    assert record["photos"] == str(index.root)
    assert record["photos_hash"] == index.content_hash
    assert record["jpeg_quality"] == 95


def test_the_same_again_is_the_same_bytes(index, tmp_path):
    for name in ("a", "b"):
        write(index, tmp_path / name, 32)
    for path in index.paths:
        assert file_sha256(tmp_path / "a" / path) == file_sha256(tmp_path / "b" / path)


def test_a_csv_goes_along(index, tmp_path):
    lines = [f"{path},{500_000 + i},4000000" for i, path in enumerate(index.paths)]
    (index.root / CSV_NAME).write_text("\n".join(["path,utm_east,utm_north", *lines]))
    write(index_folder(index.root), tmp_path / "out")
    np.testing.assert_array_equal(index_folder(tmp_path / "out").utm_east, 500_000 + np.arange(6))


@pytest.mark.parametrize("part", ["queries", "database"])
def test_a_split_stays_a_split(tmp_path, part):
    write_places(tmp_path / "split" / "gallery", range(1), places=range(4), spacing_m=100)
    write_places(tmp_path / "split" / "night", range(1, 2), places=range(4), spacing_m=100, night=True)
    parts = find_parts(tmp_path / "split#night")
    index = index_folder(getattr(parts, part))
    method = Negative(WorkingSize(None), [])
    write_translated_split(parts, part, index, tmp_path / "out", method, batch_size=2, threads=1)
    old, new = (load_retrieval_set(path, 25.0) for path in (tmp_path / "split#night", tmp_path / "out"))
    assert new.queries.paths == old.queries.paths
    changed, same = (new.queries, new.database) if part == "queries" else (new.database, new.queries)
    untouched = old.database if part == "queries" else old.queries
    assert torch.equal(same.read(0), untouched.read(0))
    assert (changed.read(0).float() + index.read(0).float() - 255).abs().mean() < 5
    assert not (tmp_path / "out" / ("database" if part == "queries" else "queries")).readlink().is_absolute()


def test_all_or_nothing(index, tmp_path):
    index.absolute(3).write_bytes(index.absolute(3).read_bytes()[:400])
    with pytest.raises(ImageError):
        write(index, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"night"}


def test_where_it_must_not_go(index, tmp_path):
    with pytest.raises(StorageError, match="translated photos must be new"):
        write(index, tmp_path / "night")
    with pytest.raises(StorageError, match="outside it"):
        write(index, tmp_path / "night" / "out")


def test_photos_that_are_too_small(index, tmp_path):
    Image.new("RGB", (40, 9)).save(index.absolute(2))
    with pytest.raises(DataError, match=r"40 x 9 pixels are too few"):
        write(index, tmp_path / "out")
    write(index, tmp_path / "out", 16)
