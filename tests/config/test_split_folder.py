"""`FOLDER#QUERIES`: a retrieval set by one of its query folders."""

import os

import pytest

from vgsearch.config.document import load_document
from vgsearch.config.folders import folder_problems
from vgsearch.config.search import DataConfig
from vgsearch.config.split_folder import folder_and_queries, folder_on_disk, missing_queries
from vgsearch.errors import ConfigError

FILE = """name: weather
data:
  train: {train}
  val: {val}
  tests: {{night: {night}, rain: {rain}}}
"""


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        ("svox/images/test", ("svox/images/test", None)),
        ("svox/images/test#queries_night", ("svox/images/test", "queries_night")),
        ("a#b/test", ("a#b/test", None)),
        ("a#b/test#queries", ("a#b/test", "queries")),
        ("test#", ("test", "")),
    ],
)
def test_the_part_after_the_last_mark_names_the_queries(split, parts):
    assert folder_and_queries(split) == parts


def test_the_folder_on_disk():
    assert folder_on_disk("a/test") == "a/test"
    assert folder_on_disk("a/test#queries_sun") == "a/test/queries_sun"
    assert folder_on_disk("a/test#") == "a/test"


def test_missing_queries_lists_those_that_are_there(tmp_path):
    for name in ("queries", "queries_sun", "gallery"):
        (tmp_path / name).mkdir()
    assert missing_queries(str(tmp_path)) is None
    assert missing_queries(f"{tmp_path}#queries_sun") is None
    assert missing_queries(f"{tmp_path}/elsewhere#queries_sun") is None  # said of the folder itself
    text = missing_queries(f"{tmp_path}#queries_nite")
    assert (
        text == f"{tmp_path} has no query folder 'queries_nite' (named after #); it has: queries, queries_sun"
    )
    assert "no query folder ''" in missing_queries(f"{tmp_path}#")
    for name in ("gallery", "database", "..", "."):
        assert f"{name!r} named after #, which cannot be queries" in missing_queries(f"{tmp_path}#{name}")


@pytest.fixture
def root(tmp_path):
    for folder in ("svox/train", "svox/val/queries", "svox/test/queries_night", "svox/test/queries_rain"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    return tmp_path / "data"


def load(root, **folders):
    named = {
        "train": "svox/train",
        "val": "svox/val",
        "night": "svox/test#queries_night",
        "rain": "svox/test#queries_rain",
    }
    path = root.parent / "weather.yaml"
    path.write_text(FILE.format(**{**named, **folders}))
    return load_document(path, data_root=root)


def test_a_file_names_several_query_folders_of_one_set(root):
    data = load(root).resolved_data(root)
    assert data.tests == {
        "night": f"{root}/svox/test#queries_night",
        "rain": f"{root}/svox/test#queries_rain",
    }


def test_a_query_folder_that_is_not_there_is_named_with_its_line(root):
    with pytest.raises(ConfigError) as caught:
        load(root, night="svox/test#queries_nite", rain="svox/tests#queries_rain")
    night, rain = caught.value.problems
    assert night.endswith(
        f"weather.yaml:5: data.tests.night: {root}/svox/test has no query folder 'queries_nite' (named "
        "after #); it has: queries_night, queries_rain"
    )
    assert "weather.yaml:5: data.tests.rain: folder" in rain
    assert "svox/tests does not exist" in rain


def test_selection_and_tests_share_no_folder_whatever_the_queries(root):
    with pytest.raises(ConfigError, match=r"data\.tests\.night: must be apart from data\.val"):
        load(root, val="svox/test#queries_rain")


def test_a_link_from_one_split_to_another_is_no_other_split(root):
    """As MSLS has it: `test` is a link to `val`."""
    os.symlink(root / "svox" / "val", root / "svox" / "linked")
    data = DataConfig(train="svox/train", val="svox/val", tests={"linked": "svox/linked#queries"})
    (text,) = folder_problems(data, root, allow_unbuilt_demo=False).values()
    assert text == (
        f"must be apart from data.val, but a link leads to the same photos: {root}/svox/linked and "
        f"{root}/svox/val share {root}/svox/val; name another folder"
    )


@pytest.mark.parametrize("part", ["database", "queries"])
def test_a_split_that_borrows_a_part_of_a_test_selects_nothing(root, part):
    """As Tokyo Night does of Tokyo XS, and a translated split of the one it was made from."""
    (root / "night").mkdir()
    (root / "svox" / "test" / "gallery").mkdir(exist_ok=True)
    other = "queries" if part == "database" else "database"
    (root / "night" / other).mkdir()
    os.symlink(
        root / "svox" / "test" / {"queries": "queries_night"}.get(part, "gallery"), root / "night" / part
    )
    apart = DataConfig(
        train="svox/train", val="svox/val", tests={"day": "svox/test#queries_rain", "night": "night"}
    )
    assert not folder_problems(apart, root, allow_unbuilt_demo=False)
    data = DataConfig(
        train="svox/train", val={"": "svox/val", "night": "night"}, tests={"day": "svox/test#queries_rain"}
    )
    (text,) = folder_problems(data, root, allow_unbuilt_demo=False).values()
    assert text.startswith("must be apart from data.val.night, but a link leads to the same photos")
