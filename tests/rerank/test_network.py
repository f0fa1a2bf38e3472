"""The network against the paper's equations in loops, and against the authors' layers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.rerank.foreign import AuthorsRegression, authors_extractor, correlation_by_loops, smooth_photos
from vgsearch.config.geowarp import GeoWarpConfig
from vgsearch.errors import ConfigError
from vgsearch.rerank.authors_import import import_geowarp
from vgsearch.rerank.network import NO_MAP, build_geowarp
from vgsearch.rerank.regression import correlate, l2_normalise, mean_quadrilaterals

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = GeoWarpConfig(encoder="timm/test_resnet.r160_in1k", kernel_sizes=(7, 5), channels=(8, 8))
WHOLE_IMAGE = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


def test_correlation_both_ways_is_that_of_loops():
    first, second = l2_normalise(torch.randn(2, 6, 15, 15)), l2_normalise(torch.randn(2, 6, 15, 15))
    there, back = correlate(first, second)
    for i in range(2):
        a, b = first[i].double().numpy(), second[i].double().numpy()
        np.testing.assert_allclose(there[i].numpy(), correlation_by_loops(a, b), atol=1e-5)
        np.testing.assert_allclose(back[i].numpy(), correlation_by_loops(b, a), atol=1e-5)


def test_it_starts_at_the_identity_with_the_authors_sizes():
    network = build_geowarp(GeoWarpConfig(encoder="alexnet")).eval()
    features = l2_normalise(torch.randn(2, network.encoder.channels, 15, 15))
    for each in network.quadrilaterals(features, features.flip(0)):
        torch.testing.assert_close(each, WHOLE_IMAGE.expand(2, 4, 2))
    shapes = {name: tuple(tensor.shape) for name, tensor in network.regression.state_dict().items()}
    assert shapes == {name: tuple(t.shape) for name, t in AuthorsRegression().state_dict().items()}


def test_without_warping_the_dissimilarity_is_that_of_the_features():
    network = build_geowarp(SMALL).eval()
    first, second = smooth_photos(3, 64, 96), smooth_photos(3, 80, 64, seed=1)
    a, b = (network.local_features(network.normalise(images)) for images in (first, second))
    expected = 1 - F.cosine_similarity(a, b, dim=1).mean(dim=(1, 2))
    torch.testing.assert_close(network.dissimilarity(first, second), expected, rtol=0, atol=1e-4)
    same = network.dissimilarity(first, first)
    torch.testing.assert_close(same, torch.zeros(3), rtol=0, atol=1e-4)


def test_a_pair_that_no_map_reaches_is_least_alike():
    network = build_geowarp(SMALL).eval()
    with torch.no_grad():
        network.regression.linear.bias.zero_()
    images = network.normalise(smooth_photos(1, 64, 64))
    features = network.local_features(images)
    with torch.no_grad():
        got = network.similarity(images, images, first_features=features, second_features=features)
    assert got.item() == NO_MAP


def test_both_directions_are_averaged():
    there, back = torch.rand(2, 8, 2), torch.rand(2, 8, 2)
    first, second = mean_quadrilaterals(there, back)
    torch.testing.assert_close(first[1, 2], (there[1, 2] + back[1, 6]) / 2)
    torch.testing.assert_close(second[1, 2], (there[1, 6] + back[1, 2]) / 2)


def test_the_encoder_never_trains():
    network = build_geowarp(SMALL)
    assert network.regression.training
    assert not any(module.training for module in network.encoder.modules())
    assert not any(p.requires_grad for p in network.encoder.parameters())


@pytest.mark.parametrize(("level", "channels", "side"), [(None, 512, 2), (-2, 256, 4)])
def test_a_timm_encoder_gives_the_level_that_is_asked_for(level, channels, side):
    network = build_geowarp(GeoWarpConfig(encoder="timm/resnet18.tv_in1k", level=level)).eval()
    assert network.encoder(torch.zeros(1, 3, 64, 64)).shape == (1, channels, side, side)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (GeoWarpConfig(encoder="vgg61"), ("vgg61", "vgg16")),
        (GeoWarpConfig(encoder="timm/resnet_18"), ("resnet18",)),
        (GeoWarpConfig(encoder="timm/test_resnet.r160_in1k", level=-8), ("level -8", "leave level out")),
    ],
)
def test_an_encoder_that_is_none_is_refused(config, words):
    with pytest.raises(ConfigError) as refused:
        build_geowarp(config)
    assert all(word in str(refused.value) for word in words)
    assert "trial." not in str(refused.value)


def test_imported_weights_compute_what_the_authors_layers_do(tmp_path):
    extractor, regression = authors_extractor("alexnet"), AuthorsRegression()
    torch.save(regression.state_dict(), tmp_path / "hr.pth")
    torch.save(extractor.state_dict(), tmp_path / "fe.pth")
    weights = str(tmp_path / "fe.pth")
    network = import_geowarp(tmp_path / "hr.pth", "alexnet", encoder_weights=weights).network

    images = [network.normalise(smooth_photos(2, 96, 64, seed=seed)) for seed in (0, 1)]
    with torch.inference_mode():
        ours = [network.local_features(each) for each in images]
        theirs = [l2_normalise(F.adaptive_avg_pool2d(extractor.encoder(each), 15)) for each in images]
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
        there, back = correlate(*theirs)
        found, returned = regression(there), regression(back)
        assert (found - WHOLE_IMAGE.repeat(2, 1)).abs().max() > 0.05
        expected = (found[:, :4] + returned[:, 4:]) / 2, (found[:, 4:] + returned[:, :4]) / 2
        torch.testing.assert_close(network.quadrilaterals(*ours), expected, rtol=0, atol=1e-4)
