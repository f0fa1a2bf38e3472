"""A trial that is killed in the middle of an epoch goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vgsearch.config.search import TrialSpec
from vgsearch.training.trainer import Trainer

SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
from vgsearch.config.search import TrialSpec
from vgsearch.training.trainer import Trainer

def train_into_the_second_epoch(folder):
    steps = 0
    def count(done, planned, loss):
        nonlocal steps
        steps += 1
        if steps == planned + 2:
            os.kill(os.getpid(), signal.SIGKILL)
    spec = TrialSpec.model_validate_json((folder / "spec.json").read_text())
    trainer = Trainer(spec, folder / "killed", device=torch.device("cpu"), threads=1, progress=count)
    while True:
        trainer.train_epoch()

# One import for all trials; each is forked before PyTorch has started a thread, and dies alone.
for folder in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        train_into_the_second_epoch(Path(folder))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
def test_killed_in_the_middle_of_an_epoch(
    tiny_spec: TrialSpec, two_domains: TrialSpec, tmp_path: Path
) -> None:
    specs = {}
    for precision, spec in (("fp32", two_domains), ("bf16", tiny_spec)):
        trial = spec.trial.model_copy(update={"precision": precision, "epochs": 2})
        specs[tmp_path / precision] = spec.model_copy(update={"trial": trial})
    for folder, spec in specs.items():
        folder.mkdir()
        (folder / "spec.json").write_text(spec.model_dump_json())
    (tmp_path / "run.py").write_text(SCRIPT)
    killed = subprocess.run(
        [sys.executable, str(tmp_path / "run.py"), *map(str, specs)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert killed.stdout.split() == [str(-signal.SIGKILL)] * 2
    for folder, spec in specs.items():
        assert [path.name for path in (folder / "killed").glob("epoch_*")] == ["epoch_0001"]
        for run in ("killed", "whole"):
            trainer = Trainer(spec, folder / run, device=torch.device("cpu"), threads=1)
            assert trainer.epoch == (1 if run == "killed" else 0)
            while not trainer.finished:
                trainer.train_epoch()
        resumed, whole = (folder / run / "epoch_0002" for run in ("killed", "whole"))
        for name in ("val__day.npz", "val__night.npz"):
            assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name
        ours, theirs = (load_file(path / "model.safetensors") for path in (resumed, whole))
        assert list(ours) == list(theirs)
        for name, tensor in ours.items():
            assert tensor.numpy().tobytes() == theirs[name].numpy().tobytes(), name
