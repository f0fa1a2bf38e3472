from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from tests.rerank.conftest import SMALL, WritePhotos, moved_geowarp
from tests.rerank.foreign import smooth_photos
from vgsearch.config.geowarp import GeoWarpConfig
from vgsearch.models.precision import resolve_precision
from vgsearch.rerank.common_view import common_view, enclosed
from vgsearch.rerank.pair_scoring import Machine, score_candidates

CPU = torch.device("cpu")
FP32 = resolve_precision("fp32", CPU)
CORNERS = torch.tensor([[-0.7, -0.8], [0.6, -0.5], [0.9, 0.7], [-0.5, 0.9]])


def perspective_of(corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """PIL's eight coefficients: from pixel edges of the picture to pixel edges of the photo."""
    there = [(0, 0), (width, 0), (width, height), (0, height)]
    rows, wanted = [], []
    for (x, y), (u, v) in zip(there, (corners + 1) / 2 * [width, height], strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return np.linalg.solve(np.array(rows), np.array(wanted))


def brute_force(photo: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Pixel after pixel: where its centre comes from, and the four neighbours there; black outside."""
    height, width = photo.shape[:2]
    a, b, c, d, e, f, g, h = perspective_of(corners, height, width)
    out = np.zeros(photo.shape)
    for row in range(height):
        for column in range(width):
            x, y = column + 0.5, row + 0.5
            scale = g * x + h * y + 1
            u, v = (a * x + b * y + c) / scale - 0.5, (d * x + e * y + f) / scale - 0.5
            left, top = math.floor(u), math.floor(v)
            for j, i in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                if 0 <= j < height and 0 <= i < width:
                    out[row, column] += (1 - abs(u - i)) * (1 - abs(v - j)) * photo[j, i]
    return out


@pytest.mark.parametrize("corners", [CORNERS, 1.3 * CORNERS])
def test_what_is_enclosed_is_drawn_out_as_a_pixel_loop_and_pil_do(corners: torch.Tensor) -> None:
    photo = smooth_photos(1, 40, 56, seed=3)[0]
    pixels = photo.permute(1, 2, 0).numpy()
    ours = enclosed(photo, corners).permute(1, 2, 0).numpy().astype(float)
    assert np.abs(ours - brute_force(pixels, corners.double().numpy())).max() <= 0.51
    by_pil = Image.fromarray(pixels).transform(
        (56, 40),
        Image.Transform.PERSPECTIVE,
        perspective_of(corners.double().numpy(), 40, 56).tolist(),
        Image.Resampling.BILINEAR,
    )
    inside = np.asarray(by_pil).any(axis=2) & ours.any(axis=2)
    inside[[0, -1]] = inside[:, [0, -1]] = False
    difference = np.abs(ours - np.asarray(by_pil).astype(float)).max(axis=2)
    assert inside.mean() > 0.5
    assert np.quantile(difference[inside], 0.95) <= 2


def test_the_whole_photo_stays_as_it_is_and_a_line_encloses_nothing() -> None:
    photo = smooth_photos(1, 33, 48, seed=0)[0]
    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    assert int((enclosed(photo, square).int() - photo.int()).abs().max()) <= 1
    assert not enclosed(photo, torch.full((4, 2), torch.nan)).any()


@pytest.mark.parametrize("resize_px", [None, 40])
def test_a_pair_is_seen_as_it_is_scored(write_photos: WritePhotos, tmp_path, resize_px: int | None) -> None:
    network = moved_geowarp(GeoWarpConfig(**SMALL.model_dump() | {"resize_px": resize_px}))
    queries = write_photos(tmp_path / "queries", [(64, 80), (72, 64)])
    database = write_photos(tmp_path / "database", [(96, 64), (64, 64), (48, 80)])
    machine = Machine(device=CPU, precision=FP32, batch_size=4, loader_threads=1, scratch=tmp_path)
    candidates = np.array([[2, 0], [1, 2]])
    scores = score_candidates(network, queries, database, candidates, machine=machine)
    for query, row in enumerate(candidates):
        for rank, candidate in enumerate(row):
            photos = queries.read(query), database.read(int(candidate))
            view = common_view(network, *photos, device=CPU)
            assert view.similarity == pytest.approx(float(scores[query, rank]), abs=1e-5)
            for photo, kept, corners, warped in zip(
                photos, view.photos, view.corners, view.warped, strict=True
            ):
                assert torch.equal(photo, kept)
                expected = brute_force(photo.permute(1, 2, 0).numpy(), corners.double().numpy())
                assert np.abs(warped.permute(1, 2, 0).numpy() - expected).max() <= 0.6
