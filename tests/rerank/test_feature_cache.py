"""A file of features has its blocks before anything is written to it; a full disk is one line."""

import errno
import os

import numpy as np
import pytest
import torch

from vgsearch.errors import StorageError
from vgsearch.rerank import feature_cache
from vgsearch.rerank.feature_cache import FeatureCache


@pytest.fixture(autouse=True)
def in_a_file(monkeypatch):
    monkeypatch.setattr(feature_cache, "IN_MEMORY_BYTES", 0)


@pytest.mark.parametrize("has_call", [True, False])
def test_the_file_has_no_holes(tmp_path, monkeypatch, has_call):
    if not has_call:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
        monkeypatch.setattr(feature_cache, "_BLOCK_BYTES", 100_000)
    cache = FeatureCache(7, 64, torch.float32, tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size == 7 * 64 * 15 * 15 * 4
    assert file.stat().st_blocks * 512 >= file.stat().st_size
    features = torch.rand(2, 64, 15, 15)
    cache.put(np.array([5, 1]), features)
    assert torch.equal(cache.get(np.array([1, 5]), torch.device("cpu")), features.flip(0))


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", fail, raising=False)
    with pytest.raises(StorageError, match="has no room for"):
        FeatureCache(7, 64, torch.float32, tmp_path)
