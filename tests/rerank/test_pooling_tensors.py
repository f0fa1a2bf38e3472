"""The baseline of a checkpoint: the authors' descriptors, kept to the bit, refused where damaged."""

import pytest
import torch
import torch.nn.functional as F

from tests.rerank.foreign import AuthorsRegression, authors_extractor, smooth_photos
from vgsearch.errors import CheckpointError
from vgsearch.models.netvlad import NetVLAD
from vgsearch.models.pooling import GeM
from vgsearch.models.stored_tensors import write_tensors
from vgsearch.rerank.authors_import import import_geowarp
from vgsearch.rerank.checkpoint import geowarp_identity, holds_geowarp, load_baseline, save_geowarp


def netvlad_by_residuals(feature_map, pool):
    """With the residuals of every position and cluster: (b, c, h, w) -> (b, k * c)."""
    local = F.normalize(feature_map, dim=1)
    shares = F.softmax(pool.conv(local), dim=1)
    residuals = local[:, None] - pool.centroids[None, :, :, None, None]
    return F.normalize(F.normalize((shares[:, :, None] * residuals).sum(dim=(3, 4)), dim=2).flatten(1), dim=1)


def gem_by_mean(feature_map, pool):
    power = pool[1].p
    positive = F.normalize(feature_map, dim=1).clamp(min=1e-6)
    return F.normalize((positive**power).mean(dim=(2, 3)) ** (1 / power), dim=1)


@pytest.mark.parametrize(("pooling", "describe"), [("netvlad", netvlad_by_residuals), ("gem", gem_by_mean)])
def test_a_kept_baseline_describes_as_the_authors_layers_do(tmp_path, pooling, describe):
    extractor = authors_extractor("alexnet", pooling)
    if pooling == "gem":
        extractor.pool[1].p.data.fill_(2.6)
    torch.save(AuthorsRegression().state_dict(), tmp_path / "hr.pth")
    torch.save(extractor.state_dict(), tmp_path / "fe.pth")
    imported = import_geowarp(tmp_path / "hr.pth", "alexnet", encoder_weights=str(tmp_path / "fe.pth"))
    plain = save_geowarp(tmp_path / "plain", imported.network, {})
    folder = save_geowarp(tmp_path / "made", imported.network, {}, pooling=imported.pooling)
    assert geowarp_identity(folder) == geowarp_identity(plain)

    photos = smooth_photos(2, 96, 64)
    with torch.inference_mode():
        ours = load_baseline(folder)(photos)
        theirs = describe(extractor.encoder(imported.network.normalise(photos)), extractor.pool)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.norm(dim=1), torch.ones(2))


def test_without_a_kept_pooling_gem_has_its_usual_power(tmp_path, geowarp):
    baseline = load_baseline(save_geowarp(tmp_path / "made", geowarp, {}))
    assert isinstance(baseline.pooling, GeM)
    assert baseline.pooling.p.item() == 3


def with_netvlad(geowarp, folder, pooling=None):
    config = geowarp.config
    geowarp.config = config.model_copy(update={"pooling": "netvlad"})
    try:
        return save_geowarp(folder, geowarp, {}, pooling=pooling)
    finally:
        geowarp.config = config


def test_netvlad_without_its_clusters_is_refused(tmp_path, geowarp):
    folder = with_netvlad(geowarp, tmp_path / "made")
    with pytest.raises(CheckpointError, match="does not keep its clusters"):
        load_baseline(folder)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"p": torch.ones(1)}, "2 missing"),
        ({"centroids": torch.ones(4, 3), "assignment": torch.ones(4, 3)}, "of another shape"),
        ({"centroids": torch.tensor(1.0)}, "1 missing"),
        (None, "damaged"),
    ],
)
def test_damaged_clusters_are_refused(tmp_path, geowarp, tensors, words):
    channels = geowarp.encoder.channels
    folder = with_netvlad(
        geowarp, tmp_path / "made", NetVLAD(torch.rand(4, channels), torch.rand(4, channels))
    )
    assert load_baseline(folder)(smooth_photos(1, 64, 64)).shape == (1, 4 * channels)
    if tensors is None:
        path = folder / "pooling.safetensors"
        path.write_bytes(path.read_bytes()[:-5])
    else:
        write_tensors(folder / "pooling.safetensors", tensors, {})
    with pytest.raises(CheckpointError, match=words):
        load_baseline(folder)


def test_a_kept_pooling_is_never_lost(tmp_path, geowarp):
    without = save_geowarp(tmp_path / "without", geowarp, {})
    folder = save_geowarp(tmp_path / "made", geowarp, {}, pooling=GeM(2.5))
    assert holds_geowarp(without, geowarp, GeM(2.5))
    assert holds_geowarp(folder, geowarp, GeM(2.5))
    assert not holds_geowarp(folder, geowarp, GeM(3.0))
    assert not holds_geowarp(folder, geowarp)
