"""BatchNorm over the batch of all processes: several of them then train what one would have trained.

On GPUs PyTorch's own SyncBatchNorm does it, through timm's conversion, which keeps the activation that many
of timm's BatchNorm layers carry. SyncBatchNorm refuses CPU tensors, so there a plain one takes its place.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vgsearch.models.exchange import exchanging


def synchronise_batch_norm(network: nn.Module, device: torch.device) -> list[nn.Module]:
    """Replace every BatchNorm of `network` that normalises with batch statistics in training.

    Frozen BatchNorm that stays at its stored statistics is left alone: it has nothing to synchronise.
    Parameters and buffers keep their names and identity, so that checkpoints and optimizers notice nothing.

    Args:
        network: left in training mode.
        device: where it will train.

    Returns:
        The new modules. While they train, every process must run the same layers in the same order.
    """
    network.train()
    moving = [
        name for name, layer in network.named_modules() if isinstance(layer, _BatchNorm) and layer.training
    ]
    synced = []
    for name in moving:
        layer = cast(_BatchNorm, network.get_submodule(name))
        on_gpu = device.type == "cuda"
        new = convert_sync_batchnorm(layer) if on_gpu else SyncedBatchNorm(layer)  # type: ignore[no-untyped-call]
        network.set_submodule(name, new)
        synced.append(new)
    return synced


class SyncedBatchNorm(_BatchNorm):
    """A BatchNorm whose batch is that of all processes of the default process group, on any device.

    Eval mode is the original's. In training, statistics are pooled over the processes by Chan, Golub &
    LeVeque (1979), which loses no digits where the mean is large, and shares of the batch may differ in size.
    """

    def __init__(self, original: _BatchNorm) -> None:
        """Take over the parameters, buffers, activation and mode of `original`."""
        super().__init__(
            original.num_features,
            eps=original.eps,
            momentum=original.momentum,
            affine=original.affine,
            track_running_stats=original.track_running_stats,
            device="meta",
        )
        for name, parameter in original.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in original.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        # timm's BatchNormAct2d: what follows the normalisation.
        for name, child in original.named_children():
            self.add_module(name, child)
        self.train(original.training)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over all but the channel dimension.

        Args:
            x: Tensor with shape (b, c, ...); b may differ between processes but not be 0.

        Returns:
            Tensor like `x`.
        """
        if self.training:
            normalised = self._normalise_together(x)
        else:
            normalised = F.batch_norm(
                x,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                training=self.running_mean is None,
                eps=self.eps,
            )
        for child in self.children():
            normalised = child(normalised)
        return normalised

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def _normalise_together(self, x: Tensor) -> Tensor:
        ones = torch.ones(self.num_features, device=x.device)
        weight = ones if self.weight is None else self.weight
        bias = torch.zeros_like(ones) if self.bias is None else self.bias
        normalised, mean, variance, count = _Normalise.apply(x, weight, bias, self.eps)
        if self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            momentum = (
                1.0 / float(self.num_batches_tracked) if self.momentum is None else float(self.momentum)
            )
            with torch.no_grad():
                self.running_mean.lerp_(mean, momentum)
                # The running variance is the unbiased one, as in PyTorch.
                self.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), momentum)
        return cast(Tensor, normalised)


class _Normalise(torch.autograd.Function):
    """`(x - mean) / sqrt(var + eps) * weight + bias`; mean, var and the gradient's sums are of all processes.

    The gradients of weight and bias are this process's part alone: the trainer adds up those of all
    processes.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        floats = x.float()
        own_variance, own_mean = torch.var_mean(floats, _all_but_channels(x), correction=0)
        own_count = torch.full_like(own_mean[:1], x.numel() / x.shape[1])
        own = torch.cat([own_mean, own_variance, own_count])
        gathered = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        with exchanging("BatchNorm statistics"):
            dist.all_gather(gathered, own)
        means, variances, counts = torch.split(torch.stack(gathered), [x.shape[1], x.shape[1], 1], dim=1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (counts * (variances + (means - mean).square())).sum(0) / count
        scale = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, scale, count)
        normalised = (floats - _column(mean, x)) * _column(scale * weight, x) + _column(bias, x)
        ctx.mark_non_differentiable(mean, variance, count)
        return normalised.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, scale, count = ctx.saved_tensors
        grad = grads[0].float()
        unit = (x.float() - _column(mean, x)) * _column(scale, x)
        own_sums = torch.stack([grad.sum(_all_but_channels(x)), (grad * unit).sum(_all_but_channels(x))])
        sums = own_sums.clone()
        with exchanging("BatchNorm gradients"):
            dist.all_reduce(sums)
        centred = grad - _column(sums[0] / count, x) - unit * _column(sums[1] / count, x)
        return (centred * _column(scale * weight, x)).to(x.dtype), own_sums[1], own_sums[0], None


def _all_but_channels(x: Tensor) -> list[int]:
    return [dim for dim in range(x.ndim) if dim != 1]


def _column(per_channel: Tensor, x: Tensor) -> Tensor:
    """Shape (c,) as (1, c, 1, ...), to go with `x`."""
    return per_channel.reshape([1, -1] + [1] * (x.ndim - 2))
