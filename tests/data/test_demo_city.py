from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vgsearch.config.search import DemoCityConfig
from vgsearch.config.trial import CellsConfig
from vgsearch.data import demo_city, demo_worker
from vgsearch.data.cells import assign_groups
from vgsearch.data.demo_city import build_demo_city
from vgsearch.data.demo_plan import plan_photos
from vgsearch.data.index import index_folder
from vgsearch.data.retrieval_set import load_retrieval_set
from vgsearch.errors import DataError, StorageError, VgsearchError

CONFIG = DemoCityConfig(size="tiny", image_px=32, seed=3)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def file_size_limit(num_bytes: int) -> Iterator[None]:
    """Every longer file fails to be written, in this process and in those it starts: a disk that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "city"
    build_demo_city(out, CONFIG, workers=1)
    return out


@pytest.fixture
def stub_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos of a few bytes, for tests of what happens around them."""

    def write_stubs(folder: Path, config: DemoCityConfig) -> Generator[None, None, None]:
        for photo in plan_photos(config):
            (folder / photo.path).write_bytes(repr(photo.seed).encode())
            yield

    monkeypatch.setattr(demo_city, "write_photos", write_stubs)


@pytest.fixture
def city(built: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    out = tmp_path / "city"
    subprocess.run(["cp", "-r", str(built), str(out)], check=True)
    return out


def test_the_tree_is_small_and_complete(built: Path) -> None:
    photos = sorted(built.rglob("*.jpg"))
    assert len(photos) < 150
    assert {str(photo.parent.relative_to(built)) for photo in photos} == {
        "train",
        "target_night",
        *(
            f"{name}_{hour}/{part}"
            for name in ("val", "test")
            for hour in ("day", "night")
            for part in ("database", "queries")
        ),
    }
    assert {Image.open(photo).size for photo in photos} == {(32, 32)}
    assert [path.name for path in built.parent.iterdir()] == ["city"]
    assert built.stat().st_mode & 0o777 == 0o777 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_it_serves_as_training_and_retrieval_data(built: Path, tmp_path: Path) -> None:
    cells = CellsConfig(groups_across=1, groups_heading=1, groups_used=1, min_images=4)
    (group,) = assign_groups(index_folder(built / "train", cache_dir=tmp_path), cells)
    assert group.num_classes == 12
    for name in ("val_day", "val_night", "test_day", "test_night"):
        split = load_retrieval_set(built / name, 25.0, cache_dir=tmp_path)
        assert split.has_positive.all()


def test_night_databases_are_the_day_ones(built: Path) -> None:
    for name in ("val", "test"):
        assert snapshot(built / f"{name}_night/database") == snapshot(built / f"{name}_day/database")


def test_the_bytes_do_not_depend_on_the_number_of_workers(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")  # which cuts a print into several writes
    seen: list[tuple[int, int]] = []
    build_demo_city(tmp_path / "city", CONFIG, workers=3, progress=lambda *done: seen.append(done))
    assert snapshot(tmp_path / "city") == snapshot(built)
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]


def test_a_complete_city_is_left_alone(city: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in city.rglob("*")}
    (city / "notes.txt").write_text("mine")
    build_demo_city(city, CONFIG.model_copy(update={"folder": "elsewhere"}))
    assert (city / "notes.txt").read_text() == "mine"
    assert all(path.stat().st_mtime_ns == time for path, time in before.items() if path.is_file())


@pytest.mark.parametrize(
    ("key", "value"), [("seed", 9), ("image_px", 48), ("size", "small"), ("viewpoint", "strong")]
)
def test_another_config_is_refused(city: Path, key: str, value: object) -> None:
    with pytest.raises(DataError) as refusal:
        build_demo_city(city, CONFIG.model_copy(update={key: value}))
    message = str(refusal.value)
    assert str(city) in message
    assert f"{key} {getattr(CONFIG, key)} instead of {value}" in message
    assert "delete that folder, or set data.demo_city.folder" in message


@pytest.mark.usefixtures("stub_camera")
def test_a_strong_viewpoint_is_told_from_the_usual_one(tmp_path: Path) -> None:
    strong = CONFIG.model_copy(update={"viewpoint": "strong"})
    build_demo_city(tmp_path / "city", strong, workers=1)
    build_demo_city(tmp_path / "city", strong, workers=1)
    with pytest.raises(DataError, match="viewpoint strong instead of usual"):
        build_demo_city(tmp_path / "city", CONFIG, workers=1)


@pytest.mark.usefixtures("stub_camera")
def test_missing_photos_are_drawn_again(city: Path, built: Path) -> None:
    next((city / "train").iterdir()).unlink()
    build_demo_city(city, CONFIG, workers=1)
    assert snapshot(city).keys() == snapshot(built).keys()
    assert os.listdir(city.parent) == ["city"]


def test_a_damaged_city_with_strange_files_is_not_replaced(city: Path) -> None:
    next((city / "train").iterdir()).unlink()
    (city / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"would remove notes\.txt"):
        build_demo_city(city, CONFIG)


@pytest.mark.parametrize("marker", [None, "{", '{"config": 3}', "[]"])
def test_a_folder_that_is_not_ours_is_refused(tmp_path: Path, marker: str | None) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    if marker is not None:
        (tmp_path / "demo_city.json").write_text(marker)
    with pytest.raises(DataError, match="is no demo city to be replaced") as refusal:
        build_demo_city(tmp_path, CONFIG)
    assert "\n" not in str(refusal.value)
    assert (tmp_path / "holiday.jpg").exists()


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "city").write_text("")
    with pytest.raises(DataError, match="is a file"):
        build_demo_city(tmp_path / "city", CONFIG)


