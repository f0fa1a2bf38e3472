"""A classifier and an optimizer for each CosPlace group; only the group that trains is on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vgsearch.config.trial import TrialConfig
from vgsearch.errors import CheckpointError, first_line
from vgsearch.models.margin_head import MarginHead
from vgsearch.models.seeding import part_seed
from vgsearch.training.optimizers import build_adam, load_optimizer, move_optimizer

_PARKED = torch.device("cpu")


class GroupClassifiers:
    """The margin heads of a trial's groups, each with its own Adam at `classifier_lr`.

    Epoch e (0-based) trains group `e % num_groups`. A head is built when its group first trains, from a seed
    of its own, so the order in which heads are built changes nothing. A head that does not train is parked in
    main memory with its optimizer's moments: at 512 dimensions, 30,000 classes cost 180 MB a group.
    """

    def __init__(self, trial: TrialConfig, classes_per_group: Sequence[int], device: torch.device) -> None:
        """Remember the sizes; nothing is built yet.

        Args:
            trial: gives descriptor size, loss, rate and seed.
            classes_per_group: number of classes of each group, in group order.
            device: where the active head lives.
        """
        self._trial = trial
        self._classes_per_group = list(classes_per_group)
        self._device = device
        self._heads: dict[int, MarginHead] = {}
        self._optimizers: dict[int, torch.optim.Adam] = {}

    @property
    def num_groups(self) -> int:
        """How many groups take turns."""
        return len(self._classes_per_group)

    def activate(self, group: int) -> tuple[MarginHead, torch.optim.Adam]:
        """The head and the optimizer of `group` on the device; every other head is parked."""
        for other in self._heads:
            if other != group:
                self._move(other, _PARKED)
        if group not in self._heads:
            self._build(group)
        self._move(group, self._device)
        return self._heads[group].train(), self._optimizers[group]

    def tensors(self) -> list[torch.Tensor]:
        """The weights of every head that has been built, wherever they are."""
        return [tensor for _, head in sorted(self._heads.items()) for tensor in head.state_dict().values()]

    def release_gradients(self) -> None:
        """Free the gradients of every head."""
        for head in self._heads.values():
            head.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs, on the CPU: sizes, and each built group's head and optimizer."""
        return {
            "classes_per_group": list(self._classes_per_group),
            "heads": {group: _on_cpu(head.state_dict()) for group, head in self._heads.items()},
            "optimizers": {group: _on_cpu(adam.state_dict()) for group, adam in self._optimizers.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            CheckpointError: the groups of the training folder have other class counts than when it was saved.
        """
        if list(state["classes_per_group"]) != self._classes_per_group:
            raise CheckpointError(
                "a trial resumes only on the classes it was training on: the checkpoint has "
                f"{state['classes_per_group']} classes per group, the training folder gives "
                f"{self._classes_per_group}; restore the folder's images or start the trial anew"
            )
        self._heads.clear()
        self._optimizers.clear()
        for group, head_state in state["heads"].items():
            self._build(group)
            self._heads[group].load_state_dict(head_state)
            load_optimizer(self._optimizers[group], state["optimizers"][group])

    def start_from(self, state: dict[str, Any]) -> None:
        """Take the class weights of another trial's groups; their optimizers start fresh.

        A group that the other never trained keeps its own random start.

        Args:
            state: the other's `state_dict`, of the same cells.

        Raises:
            CheckpointError: its groups have other class counts, or it does not fit.
        """
        if list(state.get("classes_per_group", ())) != self._classes_per_group:
            raise CheckpointError(
                "a branch has its trunk's classes: the trunk was trained on "
                f"{state.get('classes_per_group')} classes per group, the training folder gives "
                f"{self._classes_per_group}; restore the folder's images or search anew under another name"
            )
        try:
            for group, head_state in state["heads"].items():
                self._build(group)
                self._heads[group].load_state_dict(head_state)
        except (KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"the trunk's classifiers do not fit: {first_line(error)}") from error

    def _build(self, group: int) -> None:
        head = MarginHead(
            self._trial.descriptor_dim,
            self._classes_per_group[group],
            self._trial.loss,
            seed=part_seed(self._trial.seed, f"group {group}"),
        )
        self._heads[group] = head
        self._optimizers[group] = build_adam(head.parameters(), self._trial.classifier_lr)

    def _move(self, group: int, device: torch.device) -> None:
        self._heads[group].to(device)
        move_optimizer(self._optimizers[group], device)


def _on_cpu(tree: Any) -> Any:
    """The same nested dictionaries and lists with every tensor on the CPU."""
    if isinstance(tree, torch.Tensor):
        return tree.detach().cpu()
    if isinstance(tree, dict):
        return {key: _on_cpu(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_on_cpu(value) for value in tree]
    return tree
