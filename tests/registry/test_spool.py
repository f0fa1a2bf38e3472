"""Outages and kills at any point of a search's records, against the same search without any."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.errors import CheckpointError, RegistryError, RegistryUnreachableError, StorageError
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.registry.spool import SpooledRegistry
from vgsearch.registry.spool_calls import METHODS


class KilledError(BaseException):
    """SIGKILL, as far as the code under test can tell: nothing after it runs in this process."""


@dataclass
class FaultyRegistry:
    """A registry that fails as `faults` say: before or after the effect, by an outage or by a kill."""

    inner: MemoryRegistry
    faults: Iterator[str] = field(default_factory=lambda: iter(()))
    is_up: bool = True
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            fault = next(self.faults, "") if self.is_up else "down"
            self.calls.append(name)
            if fault == "down":
                raise RegistryUnreachableError("connection refused")
            if fault == "killed before":
                raise KilledError
            result = real(*args, **kwargs)
            if fault == "lost answer":
                raise RegistryUnreachableError("timed out")
            if fault == "killed after":
                raise KilledError
            return result

        return call


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s, self.step_s = 100.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


class Spool:
    """A spool over a faulty registry, with what it says."""

    def __init__(self, folder: Path, *, is_up: bool = True) -> None:
        self.memory = MemoryRegistry()
        self.faulty = FaultyRegistry(self.memory, is_up=is_up)
        self.clock = Clock()
        self.folder = folder
        self.said: list[str] = []
        self.restart()

    def restart(self, store: str = "") -> None:
        """Start another process on the same folder."""
        self.registry = SpooledRegistry(
            lambda: self.faulty, self.folder, store=store, say=self.said.append, clock=self.clock
        )


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def open_search(registry: Any) -> str:
    return registry.open_search("grl", params={"lr": 1e-5}, config_text="name: grl\n", tags={"o": "1"})


def open_trial(registry: Any, uid: str) -> str:
    return registry.open_trial("grl", uid, label=f"trial {uid}", params={"n": {"a": 1}}, spec_text="x")


def drive(registry: Any, checkpoints: Path) -> None:
    """Record a search of three trials; run again after a kill, it goes over all of it again."""
    parent = open_search(registry)
    registry.log_files(parent, "provenance", {"git.txt": b"\x00\xff" * 10})
    runs = [open_trial(registry, f"t{i}") for i in range(3)]
    for i, run in enumerate(runs):
        for epoch in (1, 2):
            registry.log_epoch(run, epoch, {"val/recall_at_1": 10.0 * i + epoch / 3, "nan": float("nan")})
        if i == 2:
            registry.finish_trial(run, "failed", reason="the loss is not finite")
            continue
        folder = checkpoints / f"t{i}" / "epoch_0002"
        registry.record_checkpoint(run, folder, search="grl", uid=f"t{i}", epoch=2, tags={"v": str(i)})
        registry.finish_trial(run, "complete", tags={"best": "2"})
        registry.crown("grl", f"t{i}")
    registry.log_scores(registry.find_run("grl", "t1"), {"test/x": 5.5}, {"x.npz": b"\x01"}, tags={"s": "1"})
    registry.count_test_scoring("grl", "x", reference="t1", stamp="s", model="m", scoring_id="finale")
    registry.finish_search(parent, "complete")


def records(memory: MemoryRegistry) -> object:
    """All that a registry holds, without its clock times."""
    return (
        [(run.name, run.state, run.params, run.tags) for run in memory.searches()],
        [
            (t.uid, t.run_id, t.label, t.state, t.reason, t.params, t.tags, t.history)
            for t in memory.trials("grl")
        ],
        memory.versions("grl"),
        memory.champion("grl"),
        memory.files(memory.find_run("grl")),
        [memory.files(run.run_id) for run in memory.trials("grl")],
        dict(memory.test_scorings("grl")),
    )


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trials")
    for uid in ("t0", "t1"):
        folder = root / uid / "epoch_0002"
        folder.mkdir(parents=True)
        for name in ("model.safetensors", "trial.yaml", "metrics.json"):
            (folder / name).write_bytes(f"{uid} {name}".encode())
    return root


@pytest.fixture(scope="module")
def expected(checkpoints: Path) -> object:
    memory = MemoryRegistry()
    drive(memory, checkpoints)
    return records(memory)


FAULTS = ["", "", "down", "down", "lost answer", "killed before", "killed after"]


@settings(max_examples=150, deadline=None)
@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=80),
    steps_s=st.lists(st.sampled_from([0.0, 0.3, 4.0, 20.0]), min_size=1, max_size=4),
    torn=st.booleans(),
)
def test_any_outages_and_kills_end_in_the_same_records(
    checkpoints: Path, expected: object, faults: Sequence[str], steps_s: Sequence[float], torn: bool
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="vgsearch-test-spool-"))
    faulty = FaultyRegistry(MemoryRegistry(), iter(faults))
    clock = Clock()
    for step_s in itertools.cycle(steps_s):
        clock.step_s = step_s
        try:
            registry = SpooledRegistry(lambda: faulty, folder, clock=clock)  # type: ignore[arg-type, return-value]
            drive(registry, checkpoints)
            break
        except KilledError:
            if torn and (journal := folder / "grl.jsonl").exists():
                journal.write_bytes(journal.read_bytes() + b'{"call": "log_epo')
        except RegistryUnreachableError:
            # Nothing may wait of a search that was never opened.
            assert not (folder / "grl.jsonl").exists()
    faulty.faults = iter(())
    assert registry.flush() == 0
    assert records(faulty.inner) == expected
    assert not list(folder.glob("*.refused.jsonl"))
    assert (folder / "grl.jsonl").read_text() == '{"store": ""}\n'
    shutil.rmtree(folder)


@pytest.mark.parametrize("fault", ["down", "lost answer", "killed before", "killed after"])
def test_one_fault_at_every_call(checkpoints: Path, expected: object, tmp_path: Path, fault: str) -> None:
    clean = FaultyRegistry(MemoryRegistry())
    drive(SpooledRegistry(lambda: clean, tmp_path / "clean"), checkpoints)  # type: ignore[arg-type, return-value]
    assert len(clean.calls) > 15
    for at in range(1, len(clean.calls)):
        faulty = FaultyRegistry(MemoryRegistry(), iter([""] * at + [fault]))
        for _ in range(2):
            registry = SpooledRegistry(lambda: faulty, tmp_path / str(at))  # type: ignore  # noqa: B023
            try:
                drive(registry, checkpoints)
                break
            except KilledError:
                continue
        assert registry.flush() == 0
        assert records(faulty.inner) == expected


def test_calls_go_straight_through_while_the_store_answers(spool: Spool, checkpoints: Path) -> None:
    drive(spool.registry, checkpoints)
    assert set(METHODS) - set(spool.faulty.calls) == {"set_champion"}
    assert (spool.folder / "grl.jsonl").read_text() == '{"store": ""}\n'
    assert spool.said == []


def test_later_calls_queue_behind_the_first_that_failed(spool: Spool) -> None:
    run = open_search(spool.registry)
    trial = open_trial(spool.registry, "t0")
    spool.faulty.is_up = False
    spool.registry.log_epoch(trial, 1, {"a": 1.0})
    spool.faulty.is_up = True
    # The store is back, but was asked a moment ago.
    spool.registry.log_epoch(trial, 2, {"a": 2.0})
    spool.registry.finish_search(run, "interrupted")
    assert spool.memory.trials("grl")[0].history == {}
    lines = [json.loads(line) for line in (spool.folder / "grl.jsonl").read_text().splitlines()]
    assert [line.get("call") for line in lines] == [None, "log_epoch", "log_epoch", "finish_search"]
    assert len(spool.said) == 1
    assert str(spool.folder / "grl.jsonl") in spool.said[0]
    spool.clock.now_s += 16
    spool.registry.log_epoch(trial, 3, {"a": 3.0})
    assert spool.faulty.calls[-4:] == ["log_epoch", "log_epoch", "finish_search", "log_epoch"]
    assert spool.memory.trials("grl")[0].history == {epoch: {"a": float(epoch)} for epoch in (1, 2, 3)}
    assert spool.said[1:] == ["the MLflow store answers: 4 records that waited for it are delivered"]


def test_a_store_that_stays_away_is_asked_seldom(spool: Spool) -> None:
    open_search(spool.registry)
    trial = open_trial(spool.registry, "t0")
    spool.faulty.is_up = False
    before = len(spool.faulty.calls)
    for epoch in range(1, 61):
        spool.clock.now_s += 1
        spool.registry.log_epoch(trial, epoch, {"a": 1.0})
    assert 4 <= len(spool.faulty.calls) - before <= 5
    assert spool.registry.flush() == 60
    assert len(spool.said) == 1


def test_a_store_that_is_slow_to_fail_is_asked_more_seldom_still(spool: Spool) -> None:
    open_search(spool.registry)
    trial = open_trial(spool.registry, "t0")
    spool.faulty.is_up = False
    spool.clock.step_s = 30.0  # each reading of the clock, so every failure lasts as long
    spool.registry.log_epoch(trial, 1, {"a": 1.0})
    spool.clock.step_s = 0.0
    before = len(spool.faulty.calls)
    spool.clock.now_s += 149
    spool.registry.log_epoch(trial, 2, {"a": 1.0})
    assert len(spool.faulty.calls) == before
    spool.clock.now_s += 2
    spool.registry.log_epoch(trial, 3, {"a": 1.0})
    assert len(spool.faulty.calls) == before + 1


def test_a_search_cannot_start_without_its_store(tmp_path: Path) -> None:
    spool = Spool(tmp_path, is_up=False)
    for _ in range(2):
        with pytest.raises(RegistryUnreachableError, match="connection refused"):
            open_search(spool.registry)
        with pytest.raises(RegistryUnreachableError, match="connection refused"):
            open_trial(spool.registry, "t0")
        with pytest.raises(RegistryUnreachableError):
            spool.registry.find_run("grl")
    assert spool.registry.flush() == 0
    assert not list(tmp_path.glob("*"))
    spool.faulty.is_up = True
    assert open_search(spool.registry) == "grl/"


def test_a_resumed_search_goes_on_without_its_store(
    spool: Spool, checkpoints: Path, expected: object
) -> None:
    open_search(spool.registry)
    spool.faulty.is_up = False
    spool.restart()
    drive(spool.registry, checkpoints)
    waiting = spool.registry.flush()
    assert waiting == 1 + 1 + 3 + 6 + 2 + 3 + 2 + 1 + 1 + 1
    spool.restart()
    assert spool.registry.flush() == 0  # no search was opened in this process
    assert open_search(spool.registry) == "grl/"
    assert spool.registry.flush() == waiting + 1
    spool.faulty.is_up = True
    spool.said.clear()
    spool.restart()
    open_search(spool.registry)
    assert spool.said == [f"the MLflow store answers: {waiting + 2} records that waited for it are delivered"]
    # The third open_search came after the end, as in a driver that has just started.
    spool.registry.finish_search("grl/", "complete")
    assert records(spool.memory) == expected


def test_a_registry_that_opens_late(tmp_path: Path) -> None:
    memory = MemoryRegistry()
    doors: list[RegistryError | None] = [
        None,
        RegistryUnreachableError("refused"),
        RegistryError("out-of-date database schema"),
        None,
    ]

    def enter() -> MemoryRegistry:
        if (door := doors.pop(0)) is not None:
            raise door
        return memory

    open_search(SpooledRegistry(enter, tmp_path))
    registry = SpooledRegistry(enter, tmp_path)
    open_search(registry)
    assert registry.flush() == 0
    assert doors == []
    with pytest.raises(RegistryError, match="bad address"):
        SpooledRegistry(lambda: (_ for _ in ()).throw(RegistryError("bad address")), tmp_path)


def test_another_store_is_not_given_what_waits_for_the_first(spool: Spool) -> None:
    spool.restart("http://one")
    trial = open_search(spool.registry) and open_trial(spool.registry, "t0")
    spool.restart("http://two")
    open_search(spool.registry)
    spool.restart("http://one")
    spool.faulty.is_up = False
    # It was opened in another store since, so nothing is known of this one.
    with pytest.raises(RegistryUnreachableError):
        open_search(spool.registry)
    spool.restart("http://two")
    open_search(spool.registry)
    spool.registry.log_epoch(trial, 1, {"a": 1.0})
    spool.faulty.is_up = True
    spool.restart("http://one")
    with pytest.raises(RegistryError, match=r"2 records of search 'grl' wait in .*grl.jsonl .*http://two"):
        open_search(spool.registry)


def test_a_checkpoint_that_is_gone_does_not_hold_up_the_rest(
    spool: Spool, make_checkpoint: Callable[..., Path]
) -> None:
    open_search(spool.registry)
    spool.faulty.is_up = False
    for uid in ("t0", "t1"):
        run = open_trial(spool.registry, uid)
        folder = make_checkpoint(uid, 1)
        assert spool.registry.record_checkpoint(run, folder, search="grl", uid=uid, epoch=1) is None
        spool.registry.finish_trial(run, "complete")
        spool.registry.crown("grl", uid)
    shutil.rmtree(folder)
    spool.faulty.is_up = True
    assert spool.registry.flush() == 0
    assert [version.uid for version in spool.memory.versions("grl")] == ["t0"]
    assert [trial.state for trial in spool.memory.trials("grl")] == ["complete", "complete"]
    refused = (spool.folder / "grl.refused.jsonl").read_text().splitlines()
    lost, crown = (json.loads(line) for line in refused)
    assert (lost["call"], lost["arguments"]["checkpoint"]) == ("record_checkpoint", str(folder))
    assert "it has no model.safetensors" in lost["reason"]
    assert (crown["call"], crown["arguments"]["uid"]) == ("crown", "t1")
    assert any(f"cannot be delivered: {folder} is not a checkpoint folder" in said for said in spool.said)


def test_wrong_calls_are_refused_before_they_wait(spool: Spool, make_checkpoint: Callable[..., Path]) -> None:
    open_search(spool.registry)
    trial = open_trial(spool.registry, "t0")
    spool.faulty.is_up = False
    for call in (
        lambda: spool.registry.log_epoch(trial, 0, {}),
        lambda: spool.registry.log_epoch(trial, 1, {"R@1": 1.0}),
        lambda: spool.registry.finish_trial(trial, "running"),
        lambda: spool.registry.finish_search("grl/", "running"),
        lambda: spool.registry.log_scores(trial, {}, {"../x": b""}),
        lambda: spool.registry.log_files(trial, "/etc", {"x": b""}),
        lambda: open_trial(spool.registry, "../t"),
        lambda: spool.registry.crown("grl", "a/b"),
        lambda: spool.registry.log_epoch("../../x/t0", 1, {"a": 1.0}),
        lambda: spool.registry.record_checkpoint(
            trial, spool.folder / "nowhere", search="grl", uid="t0", epoch=1
        ),
    ):
        with pytest.raises((RegistryError, CheckpointError)):
            call()
    # A run id that is none of ours belongs to no search, and to no journal.
    with pytest.raises(RegistryUnreachableError):
        spool.registry.log_epoch("deadbeef", 1, {"a": 1.0})
    assert spool.registry.flush() == 0


def test_reads_deliver_first(spool: Spool) -> None:
    open_search(spool.registry)
    trial = open_trial(spool.registry, "t0")
    spool.faulty.is_up = False
    spool.registry.log_epoch(trial, 1, {"a": 1.0})
    with pytest.raises(RegistryUnreachableError):
        spool.registry.trials("grl")
    spool.faulty.is_up = True
    (record,) = spool.registry.trials("grl")
    assert (record.run_id, record.history) == ("grl/t0", {1: {"a": 1.0}})


def test_a_damaged_journal_is_named(spool: Spool) -> None:
    open_search(spool.registry)
    path = spool.folder / "grl.jsonl"
    for line in ("{", "[]", '{"call": "__init__", "arguments": {}}', '{"call": "crown"}', '{"done": 1}'):
        path.write_text(f'{{"store": ""}}\n{line}\n')
        spool.restart()
        with pytest.raises(RegistryError, match=r"grl.jsonl:2 is damaged"):
            open_search(spool.registry)


def test_a_journal_that_cannot_be_written_is_a_storage_error(spool: Spool) -> None:
    open_search(spool.registry)
    spool.faulty.is_up = False
    shutil.rmtree(spool.folder)
    spool.folder.touch()
    with pytest.raises(StorageError, match="choose another --home"):
        open_trial(spool.registry, "t0")
