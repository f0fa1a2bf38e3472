from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.config.search import TrialSpec
from vgsearch.data.decode import read_image
from vgsearch.data.training_set import TargetBatches, TrainingBatches
from vgsearch.training.batch_share import BatchShare, no_images, take_share
from vgsearch.training.data_cache import load_trial_data

CPU = torch.device("cpu")


@given(st.integers(1, 200), st.integers(1, 16))
def test_parts_make_up_the_batch_and_weights_its_mean(size: int, processes: int) -> None:
    shares = [BatchShare(rank, processes) for rank in range(processes)]
    items = list(range(size))
    parts = [items[share.part(size)] for share in shares]
    assert [item for part in parts for item in part] == items
    assert [share.count(size) for share in shares] == [len(part) for part in parts]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    weighted = sum(
        share.weight(size) * float(np.mean(part)) for share, part in zip(shares, parts, strict=True) if part
    )
    assert weighted == pytest.approx(np.mean(items))


def test_one_process_has_the_batch_as_it_is() -> None:
    assert BatchShare().weight(7) == 1.0
    assert BatchShare().count(7) == 7


def _training(spec: TrialSpec, share: BatchShare) -> TrainingBatches:
    data = load_trial_data(spec.data, spec.trial)
    batches = TrainingBatches(data.train, data.groups[0], spec.trial, epoch=1, threads=2, device=CPU)
    take_share(batches, share)
    return batches


@pytest.mark.parametrize("processes", [1, 3])
def test_shares_are_slices_of_the_batches_of_one_process(tiny_spec: TrialSpec, processes: int) -> None:
    whole = list(_training(tiny_spec, BatchShare()))
    shares = [list(_training(tiny_spec, BatchShare(rank, processes))) for rank in range(processes)]
    for number, (images, labels) in enumerate(whole):
        assert torch.equal(torch.cat([batches[number][0] for batches in shares]), images)
        assert torch.equal(torch.cat([batches[number][1] for batches in shares]), labels)


def test_no_image_of_another_share_is_decoded(tiny_spec: TrialSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Path] = []

    def spy(path: Path) -> torch.Tensor:
        decoded.append(path)
        return read_image(path)

    monkeypatch.setattr("vgsearch.data.decode.read_image", spy)
    seen = sum(len(labels) for _, labels in _training(tiny_spec, BatchShare(2, 3)))
    assert seen == 2 * tiny_spec.trial.iterations_per_epoch  # of batches of 8: 3, 3 and 2
    assert len(decoded) == seen


def test_target_images_are_shared_too(tiny_spec: TrialSpec) -> None:
    target = load_trial_data(tiny_spec.data, tiny_spec.trial).target
    assert target is not None

    def batches(share: BatchShare) -> list[torch.Tensor]:
        made = TargetBatches(target, tiny_spec.trial, batch_size=3, epoch=0, threads=1, device=CPU)
        take_share(made, share)
        return list(made)

    whole, first, second = (batches(share) for share in (BatchShare(), BatchShare(0, 2), BatchShare(1, 2)))
    for images, *halves in zip(whole, first, second, strict=True):
        assert [len(half) for half in halves] == [2, 1]
        assert torch.equal(torch.cat(halves), images)


def test_no_images(tiny_spec: TrialSpec) -> None:
    batches = list(no_images(tiny_spec.trial, CPU))
    assert len(batches) == tiny_spec.trial.iterations_per_epoch
    assert {tuple(images.shape) for images in batches} == {(0, 3, 64, 64)}
