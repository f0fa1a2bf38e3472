"""Which of our runs answers a row of the paper, judged by declared settings; names have no say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from vgsearch.config.trial import DomainConfig, TrialConfig
from vgsearch.registry.params import flatten
from vgsearch.reporting.paper.asked import ITERATIONS_PER_EPOCH, MARGIN_KEYS, Asked
from vgsearch.reporting.paper.our_runs import OurRun

_USUAL_OBJECTIVE = "val/recall_at_1"
_TRAIN_FOLDER = ("sf_xs", "train")
# Decided by the row, by the machine or by chance; of a backbone's keys see below.
_NOT_COMPARED = {"seed", "compile", "precision", "weights", "trainable_stages", "backbone", "frozen_bn"}


@dataclass(frozen=True)
class Match:
    """The run that stands for a row.

    Attributes:
        run: Of those that match the one with the highest value of its objective on val.
        num_matching: How many there are.
    """

    run: OurRun
    num_matching: int


def find_match(runs: Sequence[OurRun], asked: Asked) -> Match | None:
    """The best on val of the runs that answer a row; tests have no say in which it is."""
    matching = [run for run in runs if answers(run, asked)]
    if not matching:
        return None

    def rank(run: OurRun) -> tuple[bool, float]:
        # Values of different objectives do not compare: the paper's own comes first.
        return run.objective == _USUAL_OBJECTIVE, -1.0 if run.val_percent is None else run.val_percent

    return Match(max(matching, key=rank), len(matching))


def answers(run: OurRun, asked: Asked) -> bool:
    """Whether a run's declared settings are those of a row."""
    if not _has_backbone(run.trial, asked):
        return False
    if asked.criterion is not None:
        return run.kind == "soup" and run.method == "greedy" and run.criterion == asked.criterion
    trial = run.trial
    return (
        run.kind == "trial"
        and run.is_whole
        and _has_loss(trial, asked)
        and math.isclose((trial.domain.grl_alpha if trial.domain else 0.0), asked.grl_alpha or 0.0)
        and math.isclose(trial.augment.hflip, asked.hflip)
        and (trial.epochs, trial.iterations_per_epoch) == (asked.epochs, ITERATIONS_PER_EPOCH)
        and (asked.precision is None or (trial.precision == "fp32") == (asked.precision == "fp32"))
    )


def differences(run: OurRun, asked: Asked) -> list[str]:
    """Settings beside the row's own in which a run's training differs from the paper's, with both values."""
    if run.kind != "trial":
        return []
    ours = flatten(run.trial.model_dump(mode="json"))
    theirs = flatten(paper_trial(run, asked).model_dump(mode="json"))
    found = [
        f"{key} {ours[key]} (paper {theirs[key]})"
        for key in ours
        if key.split(".")[0] not in _NOT_COMPARED and key in theirs and ours[key] != theirs[key]
    ]
    if asked.grl_alpha is None and run.trial.domain is not None:
        found.append("a domain classifier with alpha 0")
    backbone = run.trial.resolved_backbone
    if backbone.frozen_bn != "batch":
        found.append(f"frozen_bn {backbone.frozen_bn} (paper batch)")
    if backbone.trainable_stages is not None:
        found.append(f"trainable_stages {backbone.trainable_stages}")
    if run.trunk_epochs:
        found.append(f"branched from a trunk of {run.trunk_epochs} epochs")
    parts = PurePath(run.train_folder).parts[-2:]
    if run.train_folder and parts != _TRAIN_FOLDER:
        found.append(f"trained on {'/'.join(parts)}")
    return found


def paper_trial(run: OurRun, asked: Asked) -> TrialConfig:
    """The run's settings where the row leaves them open, else the paper's: CosPlace's defaults."""
    loss: dict[str, object] = {
        "name": asked.loss,
        "scale": asked.scale,
        MARGIN_KEYS[asked.loss]: asked.margin,
    }
    if asked.loss != "cosface":
        loss["detach_margin"] = True
    domain = None if asked.grl_alpha is None else DomainConfig(grl_alpha=asked.grl_alpha)
    return TrialConfig.model_validate(
        {
            "backbone": run.trial.resolved_backbone.model_dump(mode="json"),
            "loss": loss,
            "domain": None if domain is None else domain.model_dump(mode="json"),
            "augment": {"hflip": asked.hflip},
            "epochs": asked.epochs,
        }
    )


def _has_backbone(trial: TrialConfig, asked: Asked) -> bool:
    ours = trial.resolved_backbone
    # A timm name without its pre-training tag means the default one.
    is_same = ours.name == asked.backbone or ours.name.startswith(f"{asked.backbone}.")
    weights = (ours.weights or "").lower()
    if asked.weights == "imagenet":
        return is_same and weights == "imagenet"
    return is_same and asked.weights in PurePath(weights).name


def _has_loss(trial: TrialConfig, asked: Asked) -> bool:
    loss = trial.loss
    margin = getattr(loss, MARGIN_KEYS[asked.loss], None)
    return (
        loss.name == asked.loss
        and math.isclose(loss.scale, asked.scale)
        and margin is not None
        and math.isclose(margin, asked.margin)
    )
