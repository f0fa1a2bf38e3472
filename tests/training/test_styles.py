"""A trial that takes styles: its data, its shares of a batch, and its resume."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vgsearch.config.search import TrialSpec
from vgsearch.data.training_set import TrainingBatches
from vgsearch.errors import DataError
from vgsearch.training.batch_share import BatchShare, take_share
from vgsearch.training.data_cache import load_trial_data
from vgsearch.training.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture
def styled_spec(tiny_spec: TrialSpec) -> TrialSpec:
    """The tiny trial without a domain classifier: night photos serve as styles alone."""
    augment = tiny_spec.trial.augment.model_copy(
        update={"fda_beta": 0.05, "fda_probability": 0.7, "perspective": 0.3}
    )
    trial = tiny_spec.trial.model_copy(update={"augment": augment, "domain": None, "epochs": 2})
    return tiny_spec.model_copy(update={"trial": trial})


def test_styles_are_the_target_domain_and_make_no_targets(
    styled_spec: TrialSpec, tiny_spec: TrialSpec
) -> None:
    data = load_trial_data(styled_spec.data, styled_spec.trial)
    assert data.target is None
    assert data.styles is not None
    assert str(data.styles.root) == styled_spec.data.target_domain
    inline = tiny_spec.trial.domain.model_copy(update={"placement": "inline"})
    both = styled_spec.trial.model_copy(update={"domain": inline})
    assert load_trial_data(styled_spec.data, both).target is None
    assert load_trial_data(tiny_spec.data, tiny_spec.trial).styles is None


def test_no_target_domain(styled_spec: TrialSpec) -> None:
    data = styled_spec.data.model_copy(update={"target_domain": None})
    with pytest.raises(DataError, match=r"trial\.augment\.fda_beta is 0\.05 and needs photos"):
        load_trial_data(data, styled_spec.trial)


@pytest.mark.parametrize("augment_on_device", [False, True])
def test_shares_are_slices_of_the_batches_of_one_process(
    styled_spec: TrialSpec, augment_on_device: bool
) -> None:
    data = load_trial_data(styled_spec.data, styled_spec.trial)

    def batches(share: BatchShare) -> list[torch.Tensor]:
        made = TrainingBatches(
            data.train,
            data.groups[0],
            styled_spec.trial,
            epoch=1,
            threads=2,
            device=CPU,
            augment_on_device=augment_on_device,
            styles=data.styles,
        )
        take_share(made, share)
        return [images for images, _ in made]

    for whole, *parts in zip(
        batches(BatchShare()), *(batches(BatchShare(r, 3)) for r in range(3)), strict=True
    ):
        torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_resuming_equals_going_on(styled_spec: TrialSpec, tmp_path: Path) -> None:
    def run(folder: Path, epochs: int) -> None:
        with Trainer(styled_spec, folder, device=CPU, threads=1) as trainer:
            while trainer.epoch < epochs:
                trainer.train_epoch()

    run(tmp_path / "whole", 2)
    run(tmp_path / "parts", 1)
    run(tmp_path / "parts", 2)
    whole, parts = (load_file(tmp_path / r / "epoch_0002" / "model.safetensors") for r in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.slow
def test_styles_change_what_is_learned(styled_spec: TrialSpec, tmp_path: Path) -> None:
    plain = styled_spec.trial.augment.model_copy(update={"fda_beta": 0.0})
    without = styled_spec.trial.model_copy(update={"augment": plain})
    losses = []
    for name, trial in (("with", styled_spec.trial), ("without", without)):
        spec = styled_spec.model_copy(update={"trial": trial})
        with Trainer(spec, tmp_path / name, device=CPU, threads=1) as trainer:
            losses.append(trainer.train_epoch().metrics["train/loss"])
    assert losses[0] != losses[1]
