"""Losses of an epoch, kept on the device and looked at only now and then."""

from __future__ import annotations

import torch

from vgsearch.errors import DivergedError


class LossWatch:
    """Collects one loss per iteration and stops an epoch whose loss is no longer finite.

    Reading a number back makes the host wait until the GPU has caught up, so on a GPU the losses are read
    every 50 iterations and at the end; on a CPU, where reading is free, after every one. No checkpoint is
    written in between, so no diverged weights are ever saved.
    """

    def __init__(self, iterations: int, device: torch.device, *, epoch: int, context: str) -> None:
        """Make room for `iterations` losses.

        Args:
            iterations: planned in this epoch.
            device: where the losses are.
            epoch: 1-based, for the message.
            context: what the message says about the trial, e.g. "lr=1e-05, precision=bf16".
        """
        self._losses = torch.zeros(iterations, dtype=torch.float32, device=device)
        self._check_every = 1 if device.type == "cpu" else 50
        self._epoch = epoch
        self._context = context
        self._checked = 0

    def add(self, iteration: int, loss: torch.Tensor) -> float | None:
        """Record the loss (0-d tensor) of a 0-based iteration.

        Returns:
            The loss as a number where it was read back, else None.

        Raises:
            DivergedError: it was read back, and a loss since the last reading is NaN or infinite.
        """
        self._losses[iteration] = loss.detach()
        done = iteration + 1
        if done % self._check_every and done < len(self._losses):
            return None
        fresh = self._losses[self._checked : done].cpu()
        bad = torch.nonzero(~torch.isfinite(fresh)).flatten()
        if len(bad):
            raise DivergedError(
                f"loss is not finite at epoch {self._epoch}, iteration {self._checked + int(bad[0]) + 1} "
                f"({self._context}); lower lr or classifier_lr, or raise precision"
            )
        self._checked = done
        return float(fresh[-1])

    def mean(self) -> float:
        """Mean of the losses recorded so far, summed in double precision."""
        return float(self._losses[: self._checked].double().mean())
