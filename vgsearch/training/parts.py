"""The trainable parts of a trial: built fresh, or restored from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vgsearch.config.trial import TrialConfig
from vgsearch.models.checkpoint import load_network, load_training_state
from vgsearch.models.network import DescriptorNetwork, build_network
from vgsearch.models.precision import Precision
from vgsearch.models.synced_batch_norm import synchronise_batch_norm
from vgsearch.training import state as training_state
from vgsearch.training.domain_step import DomainStep, build_domain_step
from vgsearch.training.gradient_sum import squared_norm
from vgsearch.training.groups import GroupClassifiers
from vgsearch.training.optimizers import build_adam
from vgsearch.training.step import TrainingStep
from vgsearch.training.trunk import classifiers_of_trunk, network_from_trunk


@dataclass(frozen=True)
class TrialParts:
    """Network, margin heads, domain classifier and their optimizers.

    Attributes:
        network: in channels_last, on the device.
        describe: the network's `describe`, or its compiled form where `trial.compile` is set.
        optimizer: Adam at `trial.lr` over the network's trainable parameters.
        classifiers: margin head and Adam of each group.
        domain: domain classifier and its Adam, or None.
        scaler: enabled for fp16 on CUDA alone.
    """

    network: DescriptorNetwork
    describe: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    optimizer: torch.optim.Optimizer
    classifiers: GroupClassifiers
    domain: DomainStep | None
    scaler: torch.amp.GradScaler

    def step_on(self, group: int, precision: Precision, device: torch.device) -> TrainingStep:
        """The training step of a group; its margin head moves to the device."""
        head, head_optimizer = self.classifiers.activate(group)
        return TrainingStep(
            describe=self.describe,
            optimizer=self.optimizer,
            head=head,
            head_optimizer=head_optimizer,
            scaler=self.scaler,
            precision=precision,
            device=device,
            domain=self.domain,
        )

    def release_gradients(self) -> None:
        """Free all gradients: scoring needs the memory more."""
        self.network.zero_grad(set_to_none=True)
        self.classifiers.release_gradients()
        if self.domain is not None:
            self.domain.classifier.zero_grad(set_to_none=True)

    def squared_norm(self) -> float:
        """Of all that learns and is in use: equal in processes that train the same trial in step."""
        domain = [] if self.domain is None else self.domain.classifier.state_dict().values()
        return squared_norm([*self.network.state_dict().values(), *self.classifiers.tensors(), *domain])

    def training_state(self, epoch: int) -> dict[str, Any]:
        """All but the weights, for `training_state.pt`."""
        return training_state.capture(epoch, self.optimizer, self.classifiers, self.domain, self.scaler)


def build_parts(
    trial: TrialConfig,
    classes_per_group: Sequence[int],
    device: torch.device,
    precision: Precision,
    *,
    checkpoint: Path | None,
    epoch: int,
    compile_threads: int,
    trunk: Path | None = None,
    processes: int = 1,
    num_targets: int = 1,
) -> TrialParts:
    """Build the parts of a trial on `device`.

    Args:
        trial: the decided values.
        classes_per_group: number of classes of each group.
        device: where training happens.
        precision: of the forward pass.
        checkpoint: folder to resume from, or None for initial weights.
        epoch: completed epochs; the checkpoint's.
        compile_threads: processes that compile kernels where `trial.compile` is set.
        trunk: checkpoint that a fresh trial starts from, see `vgsearch.config.branch`; a resumed one has left
            it behind.
        processes: how many train the trial together; above 1, BatchNorm is synchronised over them.
        num_targets: target domains that a domain classifier tells from the source.

    Raises:
        CheckpointError: the checkpoint or the trunk is damaged or does not fit.
        WeightsError: initial weights cannot be had.
    """
    trunk = trunk if checkpoint is None else None
    network = _network(trial, device, checkpoint, trunk)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    synced = synchronise_batch_norm(network, device) if processes > 1 else []
    parts = TrialParts(
        network=network,
        describe=_compile(network, compile_threads, uncompiled=synced) if trial.compile else network.describe,
        optimizer=build_adam(network.trainable_parameters(), trial.lr),
        classifiers=GroupClassifiers(trial, classes_per_group, device),
        domain=build_domain_step(trial, network, num_targets, device),
        scaler=torch.amp.GradScaler(device.type, enabled=precision.use_scaler),
    )
    if checkpoint is not None:
        training_state.restore(
            load_training_state(checkpoint),
            epoch,
            parts.optimizer,
            parts.classifiers,
            parts.domain,
            parts.scaler,
        )
    if trunk is not None:
        classifiers = classifiers_of_trunk(trunk, trial)
        if classifiers is not None:
            parts.classifiers.start_from(classifiers)
    return parts


def _network(
    trial: TrialConfig, device: torch.device, checkpoint: Path | None, trunk: Path | None
) -> DescriptorNetwork:
    if checkpoint is not None:
        return load_network(checkpoint, device)
    return build_network(trial) if trunk is None else network_from_trunk(trunk, trial)


def _compile(
    network: DescriptorNetwork, threads: int, *, uncompiled: Iterable[torch.nn.Module]
) -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """The compiled forward pass, but for some modules; parameters and their names stay the network's own."""
    import torch._inductor.config as inductor

    for module in uncompiled:
        # They talk to other processes, which no compiled graph should reorder.
        module.forward = torch.compiler.disable(module.forward)  # type: ignore[no-untyped-call]
    inductor.compile_threads = max(1, threads)
    compiled: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]] = torch.compile(
        network.describe, dynamic=False
    )
    return compiled
