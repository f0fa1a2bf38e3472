"""What `training_state.pt` holds: all that an exact resume needs beside the weights."""

from __future__ import annotations

from typing import Any

import torch

from vgsearch.errors import CheckpointError
from vgsearch.training.domain_step import DomainStep
from vgsearch.training.groups import GroupClassifiers
from vgsearch.training.optimizers import load_optimizer


def capture(
    epoch: int,
    optimizer: torch.optim.Optimizer,
    classifiers: GroupClassifiers,
    domain: DomainStep | None,
    scaler: torch.amp.GradScaler,
) -> dict[str, Any]:
    """Tensors, numbers, strings, lists and dictionaries only, so that it loads with `weights_only=True`.

    No generator is stored: every draw derives from (seed, epoch, index).
    """
    return {
        "epoch": epoch,
        "optimizer": optimizer.state_dict(),
        "classifiers": classifiers.state_dict(),
        "domain": None if domain is None else domain.state_dict(),
        "scaler": dict(scaler.state_dict()),
    }


def restore(
    state: dict[str, Any],
    epoch: int,
    optimizer: torch.optim.Optimizer,
    classifiers: GroupClassifiers,
    domain: DomainStep | None,
    scaler: torch.amp.GradScaler,
) -> None:
    """Give the parts of a trial the state that `capture` took after `epoch` completed epochs.

    Raises:
        CheckpointError: the state is of another epoch, lacks a part or does not fit.
    """
    try:
        if state["epoch"] != epoch:
            raise CheckpointError(
                f"training_state.pt is of epoch {state['epoch']}, its folder of epoch {epoch}"
            )
        load_optimizer(optimizer, state["optimizer"])
        classifiers.load_state_dict(state["classifiers"])
        if domain is not None:
            domain.load_state_dict(state["domain"])
        if scaler.is_enabled() and state["scaler"]:
            scaler.load_state_dict(state["scaler"])
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        first_line = str(error).splitlines()[0] if str(error) else repr(error)
        raise CheckpointError(f"training_state.pt does not fit this trial: {first_line}") from error
