"""Folded BatchNorm against the network as it is."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from vgsearch.models.folded import foldable_pairs, folded

PX = 64


def trained_looking(network):
    """Statistics and affine parameters that no layer starts with."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 2.0),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.3, 0.3),
            ):
                tensor.uniform_(low, high, generator=generator)
    return network.eval()


def norms(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.fixture
def photos():
    return torch.rand(2, 3, PX, PX, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (lambda: torchvision.models.resnet18(weights=None), 0),
        (lambda: timm.create_model("tf_efficientnet_lite0", num_classes=0), 0),
        (lambda: timm.create_model("regnety_002", num_classes=0), 0),
        # DenseNet normalises what is joined, which no single convolution makes.
        (lambda: timm.create_model("densenet121", num_classes=0), 62),
    ],
)
def test_it_is_the_same_function(make, left, photos):
    network = trained_looking(make()).to(memory_format=torch.channels_last)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modules = dict(network.named_modules())
    pairs = foldable_pairs(network, photos[:1])
    with torch.inference_mode():
        expected = network(photos)
        with folded(network, pairs):
            assert norms(network) == left
            got = network(photos)
        assert torch.equal(network(photos), expected)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 * expected.abs().max().item())
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    assert dict(network.named_modules()) == modules


class ReadTwice(nn.Module):
    """Something beside BatchNorm reads the convolution, and one convolution is used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.second, self.other = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images):
        made = self.first(images)
        joined = made + self.norm(made)
        return self.other(self.second(self.second(joined)))


def test_a_convolution_with_other_readers_is_left(photos):
    assert foldable_pairs(trained_looking(ReadTwice()), photos) == []


def test_what_was_replaced_meanwhile_is_left(photos):
    network = trained_looking(torchvision.models.resnet18(weights=None))
    pairs = foldable_pairs(network, photos)
    network.bn1 = nn.GroupNorm(1, 64).eval()
    expected = network(photos)
    with folded(network, pairs), torch.inference_mode():
        assert norms(network) == 0
        torch.testing.assert_close(network(photos), expected.detach(), rtol=1e-3, atol=1e-4)


def test_an_error_inside_leaves_the_network_as_it_was(photos):
    network = trained_looking(torchvision.models.resnet18(weights=None))
    expected = network(photos).detach()
    with pytest.raises(KeyError), folded(network, foldable_pairs(network, photos)):
        raise KeyError
    assert torch.equal(network(photos), expected)


def test_frozen_layers_and_no_gradients_around_change_nothing(photos):
    network = trained_looking(torchvision.models.resnet18(weights=None)).requires_grad_(False)
    with torch.inference_mode():
        assert len(foldable_pairs(network, photos)) == 20
