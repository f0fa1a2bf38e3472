"""The store with real files, real processes and real locks; the network counts how often it is asked."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vgsearch.config.search import EvalConfig
from vgsearch.data.index import ImageIndex, index_folder
from vgsearch.errors import DataError, DivergedError, StorageError
from vgsearch.models.precision import Precision
from vgsearch.retrieval.descriptor_entry import DATA_FILE, RECORD_FILE
from vgsearch.retrieval.descriptor_store import DescriptorStore, entry_lock
from vgsearch.retrieval.extraction import extract_descriptors
from vgsearch.retrieval.query_methods import DescribedPart

if TYPE_CHECKING:
    from conftest import ToyNetwork, WriteImages

OPTIONS: dict[str, Any] = {
    "eval_config": EvalConfig(),
    "device": torch.device("cpu"),
    "precision": Precision(torch.float32, use_scaler=False),
}
NUM_IMAGES = 12


@dataclass(frozen=True)
class Identity:
    weights_sha256: str
    architecture: str = "toy"


MODEL = Identity("a" * 64)


class Counting(nn.Module):
    """Counts the images that pass through."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.images = 0
        self.during: Callable[[], None] = lambda: None

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        self.during()
        out: Tensor = self.network(images)
        return out


class Place(NamedTuple):
    """A store's root, a counting network, an index of images and what the store said."""

    root: Path
    network: Counting
    index: ImageIndex
    said: list[str]

    def store(self) -> DescriptorStore:
        """A new object, which knows as little as a new process."""
        return DescriptorStore(self.root, say=self.said.append)

    def describe(self, **changes: Any) -> np.ndarray:
        return self.store().describe(self.network, MODEL, self.index, **(OPTIONS | changes))

    @property
    def entry(self) -> Path:
        (entry,) = (path for path in self.root.iterdir() if path.name != "locks")
        return entry


@pytest.fixture
def place(write_images: WriteImages, network: ToyNetwork, tmp_path: Path) -> Place:
    index = write_images(tmp_path / "photos", [(32, 40)] * (NUM_IMAGES - 3) + [(40, 32)] * 3)
    return Place(tmp_path / "home" / "descriptors", Counting(network), index, [])


def refuse() -> nn.Module:
    raise AssertionError("the network was asked for")


def test_extracted_once_and_never_again(place: Place) -> None:
    expected = extract_descriptors(place.network.network, place.index, **OPTIONS)
    first = place.describe()
    assert place.network.images == NUM_IMAGES
    second = place.store().describe(refuse, MODEL, place.index, **OPTIONS)
    assert place.network.images == NUM_IMAGES
    for rows in (first, second):
        np.testing.assert_array_equal(rows, expected)
        assert rows.dtype == np.float32
        assert isinstance(rows, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            rows[0, 0] = 1
    np.testing.assert_array_equal(np.load(place.entry / DATA_FILE), expected)
    assert place.said == []


def test_progress_is_told_of_extraction_alone(place: Place) -> None:
    steps: list[int] = []
    place.describe(progress=steps.append)
    assert sum(steps) == NUM_IMAGES
    place.describe(progress=steps.append)
    assert sum(steps) == NUM_IMAGES


def test_another_batch_size_reads_and_another_size_extracts(place: Place) -> None:
    place.describe()
    place.describe(eval_config=EvalConfig(batch_size=1))
    assert place.network.images == NUM_IMAGES
    resized = EvalConfig(resize_px=24)
    rows = place.describe(eval_config=resized)
    assert place.network.images == 2 * NUM_IMAGES
    expected = extract_descriptors(place.network.network, place.index, **(OPTIONS | {"eval_config": resized}))
    np.testing.assert_array_equal(rows, expected)


def test_missing_and_find_extract_nothing(place: Place) -> None:
    store = place.store()
    part = place.index.subset([3, 1])
    whole, some = (DescribedPart(index, OPTIONS["eval_config"]) for index in (place.index, part))
    where = {"device": OPTIONS["device"], "precision": OPTIONS["precision"]}
    assert store.missing(MODEL, [whole, some, whole], **where) == [whole, some]
    assert store.find(MODEL, place.index, **OPTIONS) is None
    assert not place.root.exists()
    rows = place.describe()
    assert store.missing(MODEL, [whole, some], **where) == [some]
    np.testing.assert_array_equal(store.find(MODEL, place.index, **OPTIONS), rows)
    assert place.network.images == NUM_IMAGES


def test_rows_follow_the_order_of_a_subset(place: Place) -> None:
    whole = place.describe()
    ids = [7, 2, 9]
    rows = place.store().describe(place.network, MODEL, place.index.subset(ids), **OPTIONS)
    np.testing.assert_allclose(rows, whole[ids], atol=1e-6)


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0x10]))


