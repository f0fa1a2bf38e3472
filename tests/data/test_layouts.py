"""Datasets as they are downloaded: found, read and explained without a change to their folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data import layouts
from vgsearch.config.trial import CellsConfig
from vgsearch.data.cells import assign_groups
from vgsearch.data.check import check_folder
from vgsearch.data.check_report import FolderReport
from vgsearch.data.index import index_folder
from vgsearch.data.retrieval_set import RetrievalSet, load_retrieval_set
from vgsearch.errors import DataError

NO_HEADING = CellsConfig(heading_deg=360, groups_heading=1, groups_across=1, groups_used=1, min_images=1)


def load(split: Path, distance_m: float = 25) -> RetrievalSet:
    return load_retrieval_set(split, distance_m, cache_dir=split.parents[-2] / "cache")


def check(split: Path, cells: CellsConfig = NO_HEADING, **options: bool) -> FolderReport:
    return check_folder(split, cells, **options)


def texts(report: FolderReport, severity: str) -> list[str]:
    return [problem.text for problem in report.problems if problem.severity == severity]


def test_pitts30k(tmp_path: Path) -> None:
    images = layouts.pitts30k(tmp_path)
    for split in ("train", "val", "test"):
        found = load(images / split)
        assert (len(found.database), len(found.queries)) == (12, 4)
        assert found.has_positive.all()
    report = check(images / "test")
    assert report.recognised == (
        "database/ and queries/",
        "database images: positions from the names, UTM zone 17 north; no headings",
        "queries: positions from the names, UTM zone 17 north; no headings",
    )
    assert texts(report, "error") == []


def test_training_without_headings(tmp_path: Path) -> None:
    train = layouts.pitts30k(tmp_path) / "train"
    index = index_folder(train, cache_dir=tmp_path / "cache")
    with pytest.raises(DataError) as caught:
        assign_groups(index, CellsConfig(min_images=1, groups_used=1))
    message = str(caught.value)
    assert "16 of 16 images in" in message
    assert "have no heading" in message
    assert message.endswith("or set trial.cells.heading_deg to 360, which needs no heading")
    assert "\n" not in message
    (group,) = assign_groups(index, NO_HEADING)
    assert len(group.image_ids) == 16
    assert set(group.class_keys[:, 2].tolist()) == {0}
    report = check(train, as_train=True)
    assert report.kind == "training"
    assert report.counts["images without heading"] == 16
    assert not report.has_errors
    assert [summary.setting for summary in report.cells if "heading" in summary.setting] == []
    assert check(train, CellsConfig(min_images=1, groups_used=1), as_train=True).has_errors


def test_a_whole_circle_leaves_known_headings_as_cosplace_bins_them(tmp_path: Path) -> None:
    for heading in ("000", "359", "360", ""):
        layouts.write(tmp_path / "train", [f"@0445400.00@4480050.40@30@T@@@a{heading}@@{heading}@@@@@@.jpg"])
    (group,) = assign_groups(index_folder(tmp_path / "train", cache_dir=tmp_path / "cache"), NO_HEADING)
    assert sorted(group.class_keys[:, 2].tolist()) == [0, 360]
    assert len(group.images_of(group.class_keys[:, 2].tolist().index(0))) == 3


def test_msls(tmp_path: Path) -> None:
    folder = layouts.msls(tmp_path)
    val = load(folder / "val")
    assert (len(val.database), len(val.queries)) == (12, 6)
    assert load(folder / "test").query_set_hash == val.query_set_hash
    assert (
        sum(note.startswith("night") for note in map(lambda path: path.split("@")[14], val.queries.paths))
        == 2
    )


def test_svox_queries_of_each_weather_over_one_gallery(tmp_path: Path) -> None:
    test = layouts.svox(tmp_path) / "test"
    assert len(load(test).queries) == 4
    for number, weather in enumerate(("night", "overcast", "rain", "snow", "sun"), start=1):
        found = load(Path(f"{test}#queries_{weather}"))
        assert (len(found.database), len(found.queries)) == (8, number)
        assert found.queries.root == test / f"queries_{weather}"
        assert found.name == f"test#queries_{weather}"
    assert len({load(Path(f"{test}#queries_{w}")).query_set_hash for w in ("night", "rain", "snow")}) == 3
    report = check(Path(f"{test}#queries_night"))
    assert report.counts["queries"] == 1
    assert report.recognised[:2] == (
        "gallery/ and queries_night/",
        "other queries, each named as FOLDER#QUERIES: queries, queries_overcast, queries_rain, queries_snow, "
        "queries_sun",
    )


def test_query_folders_that_cannot_be_meant(tmp_path: Path) -> None:
    test = layouts.svox(tmp_path) / "test"
    with pytest.raises(
        DataError, match=r"has no query folder 'queries_fog' .*it has: queries, queries_night"
    ):
        load(Path(f"{test}#queries_fog"))
    (test / "queries").rename(test / "queries_other")
    with pytest.raises(DataError, match=r"has no queries or queries_v1: say which queries, .*#queries_night"):
        load(test)
    with pytest.raises(DataError, match="say which queries"):
        check(test)


def test_the_root_of_a_dataset_is_told_from_its_splits(tmp_path: Path) -> None:
    report = check(layouts.svox(tmp_path), decode=False)
    assert any("test, train, val below" in text for text in texts(report, "warning"))


def test_st_lucia_lies_in_the_south(tmp_path: Path) -> None:
    test = layouts.st_lucia(tmp_path)
    found = load(test)
    assert found.has_positive.all()
    report = check(test)
    assert "queries: positions from the names, UTM zone 56 south; no headings" in report.recognised
    assert texts(report, "warning") == []


@pytest.mark.parametrize(("distance_m", "frames"), [(25.0, 10), (2.5, 1), (5.0, 2)])
def test_nordland_counts_frames(tmp_path: Path, distance_m: float, frames: int) -> None:
    found = load(layouts.nordland(tmp_path), distance_m)
    ids = np.tile(np.arange(30), (30, 1))
    positive = found.is_positive(ids)
    expected = np.abs(np.arange(30)[:, None] - np.arange(30)[None, :]) <= frames
    # Names sort as their positions do, so rows are frames.
    assert np.array_equal(positive, expected)


@pytest.mark.parametrize("layout", [layouts.nordland, layouts.amstertime])
def test_positions_along_a_line_are_not_taken_for_a_city(tmp_path: Path, layout: object) -> None:
    test = layout(tmp_path)  # type: ignore[operator]
    report = check(test)
    assert texts(report, "warning") == texts(report, "error") == []
    assert report.recognised[1] == (
        "database images: positions from the names, on a line (UTM_east 0); no headings"
    )
    assert load(test).has_positive.all()


def test_tokyo_xs(tmp_path: Path) -> None:
    found = load(layouts.tokyo_xs(tmp_path))
    assert (len(found.database), len(found.queries)) == (10, 12)
    assert found.has_positive.all()


def test_latitudes_and_longitudes_say_their_zone(tmp_path: Path) -> None:
    for part in ("database", "queries"):
        layouts.write(tmp_path / "val" / part, ["a.jpg", f"{part}.jpg"])
        rows = f"a.jpg,35.6,139.7\n{part}.jpg,35.6001,139.7\n"
        (tmp_path / "val" / part / "images.csv").write_text("path,lat,lon\n" + rows)
    report = check(tmp_path / "val")
    assert (
        report.recognised[1]
        == "database images: positions from images.csv (lat, lon), measured in UTM zone 54 north; no headings"
    )


def test_unlabelled_photos_are_a_target_domain(tmp_path: Path) -> None:
    layouts.write(tmp_path / "night", ["IMG_1.jpg", "IMG_2.jpg"])
    report = check(tmp_path / "night")
    assert report.kind == "unlabelled"
    assert report.recognised == ("no positions in the names, and no images.csv",)
    assert len(index_folder(tmp_path / "night", cache_dir=tmp_path / "cache")) == 2
