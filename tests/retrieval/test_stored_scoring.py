from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vgsearch.config.search import EvalConfig
from vgsearch.data.retrieval_set import load_retrieval_set
from vgsearch.models.precision import Precision
from vgsearch.retrieval.descriptor_store import DescriptorStore
from vgsearch.retrieval.scoring import score_sets
from vgsearch.retrieval.stored_scoring import score_stored

if TYPE_CHECKING:
    import pytest
    from conftest import ToyNetwork, WriteImages

OPTIONS: dict[str, Any] = {
    "eval_config": EvalConfig(),
    "device": torch.device("cpu"),
    "precision": Precision(torch.float32, use_scaler=False),
}


class Identity:
    weights_sha256 = "a" * 64
    architecture = "toy"


def test_the_same_results_and_no_second_look(
    write_images: WriteImages, network: ToyNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Day and night queries on hard links of one database, as the demo city has them."""
    day, night = tmp_path / "day", tmp_path / "night"
    write_images(day / "database", [(32, 40)] * 30)
    (night / "database").mkdir(parents=True)
    for image in (day / "database").iterdir():
        (night / "database" / image.name).hardlink_to(image)
    for count, folder in ((12, day), (7, night)):
        write_images(folder / "queries", [(32, 40)] * count)
    sets = [load_retrieval_set(folder, 25.0, cache_dir=tmp_path / "cache") for folder in (day, night)]
    expected = score_sets(network, sets, **OPTIONS)

    passed: list[int] = []
    forward = type(network).forward

    def counting(self: ToyNetwork, images: Tensor) -> Tensor:
        passed.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(type(network), "forward", counting)
    for extracted in (30 + 12 + 7, 0):
        passed.clear()
        store = DescriptorStore(tmp_path / "descriptors")
        results = score_stored(store, lambda: network, Identity, sets, **OPTIONS)
        assert sum(passed) == extracted
        for result, wanted in zip(results, expected, strict=True):
            assert result.first_hit_rank.tolist() == wanted.first_hit_rank.tolist()
            assert result.stamp == wanted.stamp
            assert result.set_name == wanted.set_name
