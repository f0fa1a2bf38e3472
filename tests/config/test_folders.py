from __future__ import annotations

import pytest

from vgsearch.config.folders import absolute_data, folder_by_key
from vgsearch.config.search import DataConfig
from vgsearch.errors import ConfigError

TEXT = """\
name: a
data:
  demo_city: {folder: city}
  train: city/train
  val:
    day: city/val_day
    night: real/val_night
  tests: {t: real/test}
  target_domain: /elsewhere/night
search: {objective: val/mean/recall_at_1}
"""


def test_absolute_data(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.chdir(tmp_path)
    data = DataConfig(
        train="a/../b",
        val={"x": "~/v"},
        tests={"t": "/abs/t"},
        target_domain="n",
        demo_city={"folder": "city"},
    )
    found = absolute_data(data, tmp_path / "data")
    assert found.train == f"{tmp_path}/data/b"
    assert found.val == {"x": "/home/someone/v"}
    assert found.tests == {"t": "/abs/t"}
    assert found.target_domain == f"{tmp_path}/data/n"
    assert found.demo_city.folder == f"{tmp_path}/data/city"
    assert found.demo_city.image_px == data.demo_city.image_px
    assert absolute_data(DataConfig(train="t", val="v"), tmp_path).val == f"{tmp_path}/v"
    several = DataConfig(train="t", val="v", target_domain={"night": "n", "rain": "/abs/r"})
    assert absolute_data(several, tmp_path).target_domain == {"night": f"{tmp_path}/n", "rain": "/abs/r"}


def test_absolute_data_from_a_relative_root(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    assert absolute_data(DataConfig(train="t", val="v"), Path("data")).train == f"{tmp_path}/data/t"


def test_folder_by_key():
    data = DataConfig(train="t", val={"day": "d"}, tests={"x": "y"})
    assert folder_by_key(data) == {
        ("data", "train"): "t",
        ("data", "val", "day"): "d",
        ("data", "tests", "x"): "y",
    }
    assert folder_by_key(DataConfig(train="t", val="v", target_domain="n")) == {
        ("data", "train"): "t",
        ("data", "val"): "v",
        ("data", "target_domain"): "n",
    }
    several = DataConfig(train="t", val="v", target_domain={"night": "n", "rain": "r"})
    assert list(folder_by_key(several).items())[-2:] == [
        (("data", "target_domain", "night"), "n"),
        (("data", "target_domain", "rain"), "r"),
    ]


def test_loading_checks_folders_but_not_those_of_an_unbuilt_city(problems, tmp_path):
    root = tmp_path / "data"
    (root / "real").mkdir(parents=True)
    (root / "real" / "test").touch()
    assert problems(TEXT, data_root=root) == [
        f"space.yaml:7: data.val.night: folder data/real/val_night does not exist; "
        f"put it there, or set --data-root (now {root})".replace(f"{tmp_path}/", ""),
        "space.yaml:8: data.tests.t: must be a folder, got the file data/real/test",
        "space.yaml:9: data.target_domain: folder /elsewhere/night does not exist; "
        f"put it there, or set --data-root (now {root})".replace(f"{tmp_path}/", ""),
    ]


def test_a_missing_folder_among_several_target_domains(problems, tmp_path):
    for folder in ("t", "v", "rain"):
        (tmp_path / folder).mkdir()
    text = "name: a\ndata:\n  train: t\n  val: v\n  target_domain:\n    rain: rain\n    night: n\n"
    (problem,) = problems(text, data_root=tmp_path)
    assert problem.startswith("space.yaml:7: data.target_domain.night: folder n does not exist")


def test_resolved_data(load, tmp_path):
    document = load(TEXT)
    root = tmp_path / "data"
    for folder in ("real/val_night", "real/test"):
        (root / folder).mkdir(parents=True)
    with pytest.raises(ConfigError) as caught:
        document.resolved_data(root)
    build = f"does not exist; build it with `vgsearch data demo {root}/city`"
    assert caught.value.problems == [
        f"{document.source}:4: data.train: folder {root}/city/train {build}",
        f"{document.source}:6: data.val.day: folder {root}/city/val_day {build}",
        f"{document.source}:9: data.target_domain: folder /elsewhere/night does not exist; "
        f"put it there, or set --data-root (now {root})",
    ]
    with pytest.raises(ConfigError) as caught:
        document.resolved_data(root, allow_unbuilt_demo=True)
    assert len(caught.value.problems) == 1

    document = load(TEXT, f"data.target_domain={root}")
    data = document.resolved_data(root, allow_unbuilt_demo=True)
    assert data.val == {"day": f"{root}/city/val_day", "night": f"{root}/real/val_night"}


def test_an_overridden_folder_is_named_by_its_override(load, tmp_path):
    document = load(TEXT, "data.train=x/y")
    with pytest.raises(ConfigError, match=r"(?m)^--set data.train: data.train: folder .*x/y does not exist"):
        document.resolved_data(tmp_path)


def test_an_empty_folder_name(problems, tmp_path):
    assert problems("name: a\ndata: {train: t, val: ''}", data_root=tmp_path)[1:] == [
        "space.yaml:2: data.val: must name a folder, got ''"
    ]
