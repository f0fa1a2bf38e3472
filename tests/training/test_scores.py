from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vgsearch.config.search import TrialSpec
from vgsearch.errors import ConfigError
from vgsearch.models.network import build_network
from vgsearch.training.scores import PooledBackbone, score_tests, score_untrained
from vgsearch.training.trainer import Trainer


def test_untrained_is_the_pooled_backbone(tiny_spec: TrialSpec, tiny_world: Path) -> None:
    scores = score_untrained(tiny_spec, device=torch.device("cpu"), threads=1)
    assert set(scores.results) == {"day", "night"}
    # By hand: one image at a time, GeM of the normalised map written out, all similarities in float64.
    network = build_network(tiny_spec.trial).eval()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (network.backbone.mean, network.backbone.std))

    def describe(folder: Path) -> tuple[np.ndarray, np.ndarray]:
        rows, east = [], []
        for path in sorted(folder.iterdir()):
            pixels = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None].float() / 255
            with torch.no_grad():
                maps = torch.nn.functional.normalize(network.backbone((pixels - mean) / std), dim=1)
            pooled = maps.clamp(min=1e-6).pow(3).mean(dim=(2, 3)).pow(1 / 3)[0].double().numpy()
            rows.append(pooled / np.linalg.norm(pooled))
            east.append(float(path.name.split("@")[1]))
        return np.stack(rows), np.array(east)

    database, database_east = describe(tiny_world / "val_day" / "database")
    queries, query_east = describe(tiny_world / "val_day" / "queries")
    nearest = (queries @ database.T).argmax(axis=1)
    right = np.abs(database_east[nearest] - query_east) <= 25
    assert scores.metrics["val/day/recall_at_1"] == pytest.approx(100 * right.mean(), abs=100.1 / len(right))


def test_pooled_backbone_is_normalised(tiny_spec: TrialSpec) -> None:
    network = PooledBackbone(build_network(tiny_spec.trial)).eval()
    with torch.no_grad():
        descriptors = network(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(2))


def test_tests_of_a_checkpoint(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    trial = tiny_spec.trial.model_copy(update={"epochs": 1, "iterations_per_epoch": 1})
    spec = tiny_spec.model_copy(update={"trial": trial})
    with Trainer(spec, tmp_path, device=torch.device("cpu"), threads=1) as trainer:
        report = trainer.train_epoch()
    # The tiny world's only test split is its night val split, so the recalls must agree.
    results = score_tests(report.checkpoint, spec, device=torch.device("cpu"), threads=1)
    assert list(results) == ["night"]
    assert results["night"].at(1).percent == report.metrics["val/night/recall_at_1"]
    assert score_tests(report.checkpoint, spec, [], threads=1) == {}


def test_unknown_test_is_refused(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.tests has no tokyo; it has: night"):
        score_tests(tmp_path, tiny_spec, ["tokyo"])
