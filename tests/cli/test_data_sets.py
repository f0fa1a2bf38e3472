"""`vgsearch data tokyo-night` and `target-domain` as a user types them, and what searches make of them."""

import shutil

import pytest
import yaml

from tests.cli.test_bad_input import assert_refused
from tests.data import layouts


def test_tokyo_night_by_numbers(vgsearch, tmp_path):
    layouts.tokyo_xs(tmp_path / "data")
    run = vgsearch("data", "tokyo-night", "data/tokyo_xs/test", "data/tokyo_night/test")
    assert run.code == 0, run.err
    assert "4 of 12 queries are night, by the numbers of Tokyo 24/7 (every third query is night)" in run.out
    assert "data/tokyo_night/test: links of the whole database and of these queries" in run.out
    assert len(list((tmp_path / "data/tokyo_night/test/queries").iterdir())) == 4
    assert_refused(
        vgsearch("data", "tokyo-night", "data/tokyo_xs/test", "data/tokyo_night/test"), "exists already"
    )
    assert vgsearch("data", "check", "data/tokyo_night/test").code == 0


def test_brightness_waits_for_a_persons_look(vgsearch, tmp_path):
    layouts.write(tmp_path / "set" / "database", ["db.jpg"])
    layouts.write(tmp_path / "set" / "queries", [f"day{i}.jpg" for i in range(5)], value=180)
    layouts.write(tmp_path / "set" / "queries", [f"night{i}.jpg" for i in range(3)], value=10)
    run = vgsearch("data", "tokyo-night", "set", "out")
    (line,) = assert_refused(run, "(3 of 8)", "--yes", "--manifest", "nothing was written")
    assert "Otsu's threshold" in run.out
    assert not (tmp_path / "out").exists()
    run = vgsearch("data", "tokyo-night", "set", "out", "--yes", "--copy")
    assert run.code == 0, run.err
    assert "3 of 8 queries are night, by brightness alone" in run.out
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_a_manifest_decides(vgsearch, tmp_path):
    layouts.msls(tmp_path)
    queries = sorted((tmp_path / "msls" / "val" / "queries").iterdir())
    rows = [f"{path.name},{'night' if i < 5 else 'sunset'}" for i, path in enumerate(queries)]
    (tmp_path / "list.csv").write_text("\n".join(["name,time_of_day", *rows]))
    run = vgsearch("data", "tokyo-night", "msls/val", "out", "--manifest", "list.csv")
    assert "5 of 6 queries are night, by the manifest" in run.out
    assert_refused(vgsearch("data", "tokyo-night", "msls/val", "out2", "--by", "manifest"), "--manifest FILE")
    assert_refused(
        vgsearch("data", "tokyo-night", "msls/val", "out2", "--by", "note", "--manifest", "list.csv"),
        "leave one of them out",
    )
    assert_refused(vgsearch("data", "tokyo-night", "nowhere", "out2"), "nowhere is no retrieval set")


def test_target_domain_against_folders_and_a_space(vgsearch, space_file, own_city):
    both = (own_city / "target_night", own_city / "test_day" / "queries")
    for option, value in (("--against", own_city / "test_day"), ("--space", space_file)):
        assert_refused(
            vgsearch("data", "target-domain", *both, "--out", "target", option, value),
            "photos of the target domain are queries of the test",
        )
    run = vgsearch("data", "target-domain", *both, "--out", "target", "--space", space_file, "--leave-out")
    assert run.code == 0, run.err
    assert "left out: queries of a test" in run.out
    assert "no query of day among them" in run.out
    run = vgsearch("data", "target-domain", own_city / "target_night", "--out", "two", "--limit", "5")
    assert "5 photos linked into two" in run.out
    assert "checked against no test" in run.out
    assert_refused(
        vgsearch("data", "target-domain", *both, "--out", "t3", "--leave-out", "--transductive"),
        "one of both",
    )


