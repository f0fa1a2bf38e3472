"""Two processes with a share each normalise, and learn, as PyTorch's BatchNorm does with the whole batch."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from vgsearch.config.trial import TrialConfig
from vgsearch.models.network import build_network
from vgsearch.models.synced_batch_norm import SyncedBatchNorm, synchronise_batch_norm

SCRIPT = """
import sys
import torch
import torch.distributed as dist
from vgsearch.models.synced_batch_norm import synchronise_batch_norm

folder, rank = sys.argv[1], int(sys.argv[2])
dist.init_process_group("gloo", store=dist.FileStore(f"{folder}/store", 2), rank=rank, world_size=2)
results = []
for network, shares, targets in torch.load(f"{folder}/cases.pt", weights_only=False):
    synchronise_batch_norm(network, torch.device("cpu"))
    x = shares[rank].clone().requires_grad_()
    y = network(x)
    (y * targets[rank]).sum().backward()
    gradients = [p.grad for p in network.parameters()]
    for gradient in gradients:
        dist.all_reduce(gradient)
    with torch.no_grad():
        scored = network.eval()(x)
    results.append((y.detach(), x.grad, gradients, network.state_dict(), scored))
torch.save(results, f"{folder}/{rank}.pt")
"""

Case = tuple[nn.Module, torch.Tensor, torch.Tensor]


def _cases() -> list[Case]:
    """Network, batch of 5, and factors on its output that give each output a gradient of its own."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    networks: list[nn.Module] = [
        nn.Sequential(nn.BatchNorm2d(3)),
        nn.Sequential(BatchNormAct2d(3, act_layer=nn.SiLU, eps=1e-3), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)),
        nn.Sequential(nn.BatchNorm2d(3, momentum=None)),
        nn.Sequential(nn.BatchNorm2d(3, affine=False)),
        nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)),
        nn.Sequential(nn.BatchNorm1d(3)),
    ]
    for network in networks:
        for parameter in network.parameters():
            parameter.data = normal(*parameter.shape)
    # A mean far from zero, where the difference of two mean squares would have lost all its digits.
    shapes = [(5, 3, 4, 6)] * 5 + [(5, 3)]
    return [
        (network, normal(*shape) + 1000.0, normal(*shape))
        for network, shape in zip(networks, shapes, strict=True)
    ]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[object, ...]]]:
    """What each of two processes has computed of its share, 3 and 2 images, for every case."""
    folder = tmp_path_factory.mktemp("two_processes")
    torch.save(
        [(network, x.split([3, 2]), t.split([3, 2])) for network, x, t in _cases()], folder / "cases.pt"
    )
    (folder / "run.py").write_text(SCRIPT)
    ranks = [subprocess.Popen([sys.executable, folder / "run.py", folder, str(rank)]) for rank in range(2)]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(6))
def test_shares_equal_the_whole_batch(computed: list[list[tuple[object, ...]]], number: int) -> None:
    network, batch, factors = _cases()[number]
    first, second = (results[number] for results in computed)
    network.double()
    x = batch.double().requires_grad_()
    y = network(x)
    (y * factors).sum().backward()
    shares = torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]])
    # The oracle is in float64; inputs of about 1000 in float32 carry an error of 1e-4 of their deviation.
    close = {"rtol": 1e-3, "atol": 1e-3, "check_dtype": False}
    torch.testing.assert_close(shares[0], y, **close)
    torch.testing.assert_close(shares[1], x.grad, **close)
    for gradient, parameter in zip(first[2], network.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, **close)
    for state in (first[3], second[3]):
        assert list(state) == list(network.state_dict())
        torch.testing.assert_close(state, network.state_dict(), **close)
    if list(network.buffers()):  # without stored statistics, scoring uses those of each batch
        with torch.no_grad():
            scored = network.eval()(x)
        torch.testing.assert_close(torch.cat([first[4], second[4]]), scored, **close)


def _trial(**settings: object) -> TrialConfig:
    return TrialConfig.model_validate(
        {"backbone": "test_efficientnet", "weights": "none", "trainable_stages": 2, **settings}
    )


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_only_moving_layers_are_replaced(device: str) -> None:
    plain, network = build_network(_trial()), build_network(_trial())
    before = dict(network.named_parameters())
    synced = synchronise_batch_norm(network, torch.device(device))
    kind = SyncedBatchNorm if device == "cpu" else nn.SyncBatchNorm
    names = {name for name, module in network.named_modules() if isinstance(module, kind)}
    assert len(synced) == len(names)
    assert names == {
        name
        for name, module in plain.train().named_modules()
        if isinstance(module, nn.BatchNorm2d) and module.training
    }
    frozen = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and not isinstance(m, kind)]
    assert frozen
    assert not any(module.training for module in frozen)
    assert all(parameter is before[name] for name, parameter in network.named_parameters())
    assert list(network.state_dict()) == list(plain.state_dict())
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network.eval()(images), plain.eval()(images))


def test_frozen_layers_that_move_are_replaced_too() -> None:
    network = build_network(_trial(frozen_bn="batch"))
    synchronise_batch_norm(network, torch.device("cpu"))
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(module, SyncedBatchNorm) for module in norms)
