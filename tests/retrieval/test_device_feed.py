from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from vgsearch.config.search import EvalConfig
from vgsearch.models.precision import Precision
from vgsearch.retrieval.device_feed import DescriptorReturn, on_device
from vgsearch.retrieval.extraction import extract_descriptors
from vgsearch.retrieval.image_loader import LoadedBatch
from vgsearch.retrieval.neighbours import nearest

if TYPE_CHECKING:
    from conftest import ToyNetwork, WriteImages

CPU = torch.device("cpu")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")


def test_on_the_cpu_batches_pass_through_and_descriptors_return_at_once() -> None:
    batches = [LoadedBatch(np.array([i]), torch.full((1, 3, 2, 2), i, dtype=torch.uint8)) for i in range(3)]
    returning = DescriptorReturn(CPU)
    for sent, batch in zip(batches, on_device(batches, CPU), strict=True):
        assert batch.images.data_ptr() == sent.images.data_ptr()
        [(ids, rows)] = returning.send(batch.ids, batch.images.flatten(1).double())
        assert ids.tolist() == sent.ids.tolist()
        assert rows.dtype == np.float32
        assert (rows == float(ids[0])).all()
    assert list(returning.rest()) == []


@needs_cuda
def test_extraction_on_cuda_equals_the_cpu(
    network: ToyNetwork, write_images: WriteImages, tmp_path: Path
) -> None:
    index = write_images(tmp_path / "images", [(40, 56), (56, 40), (90, 30)] * 9)
    rows = []
    for device in (CPU, torch.device("cuda")):
        rows.append(
            extract_descriptors(
                network.to(device),
                index,
                eval_config=EvalConfig(batch_size=2),
                device=device,
                precision=Precision(torch.float32, use_scaler=False),
            )
        )
    np.testing.assert_allclose(rows[0], rows[1], atol=2e-3)  # convolutions in TF32 by default


@needs_cuda
def test_neighbours_on_cuda_equal_the_cpu() -> None:
    rng = np.random.default_rng(0)
    database = rng.standard_normal((3000, 64)).astype(np.float32)
    queries = rng.standard_normal((200, 64)).astype(np.float32)
    found = nearest(database, queries, 20, device=torch.device("cuda"))
    np.testing.assert_array_equal(found, nearest(database, queries, 20, device=CPU))
