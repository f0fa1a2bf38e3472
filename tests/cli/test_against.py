"""`vgsearch evaluate --against` as a user types it: a changed split against the photos as they are."""

from __future__ import annotations

import math
import random
import re
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image
from scipy.stats import binomtest

from tests.cli.test_bad_input import assert_refused
from tests.cli.test_fda import TRIAL
from vgsearch.config.search import DataConfig, EvalConfig, TrialSpec
from vgsearch.models.checkpoint import read_spec, save_checkpoint
from vgsearch.models.network import build_network
from vgsearch.registry.kept_tests import kept_tests
from vgsearch.retrieval.recall import RetrievalResult

pytestmark = pytest.mark.usefixtures("one_thread")

LINE = re.compile(
    r"  against (?P<other>\S+): R@(?P<n>\d+) (?P<first>[\d.]+) \[.*?\] -> (?P<second>[\d.]+) \[.*?\]: "
    r"(?P<points>[+-][\d.]+) points \[(?P<low>[+-][\d.]+), (?P<high>[+-][\d.]+)\] "
    r"over (?P<places>\d+) places; McNemar p = (?P<p>[\d.e-]+) "
    r"\((?P<only_first>\d+) only first, (?P<only_second>\d+) only second\)"
)


@pytest.fixture(scope="module")
def checkpoint(tiny_city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with its initial weights; its photos are those of the night."""
    data = DataConfig(train=str(tiny_city / "train"), val=str(tiny_city / "val_night"))
    spec = TrialSpec(search="quick", uid="quick-0", trial=TRIAL, data=data, eval=EvalConfig(resize_px=64))
    folder = tmp_path_factory.mktemp("models") / "epoch_0001"
    save_checkpoint(folder, build_network(TRIAL), spec, {"epoch": 1})
    return folder


def brighten(vgsearch, split: Path, out: str, part: str = "queries") -> None:
    like = ["--method", "brighten", "--like", split / "database"]
    run = vgsearch("translate", "photos", split, out, "--part", part, *like)
    assert run.code == 0, run.err
    assert f"--on {out} --against {split}" in run.out


def linked_copy(split: Path, out: Path) -> Path:
    """A split of its own whose photos are links."""
    shutil.copytree(split, out, copy_function=lambda source, target: Path(target).symlink_to(source))
    return out


def small_pngs(split: Path, out: Path) -> Path:
    """The same photos at half their sides, in another format."""
    for photo in sorted(split.rglob("*.jpg")):
        target = (out / photo.relative_to(split)).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photo) as image:
            image.reduce(2).save(target)
    return out


def assert_difference(found: re.Match[str], first: RetrievalResult, second: RetrievalResult) -> None:
    """What a line says, from two results by a loop over queries and places."""
    n = int(found["n"])
    right = [[0 <= rank < n for rank in result.first_hit_rank.tolist()] for result in (first, second)]
    num_queries = len(right[0])
    assert len(right[1]) == num_queries
    recalls = [100 * sum(hits) / num_queries for hits in right]
    assert float(found["first"]) == pytest.approx(recalls[0], abs=0.051)
    assert float(found["second"]) == pytest.approx(recalls[1], abs=0.051)
    assert float(found["points"]) == pytest.approx(recalls[1] - recalls[0], abs=0.051)
    assert float(found["low"]) <= float(found["points"]) <= float(found["high"])
    only_first = sum(a and not b for a, b in zip(*right, strict=True))
    only_second = sum(b and not a for a, b in zip(*right, strict=True))
    assert (int(found["only_first"]), int(found["only_second"])) == (only_first, only_second)
    differ = only_first + only_second
    p_value = binomtest(only_first, differ).pvalue if differ else 1.0
    assert float(found["p"]) == pytest.approx(p_value, rel=5e-3)
    assert first.query_utm_m is not None
    places = {(math.floor(east / 25), math.floor(north / 25)) for east, north in first.query_utm_m.tolist()}
    assert int(found["places"]) == len(places)


def assert_interval(found: re.Match[str], first: RetrievalResult, second: RetrievalResult) -> None:
    """A bootstrap over lists of places, with draws of its own, comes to about the same interval."""
    assert first.query_utm_m is not None
    changes = defaultdict(list)
    for (east, north), a, b in zip(
        first.query_utm_m.tolist(),
        first.hits_at(int(found["n"])),
        second.hits_at(int(found["n"])),
        strict=True,
    ):
        changes[math.floor(east / 25), math.floor(north / 25)].append(int(b) - int(a))
    places = list(changes.values())
    draw = random.Random(0)
    drawn = [
        [change for place in draw.choices(places, k=len(places)) for change in place] for _ in range(2000)
    ]
    points = sorted(100 * sum(resample) / len(resample) for resample in drawn)
    assert float(found["low"]) == pytest.approx(points[50], abs=2.5)
    assert float(found["high"]) == pytest.approx(points[1949], abs=2.5)


def test_each_difference_is_that_of_two_plain_runs(vgsearch, checkpoint, own_store, tiny_city, tmp_path):
    split = tiny_city / "val_night"
    brighten(vgsearch, split, "bright")
    brighten(vgsearch, split, "bright_database", "database")
    small_pngs(split, tmp_path / "small")
    assert vgsearch("fda", split / "queries", split / "database", "styled/queries", "--beta", 0.05).code == 0
    (tmp_path / "styled" / "database").symlink_to(split / "database")
    names = ["bright", "bright_database", "small", "styled"]
    on = [word for name in names for word in ("--on", name)]
    run = vgsearch("evaluate", checkpoint, "--on", "val", *on, "--save", "plain", "--no-store")
    assert run.code == 0, run.err
    assert "against" not in run.out
    plain = {name: RetrievalResult.from_npz(tmp_path / "plain" / f"{name}.npz") for name in ("val", *names)}
    assert len({result.stamp for result in plain.values()}) == len(plain)

    run = vgsearch("evaluate", checkpoint, *on, "--against", "val", "--save", "both")
    assert run.code == 0, run.err
    lines = run.out.splitlines()
    assert lines[0].startswith(f"val: {plain['val'].summary()}; ")
    changed = 0
    for name in names:
        row = next(i for i, line in enumerate(lines) if line.startswith(f"{name}: R@1"))
        found = [LINE.match(line) for line in lines[row + 1 : row + 4]]
        assert [(each["other"], each["n"]) for each in found] == [("val", "1"), ("val", "5"), ("val", "10")]
        for each in found:
            assert_difference(each, plain["val"], plain[name])
            changed += int(each["only_first"]) + int(each["only_second"])
    assert changed > 0
    assert sum(line.startswith("  against") for line in lines) == 3 * len(names)
    for name, result in plain.items():
        saved = RetrievalResult.from_npz(tmp_path / "both" / f"{name}.npz")
        assert (saved.stamp, saved.first_hit_rank.tolist()) == (result.stamp, result.first_hit_rank.tolist())


def test_what_was_described_is_not_described_again(
    vgsearch, checkpoint, own_store, tiny_city, forward_passes
):
    brighten(vgsearch, tiny_city / "val_night", "bright")
    first = vgsearch("evaluate", checkpoint, "--on", "val")
    assert first.code == 0, first.err
    num_queries = int(re.search(r"\((\d+) queries", first.out)[1])
    forward_passes.clear()
    command = ("evaluate", checkpoint, "--on", "bright", "--against", "val")
    assert vgsearch(*command).code == 0
    assert sum(forward_passes) == num_queries
    forward_passes.clear()
    again = vgsearch(*command)
    assert again.out.count("from stored descriptors") == 2
    assert not forward_passes


@pytest.mark.parametrize("setting", ["database_to_queries", "queries_to_database_add"])
def test_with_fda_the_other_split_keeps_its_style(
    vgsearch, checkpoint, own_store, tiny_city, tmp_path, setting
):
    options = ["--fda", setting, "--fda-beta", 0.05, "--save", "scores"]
    run = vgsearch("evaluate", checkpoint, "--on", "val", "--against", "val", *options)
    assert run.code == 0, run.err
    plain, styled = (line for line in run.out.splitlines() if re.match(r"val\S*: R@1", line))
    assert plain.startswith("val: R@1")
    assert "FDA" not in plain
    assert f"; FDA {setting}, beta 0.05" in styled
    results = [
        RetrievalResult.from_npz(tmp_path / "scores" / f"{line.partition(':')[0]}.npz")
        for line in (plain, styled)
    ]
    for found in LINE.finditer(run.out):
        assert_difference(found, *results)


def test_a_query_method_is_that_of_both(vgsearch, checkpoint, own_store, tiny_city, tmp_path):
    brighten(vgsearch, tiny_city / "val_night", "bright")
    options = ["--query-method", "five_crops", "--resize-px", 48, "--save", "scores"]
    run = vgsearch("evaluate", checkpoint, "--on", "bright", "--against", "val", *options)
    assert run.code == 0, run.err
    stamps = [RetrievalResult.from_npz(file).stamp for file in sorted((tmp_path / "scores").iterdir())]
    assert len({stamp.partition("-")[0] for stamp in stamps}) == 2
    assert {stamp.partition("-")[2] for stamp in stamps} == {"25m-five_crops-48px"}
    assert run.out.count("queries by five_crops") == 2


def test_both_splits_of_a_test_are_counted_and_each_kept_as_what_it_is(
    vgsearch, own_searched_store, tmp_path
):
    registry, home, _ = own_searched_store
    version = registry.versions("pot")[0]
    split = Path(read_spec(registry.download(version.reference)).data.tests["night"])
    brighten(vgsearch, split, "bright")
    command = ("evaluate", version.reference, "--on", "bright", "--against", "test/night", "--home", home)
    run = vgsearch(*command, "--save", "scores")
    assert run.code == 0, run.err
    first, second = (
        RetrievalResult.from_npz(tmp_path / "scores" / f"{name}.npz") for name in ("test_night", "bright")
    )
    for found in LINE.finditer(run.out):
        assert_difference(found, first, second)
        assert_interval(found, first, second)
    plain, bright = (line for line in run.out.splitlines() if re.match(r"(test/night|bright): ", line))
    assert plain.startswith("test/night: ")
    assert plain.endswith("; scored once so far")
    assert bright.endswith("; scored 2 times so far")
    scorings = registry.scored_tests("pot")
    assert [scoring.split for scoring in scorings] == ["night", "night"]
    kept = [RetrievalResult.from_npz(npz) for _, npz in kept_tests(registry, version, scorings[0].model)]
    names = {result.stamp: result.set_name for result in kept}
    assert {names[scoring.stamp].partition(":")[0] for scoring in scorings} == {
        "test/night",
        "bright-translated",
    }
    assert vgsearch(*command).code == 0
    looks = registry.test_scorings("pot")["night"]
    assert (looks.scorings, looks.different) == (4, 2)


def test_other_queries_are_refused_before_anything_is_scored_or_counted(
    vgsearch, own_searched_store, tmp_path, forward_passes
):
    registry, home, _ = own_searched_store
    version = registry.versions("pot")[0]
    night = Path(read_spec(registry.download(version.reference)).data.tests["night"])

    def refused(split: str, *words: str, on: tuple[str, ...] = ()) -> None:
        command = ("evaluate", version.reference, *on, "--on", split, "--home", home)
        assert len(assert_refused(vgsearch(*command, "--against", "test/night"), *words)) == 1

    fewer = sorted((linked_copy(night, tmp_path / "fewer") / "queries").iterdir())
    fewer[3].unlink()
    refused("fewer", "test/night and fewer", "query 4 of 96", repr(fewer[3].name), repr(fewer[4].name))
    last = sorted((linked_copy(night, tmp_path / "last") / "queries").iterdir())[-1]
    last.unlink()
    refused("last", f"query 96 of 96 in test/night, {last.name!r}, is missing in last, which has 95")
    photos = sorted((linked_copy(night, tmp_path / "moved") / "queries").iterdir())
    rows = [f"{photo.name},{photo.name.split('@')[1]},{photo.name.split('@')[2]}" for photo in photos]
    rows[5] = f"{photos[5].name},123456,4567890"
    (tmp_path / "moved" / "queries" / "images.csv").write_text("\n".join(["path,utm_east,utm_north", *rows]))
    refused("moved", f"query 6, {photos[5].name!r}", "at 123456.00, 4567890.00 m in the other")
    gallery = sorted((linked_copy(night, tmp_path / "gallery") / "database").iterdir())
    gallery[0].unlink()
    refused("gallery", f"{gallery[0].name!r} of the database of test/night is missing in that of gallery")
    refused("test/day", "test/night and test/day", "query 1 of 96")
    brighten(vgsearch, night, "bright")
    refused("test/day", "test/night and test/day", on=("--on", "bright"))
    refused("night", "--on test/night and --against test/night are the same photos")
    assert not forward_passes
    assert registry.scored_tests("pot") == []


def test_what_does_not_go_with_it(vgsearch, checkpoint, own_store):
    begin = ("evaluate", checkpoint, "--on", "val", "--against")
    assert_refused(vgsearch(*begin, "nowhere"), "--against nowhere is no split of this checkpoint (val)")
    rerank = vgsearch(*begin, "val", "--rerank", "geowarp:warp")
    assert len(assert_refused(rerank, "--against compares two splits and --rerank two orders of one")) == 1
