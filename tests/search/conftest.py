"""A search that takes seconds: a tiny city, a tiny backbone, few iterations."""

import pytest

from tests.search.ledger_run import run
from vgsearch.config.document import load_document
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.search.study import read_trials

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
    - {name: cosface, scale: !uniform [20, 64], margin_cos: !uniform [0.1, 0.5]}
    - {name: arcface, scale: !uniform [20, 64], margin_rad: !uniform [0.1, 0.6]}
  cells: {groups_across: 1, groups_heading: 1, groups_used: 1, min_images: 1}
  image_px: 64
  batch_size: 4
  epochs: 3
  iterations_per_epoch: 2
  lr: !loguniform [1.0e-4, 1.0e-2]
eval: {resize_px: 64}
search:
  num_trials: 3
  sampler: {name: tpe, seed: 0, n_startup: 2}
  scheduler: {name: asha, grace_epochs: 1, reduction_factor: 2}
resources: {gpus_per_trial: 0, cpus_per_trial: 1, max_concurrent: 1}
"""


@pytest.fixture
def space_file(tmp_path):
    path = tmp_path / "quick.yaml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def load(space_file, tiny_city):
    """Load the quick space with `--set`s; gives (document, resolved data)."""

    def load_with(*overrides):
        document = load_document(space_file, overrides, data_root=tiny_city.parent)
        return document, document.resolved_data(tiny_city.parent)

    return load_with


@pytest.fixture
def search(space_file, tiny_city, tmp_path):
    """Run or resume the quick search with `--set`s; gives its trials and its registry."""
    registries = {}

    def go(*overrides, home="runs", **options):
        registry = registries.setdefault(home, MemoryRegistry())
        _, champion = run(space_file, tiny_city.parent, tmp_path / home, overrides, registry, **options)
        return read_trials(tmp_path / home, "quick"), registry, champion

    return go
