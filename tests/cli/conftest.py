"""Run the command line in this process and look at what a user would see."""

import shutil
import sys
from dataclasses import dataclass

import pytest

from vgsearch.cli.main import main


@dataclass
class Run:
    """What a command left on the terminal, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def vgsearch(monkeypatch, capsys, tmp_path):
    """Call `vgsearch ARGS` in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vgsearch", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Run(code, captured.out, captured.err)

    return run


SPACE = """
name: quick
data:
  train: demo_city/train
  val: demo_city/val_day
  tests: {day: demo_city/test_day}
trial:
  backbone: test_resnet.r160_in1k
  weights: none
  descriptor_dim: 16
  loss: !choice
    - {name: cosface, scale: !uniform [20, 64]}
    - {name: arcface}
  cells: {groups_across: 1, groups_heading: 1, groups_used: 1, min_images: 1}
  image_px: 64
  batch_size: 4
  epochs: 1
  iterations_per_epoch: 2
eval: {resize_px: 64}
search: {num_trials: 2}
resources: {gpus_per_trial: 0, cpus_per_trial: 1}
"""


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A fresh MLflow store, created once since that takes seconds."""
    from vgsearch.registry.mlflow_registry import MlflowRegistry

    home = tmp_path_factory.mktemp("store")
    MlflowRegistry(home, None)
    return home / "mlflow.db"


@pytest.fixture
def own_store(tmp_path, empty_store):
    """An empty store under the default home."""
    (tmp_path / "runs").mkdir()
    shutil.copyfile(empty_store, tmp_path / "runs" / "mlflow.db")


@pytest.fixture
def space_file(tmp_path):
    path = tmp_path / "quick.yaml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def own_city(tmp_path, tiny_city, own_store):
    """A data root with a copy of the tiny city that a test may spoil, and an empty store."""
    shutil.copytree(tiny_city, tmp_path / "data" / "demo_city")
    return tmp_path / "data" / "demo_city"


@pytest.fixture
def forward_passes(monkeypatch):
    """Images of each forward pass of any network in this process."""
    from vgsearch.models.network import DescriptorNetwork

    passes = []
    forward = DescriptorNetwork.forward

    def counting(self, images):
        passes.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(DescriptorNetwork, "forward", counting)
    return passes


@pytest.fixture(scope="session", autouse=True)
def _short_costs(short_costs):
    """Every trial here."""
