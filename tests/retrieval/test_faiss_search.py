from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vgsearch.retrieval import faiss_search


@pytest.fixture
def gpu_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A pretended card, a cache folder of its own, and a scripted child process that counts its runs."""
    import faiss

    calls = SimpleNamespace(count=0, outcome=SimpleNamespace(returncode=0, stdout="works\n"))

    def child(*_: object, **__: object) -> object:
        calls.count += 1
        if isinstance(calls.outcome, Exception):
            raise calls.outcome
        return calls.outcome

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Pretended")
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss_search, "user_cache_path", lambda _: tmp_path / "cache")
    monkeypatch.setattr(subprocess, "run", child)
    faiss_search.gpu_works.cache_clear()
    yield calls
    faiss_search.gpu_works.cache_clear()


def test_a_card_is_probed_once_per_machine(gpu_machine: Any) -> None:
    assert faiss_search.gpu_works()
    faiss_search.gpu_works.cache_clear()  # as another process would start
    assert faiss_search.gpu_works()
    assert gpu_machine.count == 1


@pytest.mark.parametrize(
    "outcome",
    [
        SimpleNamespace(returncode=-6, stdout=""),
        SimpleNamespace(returncode=0, stdout="wrong\n"),
        subprocess.TimeoutExpired("python", 1),
        OSError("no memory"),
    ],
)
def test_a_child_that_dies_or_errs_means_no(gpu_machine: Any, outcome: object) -> None:
    gpu_machine.outcome = outcome
    assert not faiss_search.gpu_works()
    faiss_search.gpu_works.cache_clear()
    assert not faiss_search.gpu_works()
    assert gpu_machine.count == 1


def test_an_unwritable_cache_only_costs_a_probe(gpu_machine: Any, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert faiss_search.gpu_works()


def test_without_a_card_nothing_is_probed(gpu_machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not faiss_search.gpu_works()
    assert gpu_machine.count == 0
