"""Batch normalisation over the batch of all processes together.

Each process has a part of a batch, and by default BatchNorm takes the part's mean and variance: with few images a
process they are uncertain, and the result depends on the number of processes. Here the sums behind both are added up
over the processes, so that they are those of the whole batch (Peng et al., MegDet, arXiv 1711.07240, §3.2). PyTorch's
own SyncBatchNorm does the same on GPUs alone.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def share_norms(model: nn.Module) -> None:
    """Let all BatchNorms of `model` use the statistics of the batch in all processes; its state dict stays the same."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SharedNorm


class _SharedNorm(nn.BatchNorm2d):
    """BatchNorm over the images of all processes while it trains; in evaluation an ordinary one."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W); a process may have no images, N = 0."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(images)
        values = images.float()
        own = values.new_full((1,), len(values) * values.shape[2] * values.shape[3])
        totals = _sum(torch.cat([values.sum(dim=(0, 2, 3)), own]))
        count = totals[-1].detach()
        mean = totals[:-1] / count  # (C,)
        centred = values - mean[:, None, None]
        variance = _sum(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            assert self.num_batches_tracked is not None and self.momentum is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            # Unbiased, as PyTorch keeps it; of a single value there is no variance.
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(images.dtype)


def _sum(tensor: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call]
    return total


class _Sum(torch.autograd.Function):
    """The sum over all processes. What a process adds reaches the losses of all, so its gradient is their sum too."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        """Any shape."""
        return _all_reduce(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The same shape."""
        return _all_reduce(gradient)


def _all_reduce(tensor: Tensor) -> Tensor:
    total = tensor.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