def edit_record(entry: Path, **changes: Any) -> None:
    record = json.loads((entry / RECORD_FILE).read_text())
    (entry / RECORD_FILE).write_text(json.dumps(record | changes))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "data cut short": lambda entry: os.truncate(entry / DATA_FILE, 500),
    "data cut by one byte": lambda entry: os.truncate(
        entry / DATA_FILE, (entry / DATA_FILE).stat().st_size - 1
    ),
    "data empty": lambda entry: os.truncate(entry / DATA_FILE, 0),
    "data longer": lambda entry: os.truncate(entry / DATA_FILE, 5000),
    "data gone": lambda entry: (entry / DATA_FILE).unlink(),
    "data a folder": lambda entry: ((entry / DATA_FILE).unlink(), (entry / DATA_FILE).mkdir()),
    "first value": lambda entry: flip(entry / DATA_FILE, 128),
    "middle value": lambda entry: flip(entry / DATA_FILE, 300),
    "last value": lambda entry: flip(entry / DATA_FILE, -1),
    "header": lambda entry: flip(entry / DATA_FILE, 20),
    "record gone": lambda entry: (entry / RECORD_FILE).unlink(),
    "record empty": lambda entry: os.truncate(entry / RECORD_FILE, 0),
    "record cut short": lambda entry: os.truncate(entry / RECORD_FILE, 100),
    "record binary": lambda entry: (entry / RECORD_FILE).write_bytes(bytes(range(256))),
    "record a list": lambda entry: (entry / RECORD_FILE).write_text("[1, 2]"),
    "record deep": lambda entry: (entry / RECORD_FILE).write_text("[" * 100_000),
    "record huge": lambda entry: (entry / RECORD_FILE).write_text(" " * 2**21),
    "record of another": lambda entry: edit_record(entry, name="0" * 32),
    "other shape": lambda entry: edit_record(entry, num_images=NUM_IMAGES // 2, dim=32),
    "no shape": lambda entry: edit_record(entry, dim=0),
    "shape in words": lambda entry: edit_record(entry, dim="16"),
    "other checksum": lambda entry: edit_record(entry, checksum="0" * 32),
    "checksum a number": lambda entry: edit_record(entry, checksum=3),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_entry_is_remade(place: Place, damage: Callable[[Path], object]) -> None:
    expected = np.array(place.describe())
    damage(place.entry)
    assert_remade(place, place.store(), expected)
    np.testing.assert_array_equal(place.store().describe(refuse, MODEL, place.index, **OPTIONS), expected)
    assert len(place.said) == 1


@pytest.mark.parametrize("name", ["data cut short", "data gone", "data longer", "middle value", "header"])
def test_data_that_is_damaged_while_it_is_in_use(place: Place, name: str) -> None:
    expected = np.array(place.describe())
    store = place.store()
    store.describe(refuse, MODEL, place.index, **OPTIONS)
    DAMAGES[name](place.entry)
    assert_remade(place, store, expected)


def assert_remade(place: Place, store: DescriptorStore, expected: np.ndarray) -> None:
    assert store.find(MODEL, place.index, **OPTIONS) is None
    rows = store.describe(place.network, MODEL, place.index, **OPTIONS)
    np.testing.assert_array_equal(rows, expected)
    assert place.network.images == 2 * NUM_IMAGES
    (line,) = place.said
    assert re.search(r"photos were damaged and are made anew \(.+\)", line)


def test_every_single_bit_of_the_data_counts(place: Place) -> None:
    place.describe()
    data = place.entry / DATA_FILE
    whole = data.read_bytes()
    for offset in range(0, len(whole), 41):
        flip(data, offset)
        assert place.store().find(MODEL, place.index, **OPTIONS) is None
        data.write_bytes(whole)
    assert place.store().find(MODEL, place.index, **OPTIONS) is not None


def test_an_entry_under_another_name_is_no_answer(place: Place) -> None:
    """A folder that was copied by hand over another model's."""
    place.describe()
    other = Identity("b" * 64)
    key = place.store().key(other, place.index, **OPTIONS)
    shutil.copytree(place.entry, place.root / key.name)
    assert place.store().find(other, place.index, **OPTIONS) is None


def test_a_map_outlives_its_entry(place: Place) -> None:
    rows = place.describe()
    expected = np.array(rows)
    shutil.rmtree(place.entry)
    np.testing.assert_array_equal(rows, expected)


def test_images_that_change_under_way_are_not_kept(place: Place) -> None:
    path = place.index.absolute(NUM_IMAGES - 1)

    place.network.during = lambda: os.utime(path)
    with pytest.raises(DataError, match=rf"{re.escape(path.name)} changed while"):
        place.describe(eval_config=EvalConfig(batch_size=1))
    assert [entry.name for entry in place.root.iterdir()] == ["locks"]


def test_images_that_changed_since_they_were_listed_are_not_kept(place: Place) -> None:
    with place.index.absolute(4).open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match="1 of 12 did"):
        place.describe()
    fresh = index_folder(place.index.root, cache_dir=place.root.parent / "cache")
    assert place.store().describe(place.network, MODEL, fresh, **OPTIONS).shape == (NUM_IMAGES, 16)


def test_a_diverged_network_stores_nothing(place: Place) -> None:
    with torch.no_grad():
        place.network.network.convolution.weight.fill_(torch.nan)
    with pytest.raises(DivergedError):
        place.describe()
    assert [entry.name for entry in place.root.iterdir()] == ["locks"]


