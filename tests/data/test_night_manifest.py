from __future__ import annotations

from pathlib import Path

import pytest

from vgsearch.data.night_manifest import by_manifest
from vgsearch.data.night_rules import NIGHT, NOT_NIGHT, UNKNOWN
from vgsearch.errors import DataError

PATHS = ["a.jpg", "b.jpg", "sub/c.jpg", "d.jpg"]


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    return tmp_path / "list.csv"


def test_by_path_and_by_name(tmp_path: Path) -> None:
    manifest = write(
        tmp_path, "\ufeffcity,PATH,Night\nx,a.jpg,yes\nx,b.jpg,0\nx,c.jpg,TRUE\nx,other.jpg,no\n"
    )
    assert by_manifest(manifest, PATHS).tolist() == [NIGHT, NOT_NIGHT, NIGHT, UNKNOWN]


def test_a_path_goes_before_a_name(tmp_path: Path) -> None:
    manifest = write(tmp_path, "path,night\nc.jpg,yes\n./sub/c.jpg,no\n")
    assert by_manifest(manifest, PATHS).tolist()[2] == NOT_NIGHT


def test_times_of_day(tmp_path: Path) -> None:
    manifest = write(tmp_path, "name,time_of_day\na.jpg,night\nb.jpg,Sunset\nc.jpg,day\nd.jpg,night time\n")
    assert by_manifest(manifest, PATHS).tolist() == [NIGHT, NOT_NIGHT, NOT_NIGHT, NIGHT]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs the columns path (or name), and night (yes or no) or time_of_day"),
        ("path\na.jpg\n", "needs the columns"),
        ("path,night\na.jpg,maybe\n", "list.csv:2: night must be yes or no, got 'maybe'"),
        ("path,night\na.jpg\n", "list.csv:2: night must be yes or no, got ''"),
        ("path,time_of_day\na.jpg,17:30\n", "list.csv:2: time_of_day must be a time of day such as night"),
        ("path,night\na.jpg,1\na.jpg,0\n", "list.csv:3: a.jpg is listed before, and differently"),
    ],
)
def test_what_is_not_in_order_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        by_manifest(write(tmp_path, text), PATHS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as CSV"):
        by_manifest(tmp_path / "none.csv", PATHS)
