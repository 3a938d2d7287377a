"""A group of layers that run as one: convolution, batch norm, sum, activation, max pool, as far as they are there.

Between separate layers each value is written to memory and read back; within a group it is not. The layers themselves
stay where they are in their network. A group reads their parameters, statistics and modes at each call, so that
freezing, loading weights and steps of an optimizer need nothing; and what the operators cannot take, the layers do one
by one.
"""

from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convscope.kernels import choice
from convscope.kernels.convolving import Way, convolve, our_way, result_dtype, result_shape

_USUAL = (torch.float32, "cpu")
"""What parameters and statistics are."""


class Sum(nn.Module):
    """Stands in a group for `+`; no network has it."""

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Of two (N, C, H, W)."""
        return x + other


class Tail(NamedTuple):
    """What comes after norm and sum: the operators' last arguments."""

    activation: str = "none"
    slope: float = 0.0
    pool: int = 1
    pool_first: bool = False


class Result(NamedTuple):
    """What a group comes to."""

    out: Tensor
    mean: Tensor | None = None
    """Of the convolution's results in each channel, its bias left out: (C,); None where layers did it."""
    invstd: Tensor | None = None
    """One over their deviation, with the norm's eps: (C,)."""
    values: int = 0
    """How many values a channel has."""


def activation_of(layer: nn.Module) -> Tail | None:
    """An activation in the operators' words; None for a layer that they do not know."""
    if type(layer) is nn.ReLU:
        return Tail("relu")
    if type(layer) is nn.LeakyReLU:
        return Tail("leaky_relu", layer.negative_slope)
    if type(layer) is nn.SiLU:
        return Tail("silu")
    if type(layer) is nn.GELU and layer.approximate == "none":
        return Tail("gelu")
    return None


