"""The operators: the compiled ones, or where they cannot be compiled the same in PyTorch's own."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from convscope.kernels import build

TAIL = "bool training, float eps, str activation, float slope, int pool, bool pool_first"
STATISTICS = "Tensor? gamma, Tensor? beta, Tensor? mean, Tensor? var, Tensor? residual"
ACTIVATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "none": lambda x, slope: x,
    "relu": lambda x, slope: F.relu(x),
    "leaky_relu": F.leaky_relu,
    "silu": lambda x, slope: F.silu(x),
    "gelu": lambda x, slope: F.gelu(x),
}


def norm_act_pool(
    z: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    residual: Tensor | None,
    training: bool,
    eps: float,
    activation: str,
    slope: float,
    pool: int,
    pool_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """z (N, C, H, W) -> what the last layer gives, and mean and 1/deviation of each channel (C,)."""
    values = z.float()
    if training:
        var, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
    elif mean is None or var is None:
        mean, var, eps = torch.zeros(z.shape[1]), torch.ones(z.shape[1]), 0.0
    invstd = (var + eps).rsqrt()
    values = (values - mean[:, None, None]) * invstd[:, None, None]
    if gamma is not None:
        values = values * gamma[:, None, None]
    if beta is not None:
        values = values + beta[:, None, None]
    if residual is not None:
        values = values + residual
    if not pool_first:
        values = ACTIVATIONS[activation](values, slope)
    if pool > 1:
        values = F.max_pool2d(values, pool)
    if pool_first:
        values = ACTIVATIONS[activation](values, slope)
    # A copy, for no operator gives back what it was given.
    return values.to(z.dtype, copy=True), mean.detach().clone(), invstd.detach()


def conv_norm_act_pool(
    x: Tensor,
    weight: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    residual: Tensor | None,
    stride: int,
    padding: int,
    *tail: bool | float | str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same after a convolution in bfloat16, whose result (N, C, H, W) comes second."""
    z = F.conv2d(x.bfloat16(), weight.bfloat16(), None, stride, padding)
    out, mean, invstd = norm_act_pool(z, gamma, beta, mean, var, residual, *tail)  # type: ignore[arg-type]
    return out, z.detach(), mean, invstd


def winograd(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """A convolution with kernels of 3 x 3."""
    return F.conv2d(x, weight.to(x.dtype), None, 1, padding)


def max_pool(x: Tensor, size: int, stride: int, padding: int, ceil_mode: bool) -> tuple[Tensor, Tensor]:
    """The largest of each window, and in place of where it was nothing but room."""
    out = F.max_pool2d(x, size, stride, padding, ceil_mode=ceil_mode)
    return out, torch.zeros_like(out, dtype=torch.bfloat16)


def response_norm(x: Tensor, size: int, alpha: float, k: float) -> Tensor:
    """With the usual exponent."""
    return F.local_response_norm(x, size, alpha, 0.75, k)


def track(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Tensor,
    invstd: Tensor,
    bias: Tensor | None,
    eps: float,
    share: float,
    count: int,
) -> None:
    """Take a batch into running statistics."""
    if running_mean is not None:
        running_mean.lerp_(mean if bias is None else mean + bias, share)
    if running_var is not None:
        running_var.lerp_((invstd**-2 - eps).clamp(min=0) * (count / (count - 1)), share)


@pytest.fixture(scope="session")
def compiled() -> None:
    """The operators are our own; skips what asks for them where there is no compiler."""
    if not build.load():
        if build.LOG in str(build.obstacle()):
            pytest.fail(str(build.obstacle()))
        pytest.skip(f"compiled kernels are off: {build.obstacle()}")


@pytest.fixture(scope="session")
def defined_operators() -> Iterator[bool]:
    """Whether the operators are our own."""
    if build.load():
        yield True
        return
    library = torch.library.Library("convscope", "DEF")
    library.define(f"norm_act_pool(Tensor z, {STATISTICS}, {TAIL}) -> (Tensor, Tensor, Tensor)")
    library.define(
        f"conv_norm_act_pool(Tensor x, Tensor weight, {STATISTICS}, int stride, int padding, {TAIL}) "
        "-> (Tensor, Tensor, Tensor, Tensor)"
    )
    library.define(
        "track(Tensor(a!)? running_mean, Tensor(b!)? running_var, Tensor mean, Tensor invstd, Tensor? bias, float eps, "
        "float share, int count) -> ()"
    )
    library.define("winograd(Tensor x, Tensor weight, int padding) -> Tensor")
    library.define("max_pool(Tensor x, int size, int stride, int padding, bool ceil_mode) -> (Tensor, Tensor)")
    library.define("response_norm(Tensor x, int size, float alpha, float k) -> Tensor")
    library.define("has_amx() -> bool")
    library.impl("norm_act_pool", norm_act_pool, "CompositeImplicitAutograd")
    library.impl("conv_norm_act_pool", conv_norm_act_pool, "CompositeImplicitAutograd")
    library.impl("winograd", winograd, "CompositeImplicitAutograd")
    library.impl("max_pool", max_pool, "CompositeImplicitAutograd")
    library.impl("response_norm", response_norm, "CompositeImplicitAutograd")
    library.impl("track", track, "CompositeImplicitAutograd")
    library.impl("has_amx", lambda: False, "CompositeImplicitAutograd")
    yield False
    library._destroy()


@pytest.fixture
def operators(defined_operators: bool, monkeypatch: pytest.MonkeyPatch) -> bool:
    """The operators are there; whether they are our own."""
    if not defined_operators:
        monkeypatch.setattr(build, "load", lambda: True)
    return defined_operators
