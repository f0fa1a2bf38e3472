from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vgsearch.config.trial import CellsConfig
from vgsearch.data.cells import all_groups
from vgsearch.data.check import check_folder
from vgsearch.data.check_report import FolderReport
from vgsearch.data.index import index_folder
from vgsearch.data.names import utm_name
from vgsearch.errors import DataError

CELLS = CellsConfig(min_images=2, groups_used=2)


def place(folder: Path, i: int, *, heading: float | None = None) -> Path:
    """A small picture of its own at 445400 + 4 i."""
    angle = 30.0 * (i % 2) if heading is None else heading
    name = utm_name(445400 + 4 * i, 4480000, zone=30, letter="T", heading_deg=angle, pano=f"{folder.name}{i}")
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([i, len(folder.name)]).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return folder / name


@pytest.fixture
def train(tmp_path: Path) -> Path:
    for i in range(12):
        place(tmp_path / "train", i)
    return tmp_path / "train"


@pytest.fixture
def split(tmp_path: Path) -> Path:
    for i in range(6):
        place(tmp_path / "val" / "database", i)
        place(tmp_path / "val" / "queries", i)
    return tmp_path / "val"


def check(folder: Path, cells: CellsConfig = CELLS, **options: bool) -> FolderReport:
    return check_folder(folder, cells, cache_dir=folder.parent / "cache", **options)


def texts(report: FolderReport, severity: str) -> list[str]:
    return [problem.text for problem in report.problems if problem.severity == severity]


def test_sound_training_photos(train: Path) -> None:
    report = check(train)
    assert report.kind == "training"
    assert report.problems == ()
    assert not report.has_errors
    assert report.counts == {"images": 12, "unreadable": 0, "images without heading": 0}
    assert report.image_sizes == ((12, 16, 12),)


def test_cell_settings_count_what_the_cells_count(train: Path) -> None:
    summaries = check(train).cells
    assert [summary.setting for summary in summaries] == [
        "",
        "min_images=1",
        "min_images=3",
        "min_images=5",
        "min_images=10",
        "cell_m=20",
        "heading_deg=60",
    ]
    index = index_folder(train, cache_dir=train.parent / "cache")
    for summary in summaries:
        groups = all_groups(index, summary.cells)
        assert summary.num_groups == len(groups)
        assert summary.num_classes == sum(group.num_classes for group in groups)
        assert summary.num_images == sum(len(group.image_ids) for group in groups)
    assert summaries[0].smallest_used_group == min(summaries[0].classes_per_group[:2])
    assert summaries[4].smallest_used_group == 0


def test_a_setting_that_cannot_train_is_an_error_in_the_trainers_words(train: Path) -> None:
    report = check(train, CellsConfig())
    assert report.has_errors
    assert "lower trial.cells.min_images" in texts(report, "error")[0]


def test_missing_headings_and_coordinates_are_errors(train: Path) -> None:
    (train / "@0445400.00@4480000.00@.jpg").write_bytes(place(train, 50).read_bytes())
    report = check(train, decode=False)
    assert report.counts["images without heading"] == 1
    assert "1 of 14 images in" in texts(report, "error")[0]
    assert report.cells == ()
    (train / "plain.jpg").write_bytes(b"")
    assert texts(check(train, decode=False), "error") == [
        "1 of 15 images have no UTM coordinates, first 'plain.jpg'"
    ]


def test_photos_without_any_coordinates_are_a_target_domain(tmp_path: Path) -> None:
    place(tmp_path, 0).rename(tmp_path / "night.jpg")
    report = check(tmp_path)
    assert report.kind == "unlabelled"
    assert not report.has_errors
    assert "target_domain" in texts(report, "note")[0]


def test_unreadable_images_are_named_and_counted(train: Path) -> None:
    for i in range(7):
        path = place(train, i)
        path.write_bytes(b"no image" if i else path.read_bytes()[:-200])
    report = check(train)
    assert report.counts["unreadable"] == 7
    errors = texts(report, "error")
    assert len(errors) == 6
    assert str(place(train, 0)) in errors[0]
    assert errors[5] == "7 of 12 images cannot be read; the first 5 are named"
    assert not check(train, decode=False).has_errors


def test_progress_counts_every_image(split: Path) -> None:
    seen: list[tuple[int, int]] = []
    check_folder(
        split, cache_dir=split.parent / "cache", progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (12, 12)
    assert seen == sorted(seen)


def test_a_sound_retrieval_set(split: Path) -> None:
    report = check(split)
    assert report.kind == "retrieval"
    assert report.problems == ()
    assert report.cells == ()
    assert report.counts == {
        "database images": 6,
        "queries": 6,
        "unreadable": 0,
        "queries without positive": 0,
    }


def test_queries_without_positive(split: Path) -> None:
    far = place(split / "queries", 30)
    report = check(split)
    assert report.counts["queries without positive"] == 1
    assert texts(report, "warning") == [
        f"1 of 7 queries have no database image within 25 m, first {far.name!r}: they count as failures, "
        f"no recall exceeds 85.7"
    ]
    for path in (split / "database").iterdir():
        path.unlink()
    place(split / "database", 90)
    assert "7 of 7 queries have no database image within 25 m; the nearest is 240.0 m away" in texts(
        check(split), "error"
    )


def test_the_root_of_a_dataset_is_told_from_its_parts(train: Path, split: Path) -> None:
    report = check(train.parent)
    assert any(text.startswith("val below") for text in texts(report, "warning"))


def test_missing_and_empty_folders_raise(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError):
            check(folder)


def test_half_a_retrieval_set_raises(split: Path) -> None:
    (split / "queries").rename(split / "query")
    with pytest.raises(DataError, match="is no retrieval set"):
        check(split)