@pytest.mark.usefixtures("stub_camera")
def test_an_empty_folder_is_filled(tmp_path: Path, built: Path) -> None:
    (tmp_path / "city").mkdir()
    build_demo_city(tmp_path / "city", CONFIG, workers=1)
    assert snapshot(tmp_path / "city").keys() == snapshot(built).keys()
    assert os.listdir(tmp_path) == ["city"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, workers: int) -> None:
    with file_size_limit(800), pytest.raises(StorageError) as failure:
        build_demo_city(tmp_path / "new" / "city", CONFIG, workers=workers)
    assert os.strerror(errno.EFBIG) in str(failure.value)
    assert str(tmp_path / "new" / "city") in str(failure.value)
    assert "\n" not in str(failure.value)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        build_demo_city(tmp_path / "file" / "city", CONFIG)


def test_a_worker_that_dies_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_worker.sys, "executable", "/bin/true")
    with pytest.raises(VgsearchError, match="after 0 photos"):
        build_demo_city(tmp_path / "city", CONFIG, workers=2)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    for workers in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            build_demo_city(tmp_path / "city", CONFIG, workers=workers, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("stub_camera")
def test_leftovers_of_a_killed_build_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.setattr(demo_city.socket, "gethostname", lambda: "here")
    for name in (f"here-{ended.pid}-00", f"here-{os.getpid()}-00", f"there-{ended.pid}-00"):
        (tmp_path / f".city.partial-{name}").mkdir()
    build_demo_city(tmp_path / "city", CONFIG, workers=1)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"city", f".city.partial-here-{os.getpid()}-00", f".city.partial-there-{ended.pid}-00"}


@pytest.mark.usefixtures("stub_camera")
def test_two_builds_at_once_end_as_one(tmp_path: Path, built: Path) -> None:
    def overtake(done: int, total: int) -> None:
        if done == total:
            build_demo_city(tmp_path / "city", CONFIG, workers=1)

    build_demo_city(tmp_path / "city", CONFIG, workers=1, progress=overtake)
    assert snapshot(tmp_path / "city").keys() == snapshot(built).keys()
    assert os.listdir(tmp_path) == ["city"]


def test_the_marker_says_what_is_there(built: Path) -> None:
    marker = json.loads((built / "demo_city.json").read_text())
    assert marker["config"] == {"generation": 1, "size": "tiny", "image_px": 32, "seed": 3}
    assert sum(marker["photos"].values()) == len(list(built.rglob("*.jpg")))
    assert np.all([count > 0 for count in marker["photos"].values()])
