"""Overlapping max pools and local response normalisation by operators of their own: values, gradients, refusals."""

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from convscope import accelerate
from convscope.kernels.layers import by_operator
from convscope.models import build_model
from convscope.models.googlenet import LocalResponseNorm

pytestmark = pytest.mark.usefixtures("compiled")

TYPES = (torch.float32, torch.bfloat16)


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)


def with_gradient(compute: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """What `compute` makes of x, and the gradient by x where each result has another."""
    x = x.detach().requires_grad_()
    out = compute(x)
    g = torch.arange(out.numel(), dtype=torch.float64).view(out.shape).sin()
    return out.detach(), torch.autograd.grad(out, x, g.to(out.dtype))[0]


@st.composite
def pools(draw: st.DrawFn) -> tuple[nn.MaxPool2d, tuple[int, int]]:
    """A pool, and the height and width of a map that it takes."""
    size = draw(st.integers(1, 6))
    pool = nn.MaxPool2d(size, draw(st.integers(1, 4)), draw(st.integers(0, size // 2)), ceil_mode=draw(st.booleans()))
    height, width = draw(st.tuples(st.integers(1, 15), st.integers(1, 15)).filter(lambda sides: fits(pool, sides)))
    return pool, (height, width)


def fits(pool: nn.MaxPool2d, sides: tuple[int, int]) -> bool:
    try:
        pool(torch.zeros(1, *sides))
    except RuntimeError:
        return False
    return True


@settings(max_examples=80)
@given(
    case=pools(),
    images=st.integers(1, 3),
    channels=st.integers(1, 70),
    dtype=st.sampled_from(TYPES),
    ties=st.booleans(),
)
@example(case=(nn.MaxPool2d(3, 2, ceil_mode=True), (2, 2)), images=2, channels=33, dtype=torch.float32, ties=False)
@example(case=(nn.MaxPool2d(16, 1, 8), (17, 20)), images=1, channels=3, dtype=torch.float32, ties=False)
def test_a_pool_gives_pytorch_s_bits(
    case: tuple[nn.MaxPool2d, tuple[int, int]], images: int, channels: int, dtype: torch.dtype, ties: bool
) -> None:
    layer, sides = case
    x = draw(images, channels, *sides, dtype=dtype)
    if ties:
        x = x.round()
    compute = by_operator(layer)
    assert compute is not None
    out, gx = with_gradient(compute, x)
    expected, expected_gx = with_gradient(layer, x)
    assert torch.equal(out, expected) and out.is_contiguous(memory_format=torch.channels_last)
    if dtype == torch.float32:
        assert torch.equal(gx, expected_gx)  # the same addends in the same order
    else:  # PyTorch rounds each sum, of which a pixel has up to 36
        torch.testing.assert_close(gx, expected_gx, rtol=0.1, atol=0.1)


def test_what_is_no_number_wins_and_gets_the_gradient() -> None:
    x = draw(1, 20, 7, 7)
    x[0, ::2, 3, 3] = torch.nan
    x[0, 1::4] = -torch.inf
    layer = nn.MaxPool2d(3, stride=2, padding=1)
    compute = by_operator(layer)
    assert compute is not None
    for ours, theirs in zip(with_gradient(compute, x), with_gradient(layer, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 9), st.integers(1, 9)),
    size=st.sampled_from([1, 3, 5, 9]),
    alpha=st.sampled_from([1e-4, 0.3, 2.0]),
    k=st.sampled_from([0.5, 1.0, 2.0]),
    dtype=st.sampled_from(TYPES),
)
def test_a_response_norm_is_as_exact_as_its_inputs(
    shape: tuple[int, ...], size: int, alpha: float, k: float, dtype: torch.dtype
) -> None:
    x = draw(*shape, dtype=dtype)
    compute = by_operator(nn.LocalResponseNorm(size, alpha, 0.75, k))
    assert compute is not None
    out, gx = with_gradient(compute, x)
    exact, exact_gx = with_gradient(lambda x: F.local_response_norm(x, size, alpha, 0.75, k), x.double())
    assert out.dtype == gx.dtype == dtype and out.is_contiguous(memory_format=torch.channels_last)
    rounding = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(out.double(), exact, rtol=rounding, atol=rounding)
    # g is rounded to bfloat16 before; a gradient is a difference of terms as large as those of `size` channels.
    scale = float(exact_gx.abs().max()) + 1
    torch.testing.assert_close(gx.double(), exact_gx, rtol=rounding, atol=rounding * scale)


def test_the_catalogue_s_response_norm_is_the_same() -> None:
    x = draw(2, 40, 5, 5)
    layer = LocalResponseNorm(5)
    compute = by_operator(layer)
    assert compute is not None
    for ours, theirs in zip(with_gradient(compute, x), with_gradient(layer, x), strict=True):
        torch.testing.assert_close(ours, theirs)


class Seen(TorchDispatchMode):
    """Notes which operators are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


def test_an_accelerated_network_takes_them() -> None:
    model = build_model("googlenet", num_classes=4, in_channels=1, input_size=32, seed=0).eval()
    model = model.to(memory_format=torch.channels_last)
    images = draw(2, 1, 32, 32)
    expected = model(images)
    assert accelerate(model)
    with Seen() as seen:
        found = model(images)
    torch.testing.assert_close(found, expected)
    assert seen.names.count("convscope::max_pool") == 13  # four between stages, one in each Inception module
    assert seen.names.count("convscope::response_norm") == 2
    assert "aten::max_pool2d_with_indices" not in seen.names and "aten::pow.Tensor_Scalar" not in seen.names


class Another(nn.LocalResponseNorm):
    """Somebody's own."""


def test_what_no_operator_computes() -> None:
    own = nn.MaxPool2d(3)
    own.forward = lambda maps: maps  # type: ignore[method-assign]
    for layer in (
        nn.MaxPool2d((3, 2)),
        nn.MaxPool2d(3, dilation=2),
        nn.MaxPool2d(3, return_indices=True),
        nn.MaxPool2d(17),
        nn.LocalResponseNorm(5, beta=0.5),
        nn.LocalResponseNorm(4),
        Another(5),
        nn.AvgPool2d(2),
        own,
    ):
        assert by_operator(layer) is None, layer


@pytest.mark.parametrize("layer", [nn.MaxPool2d(3, 2), nn.LocalResponseNorm(3)])
def test_maps_that_the_operators_do_not_take_go_through_the_layer(layer: nn.Module) -> None:
    compute = by_operator(layer)
    assert compute is not None
    for maps in (torch.randn(4, 5, 5), torch.randn(2, 4, 5, 5), draw(2, 4, 5, 5).double()):
        assert torch.equal(compute(maps), layer(maps))


@pytest.mark.parametrize("layer", [nn.MaxPool2d(3, 2, 1), nn.LocalResponseNorm(5)])
def test_the_same_bits_for_any_number_of_threads(layer: nn.Module) -> None:
    compute = by_operator(layer)
    assert compute is not None
    x, before = draw(5, 37, 9, 8), torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 11):
            torch.set_num_threads(threads)
            results.append(with_gradient(compute, x))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(map(torch.equal, result, results[0]))


def test_what_is_told_without_arithmetic_is_true() -> None:
    operators = torch.ops.convscope
    x = torch.randn(2, 5, 6, 7, requires_grad=True)
    torch.library.opcheck(operators.max_pool.default, (x, 3, 2, 1, True))
    out, places = operators.max_pool(x.detach(), 3, 2, 1, True)
    torch.library.opcheck(operators.max_pool_backward.default, (out, places, 6, 7, 3, 2, 1, True))
    torch.library.opcheck(operators.response_norm.default, (x, 5, 1e-4, 1.0))
    torch.library.opcheck(operators.response_norm_backward.default, (x.detach(), x.detach(), 5, 1e-4, 1.0))


def test_second_derivatives_are_refused() -> None:
    x = draw(1, 4, 5, 5).requires_grad_()
    for out in (torch.ops.convscope.max_pool(x, 3, 1, 1, False)[0], torch.ops.convscope.response_norm(x, 3, 1e-4, 1.0)):
        with pytest.raises(NotImplementedError, match="no second derivatives"):
            torch.autograd.grad(out.sum(), x, create_graph=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((17, 1, 0, False), "1 to 16 pixels a side, not 17"),
        ((3, 0, 0, False), "stride must be 1 or more, not 0"),
        ((3, 1, 2, False), "at most half a window of 3, not 2"),
        ((6, 1, 0, False), "does not fit into maps of 4 x 4"),
    ],
)
def test_pools_that_do_not_fit_are_refused(settings: tuple[int, int, int, bool], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        torch.ops.convscope.max_pool(draw(1, 2, 4, 4), *settings)


def test_other_mistakes_are_refused() -> None:
    x = draw(1, 2, 4, 4)
    with pytest.raises(ValueError, match="size must be odd, not 4"):
        torch.ops.convscope.response_norm(x, 4, 1e-4, 1.0)
    with pytest.raises(RuntimeError, match="x must be float32 or bfloat16, not Double"):
        torch.ops.convscope.max_pool(x.double(), 3, 1, 1, False)
    with pytest.raises(RuntimeError, match="g must be"):
        torch.ops.convscope.response_norm_backward(draw(1, 2, 4, 5), x, 3, 1e-4, 1.0)
    out, places = torch.ops.convscope.max_pool(x, 3, 1, 1, False)
    with pytest.raises(RuntimeError, match="places must be"):
        torch.ops.convscope.max_pool_backward(out, places[:, :1], 4, 4, 3, 1, 1, False)
    with pytest.raises(RuntimeError, match="g must be"):
        torch.ops.convscope.max_pool_backward(out, places, 5, 4, 3, 1, 1, False)