class Group:
    """Layers that follow one another; called like a layer, with a second argument where one of them is a sum.

    Args:
        layers: a `Conv2d`, `BatchNorm2d`, `Sum`, activation and `MaxPool2d`, or some of them: at least two, or a
            convolution. They come in this order, except that without a sum the pool may be before the activation.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.layers = tuple(layers)
        self.conv = next((layer for layer in layers if isinstance(layer, nn.Conv2d)), None)
        self.norm = next((layer for layer in layers if isinstance(layer, nn.BatchNorm2d)), None)
        self.tail = Tail()
        for layer in layers:
            activation = activation_of(layer)
            if activation is not None:
                pool = self.tail.pool
                self.tail = activation._replace(pool=pool, pool_first=pool > 1)
            elif isinstance(layer, nn.MaxPool2d):
                self.tail = self.tail._replace(pool=as_pair(layer.kernel_size)[0])
        self._ways: dict[object, Way] = {}

    def __call__(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """x (N, C, H, W) -> what the last layer gives; `other` is what the sum adds."""
        if not self._takes(x):
            return self._one_by_one(x, other)
        result = self._run(self._way(x, other), x, other)
        self._track(result)
        return result.out

    def _run(self, way: Way, x: Tensor, other: Tensor | None) -> Result:
        if way == "amx":
            return self._by_amx(x, other)
        if way == "onednn" and not self.pays:
            return Result(self._one_by_one(x, other))
        z = x if self.conv is None else convolve(self.conv, x, way)
        if len(self.layers) == 1 or not (is_dense(z) and self._takes_result(z.shape, z.dtype, other)):
            return Result(self._one_by_one_after(z, other))
        return self._after(z, other)

    @property
    def pays(self) -> bool:
        """Whether it is faster as one after PyTorch's convolution, which adds a bias itself, and whose result an
        activation can change in place.
        """
        return self.norm is not None or self.tail.pool > 1

    def _one_by_one(self, x: Tensor, other: Tensor | None, *, first: int = 0) -> Tensor:
        for layer in self.layers[first:]:
            x = layer(x, other) if isinstance(layer, Sum) else layer(x)
        return x

    def _one_by_one_after(self, z: Tensor, other: Tensor | None) -> Tensor:
        """The layers after the convolution, which has left out its bias."""
        if self._bias is not None:
            z = z + self._bias.to(z.dtype)[:, None, None]
        return self._one_by_one(z, other, first=0 if self.conv is None else 1)

    @property
    def _bias(self) -> Tensor | None:
        """Of the convolution."""
        return None if self.conv is None else self.conv.bias

    @property
    def _by_batch(self) -> bool:
        """Whether the norm takes mean and variance of the batch, as in training."""
        norm = self.norm
        return norm is not None and (norm.training or (norm.running_mean is None and norm.running_var is None))

    def _takes(self, x: Tensor) -> bool:
        """Whether the operators can take x, and the layers as they are."""
        if not are_maps(x):
            return False
        layers = [layer for layer in (self.conv, self.norm) if layer is not None]
        tensors = chain(*(chain(layer._parameters.items(), layer._buffers.items()) for layer in layers))
        return all(
            tensor is None or name == "num_batches_tracked" or (tensor.dtype, tensor.device.type) == _USUAL
            for name, tensor in tensors
        )

    def _takes_result(self, shape: torch.Size, dtype: torch.dtype, other: Tensor | None) -> bool:
        """Whether the operators can take what a convolution gives, and what is then to be added."""
        if other is not None and not (other.shape == shape and other.dtype == dtype and is_dense(other)):
            return False
        if self.norm is not None and shape[1] != self.norm.num_features:
            return False
        # A variance of one value is PyTorch's to refuse.
        if min(shape[2:]) < self.tail.pool or (self._by_batch and shape.numel() == shape[1]):
            return False
        return dtype in (torch.float32, torch.bfloat16)

    def _after(self, z: Tensor, other: Tensor | None) -> Result:
        out, mean, invstd = torch.ops.convscope.norm_act_pool(
            z, *self._statistics(), other, self._by_batch, self._eps, *self.tail
        )
        return Result(out, mean, invstd, z.numel() // z.shape[1])

    def _by_amx(self, x: Tensor, other: Tensor | None) -> Result:
        conv = self.conv
        assert conv is not None and not isinstance(conv.padding, str)
        out, z, mean, invstd = torch.ops.convscope.conv_norm_act_pool(
            x,
            conv.weight,
            *self._statistics(),
            other,
            conv.stride[0],
            conv.padding[0],
            self._by_batch,
            self._eps,
            *self.tail,
        )
        return Result(out, mean, invstd, z.numel() // z.shape[1])

    @property
    def _eps(self) -> float:
        return 0.0 if self.norm is None else self.norm.eps

    def _statistics(self) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """The operators' gamma, beta, mean and variance, each (C,)."""
        norm, bias = self.norm, self._bias
        if norm is None:
            return None, bias, None, None
        beta: Tensor | None = norm.bias
        mean = norm.running_mean
        if bias is not None:
            if self._by_batch:
                # The norm takes it away again, so its gradient is zero; optimizers, and processes that train together,
                # expect one that is there.
                added = 0 * bias
                mean = None if mean is None else mean - bias.detach()  # so much of it is there without the bias
            else:
                assert norm.running_var is not None
                added = bias * (norm.running_var + norm.eps).rsqrt()
                added = added if norm.weight is None else added * norm.weight
            beta = added if beta is None else beta + added
        return norm.weight, beta, mean, norm.running_var

    @torch.no_grad()
    def _track(self, result: Result) -> None:
        """Take the batch into the running statistics, as nn.BatchNorm2d does."""
        norm = self.norm
        if norm is None or result.mean is None or not (norm.training and norm.track_running_stats):
            return
        share = norm.momentum
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
            if share is None:
                share = 1 / norm.num_batches_tracked.item()
        torch.ops.convscope.track(
            norm.running_mean,
            norm.running_var,
            result.mean,
            result.invstd,
            self._bias,
            norm.eps,
            share or 0.0,
            result.values,
        )

    def _way(self, x: Tensor, other: Tensor | None) -> Way:
        """Who convolves inputs such as x: PyTorch, or our own code where it can and is faster."""
        ours = None if self.conv is None or not is_dense(x) else our_way(self.conv, x)
        if self.conv is None or ours is None:
            return "onednn"
        dtype = result_dtype(x)
        if not self._takes_result(result_shape(self.conv, x), dtype, other):
            return "onednn"
        modes = (x.requires_grad, torch.is_grad_enabled(), self._by_batch)
        kind = (size_class(len(x)), *x.shape[1:], x.dtype, dtype, *modes)
        if (ours, kind) not in self._ways:
            key = f"{self.conv} {self.tail} sum={other is not None} {kind} {ours}"
            ways: tuple[Way, Way] = ("onednn", ours)
            faster = choice.faster(key, {way: partial(self._try, way, x, other) for way in ways})
            self._ways[ours, kind] = ours if faster == ours else "onednn"
        return self._ways[ours, kind]

    def _try(self, way: Way, x: Tensor, other: Tensor | None) -> None:
        """Run forward and, where gradients are asked for, backward, and leave everything as it was."""
        assert self.conv is not None
        x = x.detach().requires_grad_(x.requires_grad)
        out = self._run(way, x, None if other is None else other.detach()).out
        inputs = [tensor for tensor in (x, self.conv.weight) if tensor.requires_grad]
        if out.requires_grad and inputs:
            torch.autograd.grad(out, inputs, torch.ones_like(out))


def are_maps(x: Tensor) -> bool:
    """Whether x is what operators compute with: (N, C, H, W) on the CPU, in float32 or bfloat16."""
    return x.ndim == 4 and x.numel() > 0 and x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)


def size_class(images: int) -> int:
    """The power of four that stands for batches of about as many images, the least that is not below.

    There the same way is the fastest. For a few images at many channels Winograd's filters take longer to transform
    than to use: 512 channels of 4 x 4 pixels, forward and backward on two cores of a Xeon, take 8 times as long as
    oneDNN's way for one image, and half as long for 128.
    """
    return 1 << 2 * (((images - 1).bit_length() + 1) // 2)


def as_pair(size: int | tuple[int, ...]) -> tuple[int, ...]:
    """One number for both sides as two."""
    return (size, size) if isinstance(size, int) else tuple(size)


def is_dense(tensor: Tensor) -> bool:
    """Whether memory holds all channels of a pixel, then those of the next, without gaps."""
    return tensor.is_contiguous(memory_format=torch.channels_last)
