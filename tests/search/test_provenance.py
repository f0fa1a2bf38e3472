from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from vgsearch.data.index import index_folder
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.search.provenance import changes_since, gather, this_node


def test_what_is_recorded(load: Any, tiny_city: Path) -> None:
    document, data = load("trial.epochs=2", "search.sampler.seed=7")
    nodes = [{"hostname": "a"}, {"hostname": "b"}]
    files = gather(document, data, nodes)
    assert {"search.yaml", "parsed.json", "data.json", "hardware.json", "packages.txt"} <= set(files)
    assert files["search.yaml"].decode() == (
        f"{document.text}\n# --set trial.epochs=2\n# --set search.sampler.seed=7"
    )
    parsed = json.loads(files["parsed.json"])
    assert parsed["seeds"] == {"sampler": 7, "trial": [0]}
    assert parsed["search"]["num_trials"] == 3
    assert parsed["resources"]["max_concurrent"] == 1
    assert parsed["data"]["train"] == str(tiny_city / "train")
    assert json.dumps(parsed["trial"]) == json.dumps(json.loads(document.space.to_json()))
    assert json.loads(files["hardware.json"]) == nodes
    lines = files["packages.txt"].decode().splitlines()
    assert lines[0].startswith("# Python 3.")
    assert f"optuna=={metadata.version('optuna')}" in lines
    assert lines[1:] == sorted(lines[1:], key=lambda line: line.partition("==")[0].casefold())
    splits = json.loads(files["data.json"])["splits"]
    assert set(splits) == {"train", "val", "test/day"}
    for split, part in (("val", "database"), ("val", "queries"), ("test/day", "database")):
        folder = {"val": "val_day", "test/day": "test_day"}[split]
        listed = list((tiny_city / folder / part).rglob("*.jpg"))
        assert splits[split][part]["images"] == len(listed) > 0
        assert splits[split][part]["content_hash"] == index_folder(tiny_city / folder / part).content_hash
    assert splits["train"]["images"] == len(list((tiny_city / "train").rglob("*.jpg")))


def test_a_split_that_cannot_be_read_is_said(load: Any) -> None:
    document, data = load()
    data = data.model_copy(update={"tests": {"day": "/nowhere"}, "target_domain": "/nowhere/either"})
    splits = json.loads(gather(document, data, [])["data.json"])["splits"]
    assert "/nowhere is no retrieval set" in splits["test/day"]["error"]
    assert "does not exist" in splits["target_domain"]["error"]
    assert splits["train"]["images"] > 0


def test_each_target_domain_is_described(load: Any, tiny_city: Path) -> None:
    document, data = load()
    night = str(tiny_city / "target_night")
    several = data.model_copy(update={"target_domain": {"night": night, "rain": "/nowhere"}})
    splits = json.loads(gather(document, several, [])["data.json"])["splits"]
    assert splits["target_domain/night"]["content_hash"] == index_folder(Path(night)).content_hash
    assert "does not exist" in splits["target_domain/rain"]["error"]


def test_no_environment_is_recorded(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2hunter2@example.org")
    document, data = load()
    assert b"hunter2" not in b"".join(gather(document, data, [this_node()]).values())


def test_this_node() -> None:
    node = this_node()
    assert node["hostname"] == os.uname().nodename
    assert node["cpus"] == os.cpu_count()
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        kibibytes = int(meminfo.read_text().splitlines()[0].split()[1])
        assert node["memory_bytes"] == kibibytes * 1024
    json.dumps(node)


def test_gpus_as_the_driver_tells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No GPU here: a stand-in for nvidia-smi prints what the real one prints.
    fake = tmp_path / "nvidia-smi"
    fake.write_text(
        "#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559, 550.90.07'\necho 'Tesla T4, 15360, 1.0'\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert this_node()["gpus"] == [
        {"name": "NVIDIA H100 80GB HBM3", "memory_bytes": 81559 * 1024**2, "driver": "550.90.07"},
        {"name": "Tesla T4", "memory_bytes": 15360 * 1024**2, "driver": "1.0"},
    ]
    fake.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    assert this_node()["gpus"] == []


def test_a_resume_records_only_what_changed() -> None:
    registry = MemoryRegistry()
    run = registry.open_search("grl", params={}, config_text="")
    state = None
    sessions = [
        {"git.txt": b"1", "packages.txt": b"p"},
        {"git.txt": b"1", "packages.txt": b"p"},
        {"git.txt": b"2", "packages.txt": b"p", "new.txt": b""},
        {"packages.txt": b"p2", "new.txt": b""},
    ]
    folders = []
    for files in sessions:
        update = changes_since(state, files)
        registry.log_files(run, update.folder, update.files)
        state = update.state
        folders.append(update.folder)
        # What was there in this session can be put together from the manifest.
        manifest = json.loads(registry.files(run)[f"{update.folder}/manifest.json"])
        stored = registry.files(run)
        assert {name: stored[f"{each['folder']}/{name}"] for name, each in manifest.items()} == files
    assert folders == ["provenance", *(f"provenance/resume_{n}" for n in (2, 3, 4))]
    files = sorted(name for name in registry.files(run) if "manifest" not in name)
    assert files == [
        "config.yaml",
        "provenance/git.txt",
        "provenance/packages.txt",
        "provenance/resume_3/git.txt",
        "provenance/resume_3/new.txt",
        "provenance/resume_4/packages.txt",
    ]


def test_asking_a_node_imports_nothing_heavy() -> None:
    code = (
        "import sys, vgsearch.search.provenance; "
        "sys.exit(' '.join({'torch', 'ray', 'mlflow', 'optuna'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
