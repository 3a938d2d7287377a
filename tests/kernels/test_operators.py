"""The compiled operators as PyTorch sees them: gradients, shapes without arithmetic, refusals."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

pytestmark = pytest.mark.usefixtures("compiled")

CHANNELS = 19
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "silu": F.silu,
    "gelu": F.gelu,
}


def call(z: Tensor, **settings: Any) -> tuple[Tensor, Tensor, Tensor]:
    tensors = [settings.pop(name, None) for name in ("gamma", "beta", "mean", "var", "residual")]
    defaults = {"training": True, "eps": 1e-5, "activation": "relu", "slope": 0.1, "pool": 2, "pool_first": False}
    out: tuple[Tensor, Tensor, Tensor] = torch.ops.convscope.norm_act_pool(z, *tensors, *(defaults | settings).values())
    return out


def reference(
    z: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    statistics: tuple[Tensor, Tensor] | None,
    residual: Tensor | None,
    *,
    training: bool,
    activation: str,
    pool: int,
    pool_first: bool,
) -> Tensor:
    """The same in PyTorch's own layers."""
    if statistics is not None:
        mean, var = (values.to(z.dtype, copy=True) for values in statistics)
        values = F.batch_norm(z, mean, var, gamma, beta, training, eps=1e-5)
    else:
        values = z if gamma is None or beta is None else z * gamma[:, None, None] + beta[:, None, None]
    if residual is not None:
        values = values + residual
    activate = ACTIVATIONS[activation]
    if pool == 1:
        return activate(values)
    return activate(F.max_pool2d(values, pool)) if pool_first else F.max_pool2d(activate(values), pool)


def leaves(dtype: torch.dtype, *tensors: Tensor | None) -> list[Tensor | None]:
    return [None if tensor is None else tensor.to(dtype, copy=True).requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", ["batch", "running", "none"])
def test_gradients_are_those_of_the_layers(norm: str, activation: str) -> None:
    torch.manual_seed(0)
    for affine, pool, pool_first, added in itertools.product((True, False), (1, 2, 3), (True, False), (True, False)):
        if added and (pool > 1 or activation in ("silu", "gelu")):
            continue
        maps = torch.randn(3, CHANNELS, 8, 9)
        residual = torch.randn_like(maps) if added else None
        gamma, beta = (torch.rand(CHANNELS) + 0.5, torch.randn(CHANNELS)) if affine else (None, None)
        running = None if norm == "none" else (torch.randn(CHANNELS) * 0.1, torch.rand(CHANNELS) + 0.5)
        mean, var = running or (None, None)
        tail: dict[str, Any] = {
            "training": norm == "batch", "activation": activation, "pool": pool, "pool_first": pool_first,
        }  # fmt: skip
        z, g, b, r = ours = leaves(torch.float32, maps, gamma, beta, residual)
        assert z is not None
        out, batch_mean, invstd = call(z, gamma=g, beta=b, mean=mean, var=var, residual=r, **tail)
        assert out.is_contiguous(memory_format=torch.channels_last)
        assert not batch_mean.requires_grad and not invstd.requires_grad
        z, g, b, r = theirs = leaves(torch.float64, maps, gamma, beta, residual)
        assert z is not None
        expected = reference(z, g, b, running, r, **tail)
        torch.testing.assert_close(out.double(), expected, atol=3e-5, rtol=1e-4)
        towards = torch.randn_like(out)
        found = torch.autograd.grad(out, [leaf for leaf in ours if leaf is not None], towards)
        wanted = torch.autograd.grad(expected, [leaf for leaf in theirs if leaf is not None], towards.double())
        for ours_, theirs_ in zip(found, wanted, strict=True):
            torch.testing.assert_close(ours_.double(), theirs_, atol=3e-4, rtol=1e-3)


def test_what_is_told_without_arithmetic_is_true() -> None:
    z = torch.randn(2, 16, 5, 4, requires_grad=True)
    gamma, mean, invstd = torch.ones(16, requires_grad=True), torch.zeros(16), torch.ones(16)
    operators = torch.ops.convscope
    torch.library.opcheck(
        operators.norm_act_pool.default, (z, gamma, None, None, None, None, True, 1e-5, "relu", 0.0, 2, False)
    )
    for out, pool in ((None, 2), (z.detach().relu(), 1)):
        g = torch.randn(2, 16, 5 // pool, 4 // pool)
        torch.library.opcheck(
            operators.norm_act_pool_backward.default,
            (g, z.detach(), out, None, None, mean, invstd, True, True, "relu", 0.0, pool, False),
        )


def test_any_memory_format_does() -> None:
    z = torch.randn(2, CHANNELS, 6, 6, dtype=torch.bfloat16)
    expected = call(z.contiguous(memory_format=torch.channels_last))[0]
    assert torch.equal(call(z)[0], expected)
    assert torch.equal(call(z.transpose(2, 3).contiguous().transpose(2, 3))[0], expected)


def test_autocast_changes_nothing() -> None:
    z, gamma = torch.randn(2, CHANNELS, 6, 6), torch.rand(CHANNELS)
    expected = call(z, gamma=gamma)
    with torch.autocast("cpu", torch.bfloat16):
        found = call(z, gamma=gamma)
    assert all(map(torch.equal, found, expected))


def test_second_derivatives_are_refused() -> None:
    z = torch.randn(2, CHANNELS, 6, 6, requires_grad=True)
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        torch.autograd.grad(call(z)[0].sum(), z, create_graph=True)


@pytest.mark.parametrize(
    ("shape", "settings", "words"),
    [
        ((3, 3), {}, r"z must be of shape \(N, C, H, W\)"),
        ((0, 4, 4, 4), {}, "has no statistics"),
        ((2, 4, 4, 4), {"gamma": torch.ones(3)}, "gamma must be a float32 vector of 4"),
        ((2, 4, 4, 4), {"gamma": torch.ones(4).double()}, "gamma must be a float32 vector of 4"),
        ((2, 4, 4, 4), {"mean": torch.ones(4)}, "given together"),
        ((2, 4, 4, 4), {"activation": "tanh"}, "no activation 'tanh'"),
        ((2, 4, 4, 4), {"pool": 5}, "does not fit"),
        ((2, 4, 4, 4), {"pool": 0}, "does not fit"),
        ((2, 4, 4, 4), {"residual": torch.zeros(2, 4, 4, 4)}, "pool must be 1"),
        ((2, 4, 4, 4), {"residual": torch.zeros(1, 4, 4, 4), "pool": 1}, "residual must be"),
        ((2, 4, 4, 4), {"residual": torch.zeros(2, 4, 4, 4), "pool": 1, "activation": "silu"}, "not silu"),
    ],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], settings: dict[str, Any], words: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match=words):
        call(torch.zeros(shape), **settings)


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(RuntimeError, match="float32 or bfloat16, not Half"):
        call(torch.zeros(2, 4, 4, 4, dtype=torch.float16))
