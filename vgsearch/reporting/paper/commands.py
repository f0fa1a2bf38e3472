"""The commands that would produce our side of a row."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from vgsearch.reporting.paper.asked import EPOCHS, MARGIN_KEYS, Asked

_LOSSES_TABLE = 1


def train_commands(table: int, asked: Asked, splits: Sequence[str]) -> list[str]:
    """Train and score what a row asks for: a search of one trial, whose champion is scored on the tests.

    Args:
        table: The row's table.
        asked: The row.
        splits: The table's test splits.

    Returns:
        One command, or two where the row scores in another way; none where its method is not available.
    """
    if asked.method:
        return []
    if asked.criterion is not None:
        return [_soup_command(asked)]
    name = search_name(asked)
    settings = [
        f"name={name}",
        "search.num_trials=1",
        "search.scheduler.name=none",
        "search.start_with=[]",
        f"trial.backbone={_backbone(asked)}",
        f"trial.loss={_loss(asked)}",
        "trial.lr=1e-5",
        "trial.frozen_bn=batch",
    ]
    if asked.grl_alpha is not None:
        settings.append(f"trial.domain={{grl_alpha: {asked.grl_alpha:g}}}")
    if asked.epochs != EPOCHS:
        settings.append(f"trial.epochs={asked.epochs}")
    if asked.precision == "fp32":
        settings.append("trial.precision=fp32")
    space = f"search_spaces/{_space(table, asked)}.yaml"
    commands = [_command("tune", space, settings)]
    if asked.query_method != "native" or asked.fda:
        commands += score_commands(f"models:/vgsearch-{name}@champion", asked, splits)
    return commands


def score_commands(reference: str, asked: Asked, splits: Sequence[str]) -> list[str]:
    """Score a recorded model on test splits, and keep the results."""
    on = " ".join(f"--on test/{split}" for split in splits)
    method = f" --query-method {asked.query_method}" if asked.query_method != "native" else ""
    style = f" --fda {asked.fda}" if asked.fda else ""
    return [f"vgsearch evaluate {reference} {on}{method}{style}"]


def search_name(asked: Asked) -> str:
    """A name for the search of a row; rows that ask for the same network have the same one."""
    parts = ["paper", asked.backbone.split(".")[0], asked.loss, f"s{asked.scale:g}", f"m{asked.margin:g}"]
    if asked.weights != "imagenet":
        parts.append(asked.weights)
    if asked.grl_alpha is not None:
        parts.append(f"grl{asked.grl_alpha:g}")
    if asked.epochs != EPOCHS:
        parts.append(f"{asked.epochs}epochs")
    if asked.precision is not None:
        parts.append(asked.precision)
    return "_".join(parts)


def _space(table: int, asked: Asked) -> str:
    if asked.grl_alpha is not None:
        return "grl"
    return "losses" if table == _LOSSES_TABLE else "backbones"


def _backbone(asked: Asked) -> str:
    if asked.weights == "imagenet":
        return asked.backbone
    return f"{{name: {asked.backbone}, weights: weights/resnet18_{asked.weights}.pth}}"


def _loss(asked: Asked) -> str:
    detach = ", detach_margin: true" if asked.loss != "cosface" else ""
    return (
        f"{{name: {asked.loss}, scale: {asked.scale:g}, {MARGIN_KEYS[asked.loss]}: {asked.margin:g}{detach}}}"
    )


def _soup_command(asked: Asked) -> str:
    search = "losses" if asked.backbone.startswith("resnet18") else "backbones"
    command = _command("soup", "ensembles/paper_table16.yaml", [f"searches=[{search}]"])
    return f"{command} --allow-test-selection --score-tests"


def _command(verb: str, file: str, settings: Sequence[str]) -> str:
    return " ".join(["vgsearch", verb, file, *(f"--set {shlex.quote(setting)}" for setting in settings)])
