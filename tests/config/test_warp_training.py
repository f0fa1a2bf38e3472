"""Every training that is shipped loads, and what is wrong in one is named with its line."""

from pathlib import Path

import pytest

from vgsearch.config.warp_training import load_warp_training
from vgsearch.errors import ConfigError

SHIPPED = sorted((Path(__file__).parent.parent.parent / "warps").glob("*.yaml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_trainings_load(file):
    assert load_warp_training(file).settings.uses_pairs


def test_there_are_shipped_trainings():
    assert {file.name for file in SHIPPED} == {"demo.yaml", "demo_viewpoint.yaml", "geowarp.yaml"}


def test_every_problem_is_named(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("name: a/b\ndata: {trian: x}\nk: 1.5\nnetwork: {encoder: alexnet, kernel_sizes: [7]}\n")
    with pytest.raises(ConfigError) as refused:
        load_warp_training(file, ["lr=0"])
    text = str(refused.value)
    for word in ("bad.yaml:2: data.trian", "train", "k: ", "lr", "one entry for each convolution"):
        assert word in text
