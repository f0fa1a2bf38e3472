"""A search whose checkpoints can be mixed, recorded fast: untrained, but real photos, weights and recalls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from tests.ensembling.searched_store import PX, build_world, record_trial
from vgsearch.config.search import DataConfig, EvalConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.data.index import index_folder
from vgsearch.ensembling.batch_norm import moved_layers, recalibrate
from vgsearch.ensembling.calibration import CalibrationImages
from vgsearch.models.network import DescriptorNetwork, build_network
from vgsearch.models.precision import resolve_scoring_precision
from vgsearch.registry.protocol import Registry

SEARCH = "broth"
CPU = torch.device("cpu")
FP32 = resolve_scoring_precision("fp32", CPU)
# How far each network lies from a common one, as a part of each tensor's spread; the last is lost.
NOISE = (0.05, 0.3, 0.35, 4.0)


@dataclass(frozen=True)
class SoupWorld:
    """Where the search was recorded, and its trial's settings."""

    registry: Registry
    home: Path
    data: DataConfig
    trial: TrialConfig


def soup_trial(backbone: str = "test_resnet", seed: int = 0) -> TrialConfig:
    """Small, with BatchNorm, in float32."""
    return TrialConfig(
        backbone=backbone,
        weights="none",
        descriptor_dim=16,
        image_px=PX,
        batch_size=8,
        epochs=1,
        iterations_per_epoch=1,
        precision="fp32",
        seed=seed,
    )


def build_soup_world(
    root: Path, registry: Registry, home: Path, *, data: DataConfig | None = None
) -> SoupWorld:
    """Record networks around a common one, with their own BatchNorm statistics, and one of another kind.

    `data` are photos that were drawn before; None draws them.
    """
    root.mkdir(exist_ok=True)
    data = data or build_world(root / "data")
    trial = soup_trial()
    images = CalibrationImages(
        index_folder(Path(data.train)),
        side_px=PX,
        num_images=32,
        seed=1,
        threads=1,
        folder=root,
        max_bytes=10**8,
    )
    run = registry.open_search(
        SEARCH,
        params={"data": data.model_dump(mode="json")},
        config_text=f"name: {SEARCH}\n",
        tags={"vgsearch.objective": "val/recall_at_1"},
    )
    base = TrialSpec(search=SEARCH, uid="x", trial=trial, data=data, eval=EvalConfig(batch_size=8))
    for number, noise in enumerate(NOISE):
        spec = base.model_copy(update={"uid": f"broth-0000-{number:04d}"})
        network = own_statistics(noisy(build_network(trial), noise, seed=number), images)
        record_trial(registry, spec, network, root / "checkpoints" / spec.uid)
    other = base.model_copy(update={"uid": "broth-0000-0009", "trial": soup_trial("test_efficientnet")})
    record_trial(registry, other, build_network(other.trial), root / "checkpoints" / other.uid)
    images.close()
    registry.crown(SEARCH, "broth-0000-0000")
    registry.finish_search(run, "complete")
    return SoupWorld(registry, home, data, trial)


def noisy(network: DescriptorNetwork, noise: float, *, seed: int) -> DescriptorNetwork:
    """Move every parameter at random, by `noise` times its tensor's standard deviation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.numel() > 1:
                spread = float(parameter.std()) or 0.1
                parameter.add_(torch.randn(parameter.shape, generator=generator) * spread * noise)
    return network


def own_statistics(network: DescriptorNetwork, images: CalibrationImages) -> DescriptorNetwork:
    """Give every BatchNorm layer the statistics of the network's own features, as training would."""
    fresh = build_network(soup_trial(), load_weights=False).state_dict()
    other = {name: value + 1 if "running" in name else value for name, value in fresh.items()}
    layers = moved_layers(network, [fresh, other])
    recalibrate(network, layers, images.batches(), device=CPU, precision=FP32)
    return network
