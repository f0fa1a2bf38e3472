"""What two photos have in common, as pictures: the quadrilaterals, and what they enclose in true colours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vgsearch.rerank.homography import homography_to, warp_images
from vgsearch.rerank.network import GeoWarpNetwork
from vgsearch.rerank.pair_scoring import framing_of


@dataclass(frozen=True)
class CommonView:
    """One pair, query first.

    Attributes:
        photos: As they are, uint8 (3, h, w) each.
        corners: Of the quadrilateral in each, float32 (4, 2) in [-1, 1] where they lie inside; see
            `vgsearch.rerank.homography`.
        warped: What the quadrilateral of each encloses, uint8 of the photo's size, black beyond its borders;
            all black where no homography fills it.
        similarity: See `GeoWarpNetwork.similarity`.
    """

    photos: tuple[Tensor, Tensor]
    corners: tuple[Tensor, Tensor]
    warped: tuple[Tensor, Tensor]
    similarity: float


def common_view(
    network: GeoWarpNetwork, query: Tensor, candidate: Tensor, *, device: torch.device
) -> CommonView:
    """Look at a pair as `score_candidates` does in float32.

    Args:
        network: In eval mode, on `device`.
        query: Photo, uint8 (3, h, w).
        candidate: Photo, uint8 (3, h', w').
        device: Where to compute.
    """
    framing = framing_of(network)
    with torch.inference_mode():
        first, second = (
            network.normalise(framing.views(photo)[0][None].to(device)) for photo in (query, candidate)
        )
        features = [network.local_features(images) for images in (first, second)]
        corners = network.quadrilaterals(*features)
        similarity = network.similarity(
            first, second, first_features=features[0], second_features=features[1]
        )
    in_query, in_candidate = (each[0].float().cpu() for each in corners)
    return CommonView(
        photos=(query, candidate),
        corners=(in_query, in_candidate),
        warped=(enclosed(query, in_query), enclosed(candidate, in_candidate)),
        similarity=float(similarity),
    )


def enclosed(photo: Tensor, corners: Tensor) -> Tensor:
    """What a quadrilateral encloses, drawn out to the photo's size, by `warp_images`.

    Args:
        photo: uint8 (3, h, w).
        corners: float32 (4, 2).

    Returns:
        uint8 (3, h, w).
    """
    warped = warp_images(photo[None].float(), homography_to(corners[None]))[0]
    return warped.round().clamp(0, 255).to(torch.uint8)
