"""However a process of a trial ends, the others end too, soon and with one clear error."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from vgsearch.config.search import TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.data.training_set import TrainingBatches
from vgsearch.errors import ImageError
from vgsearch.training import process_group
from vgsearch.training.batch_share import BatchShare, take_share
from vgsearch.training.data_cache import clear_data_cache, load_trial_data
from vgsearch.training.rank_messages import RankError
from vgsearch.training.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def spec(tiny_spec: TrialSpec) -> TrialSpec:
    """An epoch too long to end by itself."""
    return _spec(tiny_spec, domain=None, iterations_per_epoch=100_000)


def _spec(spec: TrialSpec, **trial: object) -> TrialSpec:
    changed = TrialConfig.model_validate({**spec.trial.model_dump(), **trial})
    return spec.model_copy(update={"trial": changed})


def _train_until(spec: TrialSpec, folder: Path, stop: Callable[[Trainer], None]) -> tuple[Exception, float]:
    """Train with two processes; call `stop` after the third step. The error, and seconds from there to it."""
    stopped_s = 0.0

    def after_step(done: int, planned: int, loss: float) -> None:
        nonlocal stopped_s
        if done == 3:
            stopped_s = time.monotonic()
            stop(trainer)

    trainer = Trainer(spec, folder, device=CPU, threads=2, processes=2, progress=after_step)
    with pytest.raises(Exception) as raised:  # noqa: PT011
        trainer.train_epoch()
    seconds = time.monotonic() - stopped_s
    assert trainer.pids == []
    assert not dist.is_initialized()
    with pytest.raises(RuntimeError, match="closed"):
        trainer.train_epoch()
    assert list(folder.iterdir()) == []
    return raised.value, seconds


def test_a_killed_process(spec: TrialSpec, tmp_path: Path) -> None:
    error, seconds = _train_until(spec, tmp_path, lambda trainer: os.kill(trainer.pids[0], signal.SIGKILL))
    assert isinstance(error, RankError)
    assert str(error).startswith("process 1 of the 2 that train this trial was killed (SIGKILL); ")
    assert "\n" not in str(error)
    assert seconds < 30


@pytest.mark.slow
def test_a_hanging_process(spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "EXCHANGE_TIMEOUT_S", 3.0)
    error, seconds = _train_until(spec, tmp_path, lambda trainer: os.kill(trainer.pids[0], signal.SIGSTOP))
    assert isinstance(error, RankError)
    assert str(error).startswith("process 1 of the 2 that train this trial did not answer for 3 s")
    assert seconds < 30


@pytest.mark.slow
def test_what_another_process_cannot_read(spec: TrialSpec, tmp_path: Path) -> None:
    train = tmp_path / "train"
    shutil.copytree(spec.data.train, train)
    spec = spec.model_copy(update={"data": spec.data.model_copy(update={"train": str(train)})})
    # An image of process 1's share of the first batch, truncated once the trainer has seen it whole.
    data = load_trial_data(spec.data, spec.trial)
    batches = TrainingBatches(data.train, data.groups[0], spec.trial, epoch=0, threads=1, device=CPU)
    take_share(batches, BatchShare(1, 2))
    image = data.train.absolute(int(batches._source.plan(0).image_ids[0]))
    (tmp_path / "t0").mkdir()
    trainer = Trainer(spec, tmp_path / "t0", device=CPU, threads=2, processes=2)
    image.write_bytes(image.read_bytes()[:500])
    with pytest.raises(ImageError, match=rf"{image.name}: .*[Tt]runcated"):
        trainer.train_epoch()
    clear_data_cache()


@pytest.mark.slow
def test_a_trainer_that_is_forgotten_ends_its_processes(spec: TrialSpec, tmp_path: Path) -> None:
    trainer = Trainer(spec, tmp_path, device=CPU, threads=2, processes=2)
    with pytest.raises(RuntimeError, match="one trial with several processes at a time"):
        Trainer(spec, tmp_path / "second", device=CPU, threads=2, processes=2)
    (pid,) = trainer.pids
    del trainer
    _assert_gone(pid)
    assert not dist.is_initialized()


SCRIPT = """
import sys, time
from pathlib import Path
import torch
from vgsearch.config.search import TrialSpec
from vgsearch.training.trainer import Trainer

spec = TrialSpec.model_validate_json(Path(sys.argv[1]).read_text())
told = False
def tell(done, planned, loss):
    global told
    if not told:
        print(*trainer.pids, flush=True)
        told = True
trainer = Trainer(
    spec, Path(sys.argv[2]), device=torch.device("cpu"), threads=2, processes=2, progress=tell
)
trainer.train_epoch()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_processes_end_with_rank_0(spec: TrialSpec, tmp_path: Path, kill: signal.Signals) -> None:
    (tmp_path / "run.py").write_text(SCRIPT)
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    rank_0 = subprocess.Popen(
        [sys.executable, tmp_path / "run.py", tmp_path / "spec.json", tmp_path / "t0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert rank_0.stdout is not None
    pid = int(rank_0.stdout.readline())
    os.kill(pid, 0)  # it lives
    rank_0.send_signal(kill)
    if kill == signal.SIGSTOP:
        # Stopped, it holds the pipe open; killed in that state, it does not.
        rank_0.kill()
    _assert_gone(pid)
    rank_0.wait()


def test_a_worker_ends_with_its_input_at_any_time() -> None:
    # What the kernel does to the pipe when rank 0 is killed, here while the worker imports PyTorch.
    worker = subprocess.Popen(
        [sys.executable, "-m", "vgsearch.training.rank_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.communicate(timeout=30) == (b"", None)
    assert worker.returncode == 0


def _assert_gone(pid: int) -> None:
    """A process ends within 10 s. As an orphan it may stay as a zombie where nobody collects those."""
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} still runs")
