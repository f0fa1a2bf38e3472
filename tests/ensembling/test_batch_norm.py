"""Statistics taken again against a plain computation, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from vgsearch.data.decode import read_image
from vgsearch.data.index import index_folder
from vgsearch.ensembling.batch_norm import copy_statistics, moved_layers, put_statistics, recalibrate
from vgsearch.ensembling.calibration import CalibrationImages, centre_square
from vgsearch.models.precision import Precision

CPU = torch.device("cpu")
FP32 = Precision(torch.float32, use_scaler=False)


class Net(nn.Module):
    """Two BatchNorm layers with dropout between them, which must stay off."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4, momentum=0.3)
        self.drop = nn.Dropout(0.5)
        self.second = nn.Conv2d(4, 5, 3)
        self.after = nn.BatchNorm2d(5)

    def forward(self, images):
        hidden = self.norm(self.first(images.float() / 255)).relu()
        return self.after(self.second(self.drop(hidden))).mean(dim=(2, 3))


@pytest.fixture
def network():
    torch.manual_seed(0)
    net = Net()
    for layer in (net.norm, net.after):
        layer.running_mean.normal_()
        layer.num_batches_tracked.fill_(17)
    return net


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 256, (6, 3, 16, 20), dtype=torch.uint8, generator=generator) for _ in range(3)]


def test_statistics_are_the_mean_over_batches(network, batches):
    network.train()
    network.drop.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    recalibrate(network, ["norm", "after"], batches, device=CPU, precision=FP32)

    # Batch by batch, each layer normalising with its batch, as in training.
    means, variances = {"norm": [], "after": []}, {"norm": [], "after": []}
    with torch.no_grad():
        for images in batches:
            x = network.first(images.float() / 255)
            for name, layer in (("norm", network.norm), ("after", network.after)):
                if name == "after":
                    x = network.second(x.relu())
                means[name].append(x.mean(dim=(0, 2, 3)))
                variances[name].append(x.var(dim=(0, 2, 3), unbiased=True))
                biased = x.var(dim=(0, 2, 3), unbiased=False)[:, None, None] + layer.eps
                x = (x - x.mean(dim=(0, 2, 3))[:, None, None]) / biased.sqrt()
                x = x * layer.weight[:, None, None] + layer.bias[:, None, None]
    after = network.state_dict()
    for name in ("norm", "after"):
        torch.testing.assert_close(
            after[f"{name}.running_mean"], torch.stack(means[name]).mean(0), atol=1e-5, rtol=1e-4
        )
        torch.testing.assert_close(
            after[f"{name}.running_var"], torch.stack(variances[name]).mean(0), atol=1e-5, rtol=1e-4
        )
    others = [name for name in before if "running" not in name]
    assert "norm.num_batches_tracked" in others  # the count is kept
    for name in others:
        assert torch.equal(after[name], before[name])
    assert network.norm.momentum == 0.3
    assert network.norm.training
    assert not network.drop.training
    assert not any(parameter.grad is not None for parameter in network.parameters())


def test_only_the_named_layers_move(network, batches):
    network.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    recalibrate(network, ["after"], batches, device=CPU, precision=FP32)
    after = network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"after.running_mean", "after.running_var"}
    # `norm` was in eval mode meanwhile: the second layer saw features normalised by stored statistics.
    with torch.no_grad():
        features = [network.second(network.norm(network.first(b.float() / 255)).relu()) for b in batches]
    expected = torch.stack([f.mean(dim=(0, 2, 3)) for f in features]).mean(0)
    torch.testing.assert_close(after["after.running_mean"], expected, atol=1e-5, rtol=1e-4)


def test_moved_layers_are_those_that_differ_anywhere(network):
    state = network.state_dict()
    assert moved_layers(network, [state]) == ()
    assert moved_layers(network, [state, dict(state)]) == ()
    other = {**state, "after.running_var": state["after.running_var"] * 2}
    weights = {**state, "norm.weight": state["norm.weight"] + 1, "norm.num_batches_tracked": torch.tensor(99)}
    assert moved_layers(network, [state, weights]) == ()
    assert moved_layers(network, [state, weights, other]) == ("after",)


def test_statistics_can_be_kept_and_put_back(network, batches):
    recalibrate(network, ["norm"], batches, device=CPU, precision=FP32)
    kept = copy_statistics(network, ["norm"])
    wanted = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.norm.reset_running_stats()
    network.norm.num_batches_tracked.fill_(17)
    put_statistics(network, kept)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in network.state_dict().items())


def test_no_images_is_an_error(network):
    with pytest.raises(ValueError, match="at least one batch"):
        recalibrate(network, ["norm"], [], device=CPU, precision=FP32)
    assert network.norm.momentum == 0.3


@pytest.fixture
def train_index(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    for i in range(70):
        noise = np.random.default_rng(i).integers(0, 256, (20 + i % 3, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"@{i}.00@0.00@photo{i}@.jpg")
    return index_folder(folder, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(("wanted", "expected"), [(1000, [32, 32]), (40, [32]), (9, [9])])
@pytest.mark.parametrize("max_bytes", [0, 32 * 3 * 16 * 16, 10**8])
def test_calibration_images_are_few_fixed_and_decoded_once(
    train_index, tmp_path, wanted, expected, max_bytes
):
    def images(seed):
        return CalibrationImages(
            train_index,
            side_px=16,
            num_images=wanted,
            seed=seed,
            threads=2,
            folder=tmp_path / "disk",
            max_bytes=max_bytes,
        )

    chosen = images(0)
    first = [batch.clone() for batch in chosen.batches()]
    assert [len(batch) for batch in first] == expected
    assert chosen.num_images == sum(expected)
    everything = [centre_square(read_image(train_index.absolute(i)), 16) for i in range(len(train_index))]
    flat = {bytes(image.contiguous().numpy().tobytes()) for image in everything}
    for batch in first:
        assert batch.shape[1:] == (3, 16, 16)
        assert all(image.contiguous().numpy().tobytes() in flat for image in batch)
    if max_bytes == 10**8:
        for file in train_index.root.iterdir():
            file.unlink()
    assert all(torch.equal(a, b) for a, b in zip(chosen.batches(), first, strict=True))
    chosen.close()
    if max_bytes == 0:
        assert not torch.equal(next(iter(images(1).batches())), first[0])
        assert torch.equal(next(iter(images(0).batches())), first[0])


def test_the_square_is_cut_from_the_middle():
    image = torch.zeros(3, 10, 30, dtype=torch.uint8)
    image[:, :, 10:20] = 200
    assert (centre_square(image, 10) == 200).all()
    assert centre_square(image.transpose(1, 2), 10).shape == (3, 10, 10)
