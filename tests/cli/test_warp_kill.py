"""A training of a network that re-ranks, killed anywhere and started again, ends as if nothing had been."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_warp import TRAINING
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.rerank.checkpoint import load_geowarp
from vgsearch.rerank.continuing import EPOCH_FOLDER, read_history, read_state

pytestmark = pytest.mark.slow

EPOCHS, KILLS = 3, 4
ROOT = Path(__file__).parent.parent.parent
SETTINGS = ("data.query_fraction=0.5", "data.cell_m=20", f"epochs={EPOCHS}")


def train(
    file: Path, home: Path, data_root: Path, last: int, what: str = "any"
) -> subprocess.CompletedProcess[str]:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    command = [
        sys.executable,
        "-m",
        "tests.cli.killed_warp",
        what,
        str(last),
        "warp",
        "train",
        str(file),
        *settings,
    ]
    return subprocess.run(
        [*command, "--home", str(home), "--data-root", str(data_root)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )


def require_whole(home: Path) -> None:
    """What has a final name is complete."""
    for folder in (home / "warps" / "small").glob("epoch_*"):
        assert EPOCH_FOLDER.fullmatch(folder.name)
        load_geowarp(folder)
        read_state(folder)
        assert len(read_history(folder)) == int(folder.name.removeprefix("epoch_"))
    if (home / "rerankers" / "small").exists():
        load_geowarp(home / "rerankers" / "small")


def kept(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home / "rerankers" / "small").iterdir()}


def test_kills_anywhere_change_nothing(tmp_path, tiny_city, empty_store):
    data_root = tmp_path / "data"
    data_root.mkdir()
    (data_root / "demo_city").symlink_to(tiny_city)
    (tmp_path / "small.yaml").write_text(TRAINING)
    homes = [tmp_path / name for name in ("whole", "killed")]
    for home in homes:
        home.mkdir()
        (home / "mlflow.db").write_bytes(empty_store.read_bytes())
    whole = train(tmp_path / "small.yaml", homes[0], data_root, 0)
    assert whole.returncode == 0, whole.stderr
    num_steps = int(re.search(r"^(\d+) steps$", whole.stdout, re.MULTILINE)[1])
    kills = 0
    unrecorded = train(tmp_path / "small.yaml", homes[1], data_root, 1, what="log_epoch")
    assert unrecorded.returncode == -signal.SIGKILL, unrecorded.stderr
    rng = random.Random(0)
    for last in [rng.randint(1, num_steps) for _ in range(KILLS)]:
        cut = train(tmp_path / "small.yaml", homes[1], data_root, last)
        kills += cut.returncode == -signal.SIGKILL
        # A resumed run has less to do than the whole one and may end before it is killed.
        assert cut.returncode in (0, -signal.SIGKILL), cut.stderr
        require_whole(homes[1])
    assert kills >= 2
    end = train(tmp_path / "small.yaml", homes[1], data_root, 0)
    assert end.returncode == 0, end.stderr
    assert kept(homes[0]) == kept(homes[1])
    trials = [MlflowRegistry(home, None).trials("warp-small") for home in homes]
    for found in trials:
        (trial,) = found
        assert trial.state == "complete"
        assert sorted(trial.history) == list(range(1, EPOCHS + 1))
    assert trials[0][0].history == trials[1][0].history
    folders = [path for home in homes for path in (home / "warps" / "small").iterdir()]
    assert [path.name for path in folders] == [f"epoch_{EPOCHS:04d}"] * 2
    leftovers = [path for path in homes[1].rglob("*") if path.name.endswith((".tmp", ".partial"))]
    assert not leftovers
    lineage = json.loads(kept(homes[1])["lineage.json"])
    assert lineage["epochs"] == EPOCHS
