"""Tokyo Night: which queries, by which rule, and the folder that is made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.data import layouts
from vgsearch.data.night_queries import NightQueries, find_night_queries
from vgsearch.data.night_set import write_night_set
from vgsearch.data.retrieval_set import index_parts, load_retrieval_set
from vgsearch.errors import DataError


def decide(split: Path, **options: object) -> NightQueries:
    _, queries = index_parts(split)
    return find_night_queries(queries, **options)  # type: ignore[arg-type]


def test_numbers_decide_where_nothing_surer_does(tmp_path: Path) -> None:
    split = layouts.tokyo_xs(tmp_path)
    night = decide(split)
    assert (night.rule, night.doubt) == ("number", "")
    _, queries = index_parts(split)
    taken = [path for path, is_night in zip(queries.paths, night.is_night, strict=True) if is_night]
    assert [path.split("@")[7] for path in taken] == ["00003.jpg", "00006.jpg", "00009.jpg", "00012.jpg"]
    assert "darker in 100% of pairs" in night.details[0]


def test_numbers_that_the_pictures_belie_are_in_doubt(tmp_path: Path) -> None:
    split = layouts.tokyo_xs(tmp_path)
    for photo in (split / "queries").iterdir():
        layouts.write(split / "queries", [photo.name], value=100)
    assert "hardly darker than the others" in decide(split).doubt


def test_notes_go_before_numbers_and_a_manifest_before_both(tmp_path: Path) -> None:
    split = layouts.msls(tmp_path) / "val"
    assert decide(split).rule == "note"
    assert int(decide(split).is_night.sum()) == 2
    _, queries = index_parts(split)
    rows = "".join(f"{path},{'yes' if i == 0 else 'no'}\n" for i, path in enumerate(queries.paths))
    (tmp_path / "list.csv").write_text("path,night\n" + rows)
    night = decide(split, manifest=tmp_path / "list.csv")
    assert night.rule == "manifest"
    assert night.is_night.tolist() == [True] + [False] * 5


def test_timestamps_decide_by_the_sun(tmp_path: Path) -> None:
    for part in ("database", "queries"):
        stamps = [f"20140621_{hour:02d}3000" for hour in range(24)]
        names = [layouts.place_name(35.68, 139.77, pano=part, timestamp=stamp) for stamp in stamps]
        layouts.write(tmp_path / "set" / part, names)
    night = decide(tmp_path / "set")
    assert night.rule == "timestamp"
    hours = [int(path.split("@")[13][9:11]) for path in index_parts(tmp_path / "set")[1].paths]
    dark = [hour for hour, is_night in zip(hours, night.is_night, strict=True) if is_night]
    assert dark == [0, 1, 2, 3, 19, 20, 21, 22, 23]  # sunrise 4:25, sunset 19:00
    assert int(decide(tmp_path / "set", utc_offset_h=8.0).is_night.sum()) == 9


def test_brightness_decides_last_and_shows_itself(tmp_path: Path) -> None:
    layouts.write(tmp_path / "set" / "database", ["db.jpg"])
    layouts.write(tmp_path / "set" / "queries", [f"day{i}.jpg" for i in range(5)], value=180)
    layouts.write(tmp_path / "set" / "queries", [f"night{i}.jpg" for i in range(3)], value=10)
    night = decide(tmp_path / "set")
    assert night.rule == "brightness"
    assert night.is_night.tolist() == [False] * 5 + [True] * 3
    assert night.doubt.startswith("names do not tell")
    assert len(night.details) == 18
    assert max(map(len, night.details)) <= 80
    assert decide(layouts.tokyo_xs(tmp_path), rule="brightness").is_night.sum() == 4


def test_a_rule_that_tells_for_some_queries_only_is_refused(tmp_path: Path) -> None:
    split = layouts.msls(tmp_path) / "val"
    layouts.write(split / "queries", [layouts.place_name(55.68, 12.57, pano="new")])
    with pytest.raises(
        DataError,
        match=r"the note in each name says the time of day of 6 queries .*, but not of 1, first '@0",
    ):
        decide(split)
    assert decide(split, rule="brightness").rule == "brightness"
    (tmp_path / "list.csv").write_text("path,night\nnone.jpg,yes\n")
    with pytest.raises(DataError, match=r"list\.csv lists none of the queries"):
        decide(split, manifest=tmp_path / "list.csv")


def test_no_night_and_no_answer(tmp_path: Path) -> None:
    split = layouts.st_lucia(tmp_path)
    with pytest.raises(
        DataError, match="each name does not tell which queries of .* are night: list them in"
    ):
        decide(split, rule="note")
    _, queries = index_parts(split)
    rows = "".join(f"{path},no\n" for path in queries.paths)
    (tmp_path / "list.csv").write_text("path,night\n" + rows)
    with pytest.raises(DataError, match="no query of .* is night, by the manifest"):
        decide(split, manifest=tmp_path / "list.csv")


def test_the_set_is_the_whole_database_and_the_night_queries(tmp_path: Path) -> None:
    split = layouts.tokyo_xs(tmp_path)
    _, queries = index_parts(split)
    night = decide(split)
    out = tmp_path / "tokyo_night" / "test"
    write_night_set(split, queries, night, out)
    day, dark = load_retrieval_set(split, 25), load_retrieval_set(out, 25)
    assert dark.database.content_hash == day.database.content_hash
    assert dark.database.fingerprint == day.database.fingerprint  # so stored descriptors serve both
    assert dark.queries.paths == tuple(p for p, n in zip(queries.paths, night.is_night, strict=True) if n)
    assert dark.queries.content_hash == day.queries.subset(np.flatnonzero(night.is_night)).content_hash
    assert (out / "database").is_symlink()
    assert all(path.is_symlink() for path in (out / "queries").iterdir())
    record = yaml.safe_load((out / "tokyo_night.yaml").read_text())
    assert (record["rule"], record["night_queries"], record["all_queries"]) == ("number", 4, 12)
    with pytest.raises(DataError, match="exists already"):
        write_night_set(split, queries, night, out)


def test_positions_from_a_csv_go_along(tmp_path: Path) -> None:
    for part, names in (("database", ["a.jpg", "b.jpg"]), ("queries", ["n.jpg", "sub/o.jpg", "d.jpg"])):
        for name in names:
            layouts.write((tmp_path / "set" / part / name).parent, [name.rpartition("/")[2]])
        rows = "".join(f"{name},35.6{i},139.7\n" for i, name in enumerate(names))
        (tmp_path / "set" / part / "images.csv").write_text("path,lat,lon\n" + rows)
    _, queries = index_parts(tmp_path / "set")
    night = NightQueries("manifest", np.array([path != "d.jpg" for path in queries.paths]))
    write_night_set(tmp_path / "set", queries, night, tmp_path / "out")
    whole, dark = load_retrieval_set(tmp_path / "set", 25), load_retrieval_set(tmp_path / "out", 25)
    assert dark.queries.paths == ("n.jpg", "sub/o.jpg")
    for path in dark.queries.paths:
        i, j = dark.queries.paths.index(path), whole.queries.paths.index(path)
        assert dark.queries.utm_north[i] == whole.queries.utm_north[j]
    assert (tmp_path / "out" / "queries" / "sub" / "o.jpg").exists()