def test_a_disk_that_takes_no_more(place: Place) -> None:
    """A write that really fails: files of this process may not grow beyond 512 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            place.describe()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [entry.name for entry in place.root.iterdir()] == ["locks"]
    assert place.describe().shape == (NUM_IMAGES, 16)


def test_too_little_room_ends_with_the_first_batch(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk's answer is made up: a full one cannot be had here."""
    usage = shutil.disk_usage(place.index.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=4 * 16 * NUM_IMAGES - 1))
    with pytest.raises(StorageError, match="12 descriptors take .* GB"):
        place.describe(eval_config=EvalConfig(batch_size=2))
    assert place.network.images == 2
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=4 * 16 * NUM_IMAGES))
    place.describe()


def test_a_root_that_cannot_be_made(place: Place) -> None:
    place.root.parent.mkdir()
    place.root.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="descriptors"):
        place.describe()


def test_threads_extract_once(place: Place) -> None:
    store = place.store()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(store.describe, place.network, MODEL, place.index, **OPTIONS) for _ in range(8)]
    results = [future.result() for future in asked]
    assert place.network.images == NUM_IMAGES
    for rows in results:
        np.testing.assert_array_equal(rows, results[0])


def test_hundreds_of_maps_at_once(place: Place) -> None:
    """More than the process may open files, at first; the second round neither reads nor maps anything."""
    store = place.store()
    models = [Identity(hashlib.sha256(bytes([i])).hexdigest()) for i in range(150)]
    expected = np.array(place.describe())
    original = place.entry
    for model in models:
        key = store.key(model, place.index, **OPTIONS)
        shutil.copytree(original, place.root / key.name)
        edit_record(place.root / key.name, name=key.name)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 50, before[1]))
    try:
        maps = [store.describe(refuse, model, place.index, **OPTIONS) for model in models]
        again = [store.describe(refuse, model, place.index, **OPTIONS) for model in models]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert all(first is second for first, second in zip(maps, again, strict=True))
    for rows in maps:
        np.testing.assert_array_equal(rows, expected)


SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
from vgsearch.config.search import EvalConfig
from vgsearch.data.index import index_folder
from vgsearch.models import atomic_folder
from vgsearch.models.precision import Precision
from vgsearch.retrieval.descriptor_store import DescriptorStore

root, photos, cache = (Path(text) for text in sys.argv[1:4])
log, die = sys.argv[4:]

class Identity:
    weights_sha256 = "a" * 64
    architecture = "toy"

class Network(torch.nn.Module):
    def forward(self, images):
        with open(log, "a") as file:
            file.write(f"{len(images)}\\n")
        if die == "extracting":
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.nn.functional.normalize(images.float().flatten(1)[:, :8], dim=1)

def kill(path):
    os.kill(os.getpid(), signal.SIGKILL)

if die == "writing":
    atomic_folder._flush = kill
if die == "started":
    print("ready", flush=True)
    sys.stdin.readline()
rows = DescriptorStore(root).describe(
    Network, Identity, index_folder(photos, cache_dir=cache), eval_config=EvalConfig(batch_size=1),
    device=torch.device("cpu"), precision=Precision(torch.float32, use_scaler=False),
)
print(rows.sum(dtype="float64"))
"""


@pytest.fixture
def start(place: Place, tmp_path: Path) -> Callable[[str], subprocess.Popen[str]]:
    """Start a process that describes the images with a network of its own, and may die on the way."""
    script = tmp_path / "describe.py"
    script.write_text(SCRIPT)

    def run(die: str) -> subprocess.Popen[str]:
        paths = (place.root, place.index.root, tmp_path / "cache", tmp_path / "log")
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen([sys.executable, script, *map(str, paths), die], text=True, **pipes)

    return run


@pytest.mark.slow
def test_two_processes_extract_once(start: Callable[[str], subprocess.Popen[str]], tmp_path: Path) -> None:
    processes = [start("started") for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert (tmp_path / "log").read_text().count("\n") == NUM_IMAGES


@pytest.mark.slow
def test_who_waits_says_so(place: Place, start: Callable[[str], subprocess.Popen[str]]) -> None:
    key = place.store().key(MODEL, place.index, **OPTIONS)
    with entry_lock(place.root, key.name):
        process = start("never")
        line = process.stderr.readline()
        assert "another process is describing" in line
        assert process.poll() is None
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["extracting", "writing"])
def test_a_killed_writer_blocks_nobody(
    place: Place, start: Callable[[str], subprocess.Popen[str]], moment: str
) -> None:
    process = start(moment)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    left = [path.name for path in place.root.iterdir() if path.name.startswith(".")]
    assert len(left) == (1 if moment == "writing" else 0)
    assert place.store().find(MODEL, place.index, **OPTIONS) is None
    assert place.describe().shape == (NUM_IMAGES, 16)
    assert place.said == []
    assert not [path for path in place.root.iterdir() if path.name.startswith(".")]