def test_a_search_refuses_a_target_domain_with_queries_of_its_tests(vgsearch, space_file, own_city, tmp_path):
    target = tmp_path / "data" / "target"
    shutil.copytree(own_city / "target_night", target)
    shutil.copy(next((own_city / "test_day" / "queries").iterdir()), target / "found_on_the_street.jpg")
    options = ("--set", "data.target_domain=target", "--set", "trial.domain={grl_alpha: 0.3}")
    for command in ("train", "tune"):
        (line,) = assert_refused(
            vgsearch(command, space_file, *options),
            "1 photos of the target domain are queries of the test day, first",
            "found_on_the_street.jpg",
            "--transductive",
        )
    assert not list((tmp_path / "runs").glob("trials/*"))


@pytest.mark.slow
def test_a_transductive_target_domain_is_said_and_tagged(vgsearch, space_file, own_city, tmp_path):
    run = vgsearch(
        "data",
        "target-domain",
        own_city / "test_day" / "queries",
        "--out",
        "data/target",
        "--space",
        space_file,
        "--transductive",
    )
    assert run.code == 0, run.err
    record = yaml.safe_load((tmp_path / "data" / "target" / "target_domain.yaml").read_text())
    assert record["transductive"] is True
    assert "transductive" in vgsearch("data", "check", "data/target").out
    options = ("--set", "data.target_domain=target", "--set", "trial.domain={grl_alpha: 0.3}")
    run = vgsearch("train", space_file, *options)
    assert run.code == 0, run.err
    assert "is transductive: queries of a test may be among its photos" in run.out
    assert "transductive" in vgsearch("best", "quick_train").out

    from vgsearch.registry.mlflow_registry import MlflowRegistry

    registry = MlflowRegistry(tmp_path / "runs")
    (trial,) = registry.trials("quick_train")
    assert trial.tags["vgsearch.transductive"] == "true"
    assert registry.searches()[0].tags["vgsearch.transductive"] == "true"


@pytest.mark.slow
def test_a_query_folder_of_a_test_is_counted_as_that_test(vgsearch, space_file, own_city):
    (own_city / "test_day" / "queries_late").mkdir()
    for photo in list((own_city / "test_day" / "queries").iterdir())[:5]:
        shutil.copy(photo, own_city / "test_day" / "queries_late" / photo.name)
    late = ("--set", "data.tests={late: 'demo_city/test_day#queries_late'}")
    assert vgsearch("train", space_file, *late).code == 0
    model = "models:/vgsearch-quick_train@champion"
    run = vgsearch("evaluate", model, "--on", "late", "--on", "demo_city/test_day#queries_late")
    assert run.code == 0, run.err
    assert run.out.count("5 queries") == 2
    assert run.out.count("scored once so far") + run.out.count("scored 2 times so far") == 2
    run = vgsearch("evaluate", model, "--on", "demo_city/test_day")
    assert "so far" not in run.out


@pytest.mark.slow
def test_training_photos_without_headings_name_the_key(vgsearch, space_file, own_city):
    for photo in list((own_city / "train").iterdir()):
        fields = photo.name.split("@")
        photo.rename(photo.with_name("@".join([*fields[:9], "", *fields[10:]])))
    (line,) = assert_refused(
        vgsearch("train", space_file), "have no heading", "trial.cells.heading_deg to 360"
    )
    run = vgsearch("train", space_file, "--set", "trial.cells.heading_deg=360")
    assert run.code == 0, run.err


def test_check_says_what_it_recognised(vgsearch, tmp_path):
    layouts.svox(tmp_path)
    run = vgsearch("data", "check", "svox/images/test#queries_night")
    assert run.code == 0, run.out
    assert "gallery/ and queries_night/" in run.out
    run = vgsearch(
        "data", "check", "svox/images/train", "--as-train", "--heading-deg", "360", "--min-images", "1"
    )
    assert "training photos" in run.out
    assert "no headings" in run.out


@pytest.mark.parametrize("split", ["svox/images/test#queries_fog", "svox/images/test#"])
def test_a_query_folder_that_is_not_there(vgsearch, tmp_path, split):
    layouts.svox(tmp_path)
    assert_refused(vgsearch("data", "check", split), "has no query folder", "queries_night")
