from __future__ import annotations

import pytest

from vgsearch.data.names import utm_name
from vgsearch.data.night_rules import (
    NIGHT,
    NOT_NIGHT,
    UNKNOWN,
    by_note,
    by_timestamp,
    by_tokyo_number,
    verdict_of_word,
)


def tokyo(*, pano: str = "", timestamp: str = "", note: str = "") -> str:
    return utm_name(388000, 3950000, zone=54, letter="S", pano=pano, timestamp=timestamp, note=note)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("night", NIGHT),
        ("Night", NIGHT),
        ("night_forward_cph", NIGHT),  # MSLS
        ("day_sideways_sf", NOT_NIGHT),
        ("sunset", NOT_NIGHT),
        ("", UNKNOWN),
        ("pitch1_yaw3", UNKNOWN),  # Pitts30k
        ("nightingale", UNKNOWN),
        ("day or night", UNKNOWN),
    ],
)
def test_a_word_tells_the_time_of_day(text: str, verdict: int) -> None:
    assert verdict_of_word(text) == verdict


def test_notes() -> None:
    names = [tokyo(note="night"), "folder/" + tokyo(note="day_forward_cph"), tokyo(note="@".replace("@", ""))]
    assert by_note([*names, "plain.jpg"]).tolist() == [NIGHT, NOT_NIGHT, UNKNOWN, UNKNOWN]


def test_timestamps_by_the_sun_of_the_place() -> None:
    stamps = ["20140621_183000", "20140621_1930", "20140621_03", "20141222_1800", "20140621", "201406", "x"]
    names = [tokyo(timestamp=stamp) for stamp in stamps]
    assert by_timestamp(names).tolist() == [NOT_NIGHT, NIGHT, NIGHT, NIGHT, UNKNOWN, UNKNOWN, UNKNOWN]
    assert by_timestamp(names[:1], utc_offset_h=0).tolist() == [NIGHT]  # as if the clock told UTC: 3:30 there


def test_a_timestamp_without_place_or_of_no_day_says_nothing() -> None:
    assert by_timestamp(["@0@00002.4@@@@@1@@@@@@20140621_230000@@.jpg"]).tolist() == [UNKNOWN]
    assert by_timestamp([tokyo(timestamp="20140231_230000")]).tolist() == [UNKNOWN]
    assert by_timestamp([tokyo(timestamp="20140221_250000")]).tolist() == [UNKNOWN]


def test_tokyo_numbers_in_file_names_and_in_panorama_names() -> None:
    expected = [NOT_NIGHT, NOT_NIGHT, NIGHT, NOT_NIGHT, NOT_NIGHT, NIGHT]
    assert by_tokyo_number([f"{i:05d}.jpg" for i in range(1, 7)]).tolist() == expected
    assert by_tokyo_number([tokyo(pano=f"{i:05d}") for i in range(1, 7)]).tolist() == expected
    # As the downloader leaves it: the panorama's name with its suffix.
    assert by_tokyo_number([tokyo(pano=f"{i:05d}.jpg") for i in range(1, 7)]).tolist() == expected


def test_a_third_of_all_tokyo_queries_is_night() -> None:
    verdicts = by_tokyo_number([f"{i:05d}.jpg" for i in range(1, 1126)])
    assert (verdicts == NIGHT).sum() == 375
    assert (verdicts == UNKNOWN).sum() == 0


@pytest.mark.parametrize(
    "names", [["1.jpg"], ["00000.jpg"], ["01126.jpg"], ["a/00003.jpg", "b/00003.jpg"], ["000003.jpg"], [""]]
)
def test_other_numbers_are_no_tokyo_numbers(names: list[str]) -> None:
    assert set(by_tokyo_number(names).tolist()) == {UNKNOWN}
