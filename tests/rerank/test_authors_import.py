"""What of the authors' files is read, and what is refused."""

import pytest
import torch

from tests.rerank.foreign import AuthorsRegression, authors_extractor
from vgsearch.errors import ConfigError, WeightsError
from vgsearch.models.netvlad import NetVLAD
from vgsearch.models.pooling import GeM
from vgsearch.rerank.authors_import import import_geowarp

REGRESSION = AuthorsRegression().state_dict()


@pytest.fixture(scope="module")
def extractor():
    return authors_extractor("alexnet", "netvlad").state_dict()


def test_a_whole_network_needs_no_second_file(tmp_path, extractor):
    whole = {f"module.features_extractor.{key}": value for key, value in extractor.items()}
    whole |= {f"module.homography_regression.{key}": value for key, value in REGRESSION.items()}
    torch.save(whole, tmp_path / "whole.pth")
    imported = import_geowarp(tmp_path / "whole.pth", "alexnet")
    torch.testing.assert_close(
        imported.network.encoder.trunk.state_dict()["0.weight"], extractor["encoder.0.weight"]
    )
    assert imported.network.config.pooling == "netvlad"
    assert isinstance(imported.pooling, NetVLAD)
    torch.testing.assert_close(imported.pooling.centroids.data, extractor["pool.centroids"])
    with pytest.raises(WeightsError, match="its own encoder"):
        import_geowarp(tmp_path / "whole.pth", "alexnet", encoder_weights="imagenet")


def test_other_kernels_are_read_from_the_shapes(tmp_path):
    small = {
        "conv.0.weight": torch.rand(4, 225, 15, 15),
        "conv.0.bias": torch.rand(4),
        "conv.1.weight": torch.rand(4),
        "conv.1.bias": torch.rand(4),
        "conv.1.running_mean": torch.rand(4),
        "conv.1.running_var": torch.rand(4),
        "linear.weight": torch.rand(16, 36),
        "linear.bias": torch.rand(16),
    }
    torch.save(small, tmp_path / "small.pth")
    network = import_geowarp(tmp_path / "small.pth", "alexnet", encoder_weights="none").network
    assert network.config.kernel_sizes == (15,)
    assert network.config.channels == (4,)


@pytest.mark.parametrize(
    ("change", "weights", "words"),
    [
        ({"conv.0.weight": None}, "none", "conv.0.weight for 225 channels"),
        ({"linear.bias": None}, "none", "1 missing (linear.bias)"),
        ({"linear.bias": torch.zeros(8)}, "none", "linear.bias: (8,) instead of (16,)"),
        ({"surplus": torch.zeros(8)}, "none", "1 unexpected (surplus)"),
        ({"linear.bias": torch.full((16,), torch.nan)}, "none", "NaN"),
        ({}, None, "--encoder-weights"),
        ({}, "nowhere.pth", "nowhere.pth"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change, weights, words):
    tensors = {**REGRESSION, **change}
    torch.save({k: v for k, v in tensors.items() if v is not None}, tmp_path / "hr.pth")
    with pytest.raises(WeightsError) as refused:
        import_geowarp(tmp_path / "hr.pth", "alexnet", encoder_weights=weights)
    assert words in str(refused.value)


def test_an_encoder_of_another_kind_is_refused(tmp_path, extractor):
    torch.save(REGRESSION, tmp_path / "hr.pth")
    torch.save(extractor, tmp_path / "fe.pth")
    with pytest.raises(WeightsError, match="fe.pth does not fit"):
        import_geowarp(tmp_path / "hr.pth", "vgg16", encoder_weights=str(tmp_path / "fe.pth"))


@pytest.mark.parametrize(
    ("held", "asked", "recorded", "kept"),
    [
        ("gem", None, "gem", GeM),
        ("gem", "gem", "gem", GeM),
        ("netvlad", None, "netvlad", NetVLAD),
        ("netvlad", "netvlad", "netvlad", NetVLAD),
        (None, None, "gem", type(None)),
        (None, "netvlad", "netvlad", type(None)),
    ],
)
def test_the_pooling_is_the_files_or_the_users(tmp_path, held, asked, recorded, kept):
    tensors = authors_extractor("alexnet", held or "gem").state_dict()
    if held is None:
        del tensors["pool.1.p"]
    torch.save(REGRESSION, tmp_path / "hr.pth")
    torch.save(tensors, tmp_path / "fe.pth")
    imported = import_geowarp(
        tmp_path / "hr.pth", "alexnet", encoder_weights=str(tmp_path / "fe.pth"), pooling=asked
    )
    assert imported.network.config.pooling == recorded
    assert isinstance(imported.pooling, kept)


@pytest.mark.parametrize(("held", "asked"), [("gem", "netvlad"), ("netvlad", "gem")])
def test_a_flag_that_contradicts_the_file_is_refused(tmp_path, held, asked):
    torch.save(REGRESSION, tmp_path / "hr.pth")
    torch.save(authors_extractor("alexnet", held).state_dict(), tmp_path / "fe.pth")
    weights = str(tmp_path / "fe.pth")
    with pytest.raises(ConfigError, match=f"--pooling: {asked} .*fe.pth holds a baseline with {held}"):
        import_geowarp(tmp_path / "hr.pth", "alexnet", encoder_weights=weights, pooling=asked)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pool.centroids": None}, "NetVLAD"),
        ({"pool.1.p": torch.ones(1)}, "NetVLAD"),
        ({"pool.conv.bias": torch.ones(64)}, "NetVLAD"),
        ({"pool.centroids": torch.zeros(32, 256)}, "pool.conv.weight: (64, 256, 1, 1) instead of (32, 256"),
        ({"pool.centroids": torch.zeros(64, 128)}, "pool.centroids: (64, 128) instead of (64, 256)"),
        ({"pool.centroids": torch.tensor(1.0)}, "pool.centroids: () instead of (64, 256)"),
    ],
)
def test_a_pooling_that_is_none_is_refused(tmp_path, extractor, change, words):
    tensors = {**extractor, **change}
    torch.save(REGRESSION, tmp_path / "hr.pth")
    torch.save({k: v for k, v in tensors.items() if v is not None}, tmp_path / "fe.pth")
    with pytest.raises(WeightsError) as refused:
        import_geowarp(tmp_path / "hr.pth", "alexnet", encoder_weights=str(tmp_path / "fe.pth"))
    assert words in str(refused.value)
