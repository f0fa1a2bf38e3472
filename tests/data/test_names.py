from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.data import names as names_module
from vgsearch.data.names import name_field, parse_names, utm_name

SF_XS = "@0543256.96@4178906.70@10@S@037.75645@-122.50893@6x6FYc@@090@@@@201311@note@.jpg"


def plain_loop(path: str) -> tuple[list[float], str, str]:
    """One path read field by field, the obvious way."""
    fields = path.split("/")[-1].split("@")
    numbers = []
    for field in (1, 2, 9):
        try:
            value = float(fields[field])
        except (IndexError, ValueError):
            value = math.nan
        numbers.append(value if math.isfinite(value) else math.nan)
    return (
        numbers,
        fields[13] if len(fields) > 13 else "",
        fields[14] if len(fields) > 14 else "",
    )


def test_a_name_of_the_dataset() -> None:
    parsed = parse_names([SF_XS])
    assert (parsed.utm_east[0], parsed.utm_north[0], parsed.heading_deg[0]) == (543256.96, 4178906.70, 90)
    assert parsed.timestamp == ["201311"]
    assert parsed.note == ["note"]
    assert name_field(SF_XS, 7) == "6x6FYc"
    assert name_field("plain.jpg", 1) == ""


def test_an_at_sign_in_the_folder_moves_no_field() -> None:
    parsed = parse_names([f"a@1@2/b@3/{SF_XS}", SF_XS])
    assert parsed.utm_east[0] == parsed.utm_east[1] == 543256.96


pieces = st.one_of(
    st.sampled_from(
        ["@", "@@", "/", "a/", ".jpg", "", "12.5", "-3", "0445400.00", "é", "\udcff", "1e3", "x"]
    ),
    st.floats(-1e7, 1e7).map(str),
)


@given(st.lists(st.lists(pieces, max_size=30).map("".join), max_size=12))
def test_any_names_equal_the_plain_loop(paths: list[str]) -> None:
    parsed = parse_names(paths)
    assert len(parsed.utm_east) == len(parsed.note) == len(paths)
    for i, path in enumerate(paths):
        numbers, timestamp, note = plain_loop(path)
        got = [parsed.utm_east[i], parsed.utm_north[i], parsed.heading_deg[i]]
        assert repr([float(v) for v in got]) == repr(numbers)
        assert (parsed.timestamp[i], parsed.note[i]) == (timestamp, note)


def test_blocks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"f/@{i}.5@{-i}@@@@@@@{i}@.jpg" for i in range(25)]
    monkeypatch.setattr(names_module, "_BLOCK", 7)
    parsed = parse_names(paths)
    assert parsed.utm_east.tolist() == [i + 0.5 for i in range(25)]
    assert parsed.utm_north.tolist() == [-i for i in range(25)]
    assert parsed.heading_deg.tolist() == list(range(25))


@given(
    st.floats(200_000, 800_000),
    st.floats(1_000, 9_000_000),
    st.one_of(st.none(), st.floats(0, 359.9)),
)
def test_a_written_name_reads_back(east: float, north: float, heading: float | None) -> None:
    name = utm_name(
        east, north, zone=30, letter="T", heading_deg=heading, pano="p", timestamp="202604", note="night"
    )
    parsed = parse_names([name])
    assert name.count("@") == SF_XS.count("@")
    assert abs(parsed.utm_east[0] - east) <= 0.0051
    assert abs(parsed.utm_north[0] - north) <= 0.0051
    assert (
        math.isnan(parsed.heading_deg[0])
        if heading is None
        else abs(parsed.heading_deg[0] - heading) < 0.0051
    )
    assert (parsed.timestamp, parsed.note, name_field(name, 7)) == (["202604"], ["night"], "p")


def test_a_written_name_looks_like_the_dataset() -> None:
    name = utm_name(
        543256.96, 4178906.70, zone=10, letter="S", heading_deg=90, pano="6x6FYc", timestamp="201311"
    )
    assert name == "@0543256.96@4178906.70@10@S@037.75645@-122.50893@6x6FYc@@090@@@@201311@@.jpg"


def test_a_text_that_would_move_the_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no '@'"):
        utm_name(1e5, 1e6, zone=30, letter="N", pano="a@b")
