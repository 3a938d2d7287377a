"""The convolution by Winograd's filtering: values and gradients against float64, bits, shapes, refusals.

Its products are those of sums, so that it rounds more than the definition does: up to the factor that the transforms'
matrices tell, and in the mean by a few times. Of bfloat16 maps it computes the same, and rounds the results once.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

pytestmark = pytest.mark.usefixtures("compiled")

EPS = torch.finfo(torch.float32).eps
HALF = torch.bfloat16
POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))


@pytest.fixture
def threads() -> Iterator[None]:
    """Leaves their number as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape).to(dtype, memory_format=torch.channels_last)


def by_winograd(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    z: Tensor = torch.ops.convscope.winograd(x, weight, padding)
    return z


def with_gradients(convolve: Any, x: Tensor, weight: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `convolve` makes of x, and the gradients by x and weight of g."""
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    z = convolve(x, weight)
    gx, gweight = torch.autograd.grad(z, (x, weight), g.to(z.dtype))
    return z.detach(), gx, gweight


def amplification() -> float:
    """How much larger than their result the numbers can be that the transforms add up, for one product."""
    points = torch.tensor(POINTS, dtype=torch.float64)
    outputs = torch.stack([points**power for power in range(4)])
    scale = torch.stack([(point - points[points != point]).prod() for point in points])
    filters = torch.stack([points**power for power in range(3)], dim=1) / scale[:, None]
    inputs = []
    for point in points:
        coefficients = torch.ones(1, dtype=torch.float64)
        for other in points[points != point]:
            coefficients = F.pad(coefficients, (1, 0)) - other * F.pad(coefficients, (0, 1))
        inputs.append(coefficients.abs().sum())
    along_a_side = (outputs.abs() * (filters.abs().sum(1) * torch.stack(inputs))).sum(1).max() + inputs[0]
    return float(along_a_side) ** 2


CASES = st.tuples(
    st.integers(1, 4), st.integers(1, 40), st.integers(1, 40), st.integers(1, 14), st.integers(1, 14), st.integers(0, 2)
).filter(lambda case: min(case[3:5]) + 2 * case[5] >= 3)


@settings(max_examples=100)
@given(case=CASES, dtype=st.sampled_from([torch.float32, HALF]), seed=st.integers(0, 99))
@example(case=(1, 1, 1, 1, 1, 1), dtype=torch.float32, seed=0)
@example(case=(9, 17, 33, 16, 15, 1), dtype=torch.float32, seed=0)  # more tiles than at a time, in eight parts
@example(case=(9, 17, 33, 16, 15, 1), dtype=HALF, seed=0)
@example(case=(2, 120, 70, 22, 9, 0), dtype=torch.float32, seed=0)  # sums too large for parts
@example(case=(2, 120, 70, 22, 9, 0), dtype=HALF, seed=0)
@example(case=(5, 33, 96, 8, 8, 2), dtype=torch.float32, seed=0)
def test_values_and_gradients(case: tuple[int, ...], dtype: torch.dtype, seed: int) -> None:
    images, in_channels, out_channels, height, width, padding = case
    torch.manual_seed(seed)
    x, weight = draw(images, in_channels, height, width, dtype=dtype), draw(out_channels, in_channels, 3, 3)
    g = draw(images, out_channels, height + 2 * padding - 2, width + 2 * padding - 2, dtype=dtype)
    found = with_gradients(lambda x, weight: by_winograd(x, weight, padding), x, weight, g)
    exact = with_gradients(lambda x, weight: F.conv2d(x, weight, padding=padding), x.double(), weight.double(), g)
    terms = [9 * in_channels, 9 * out_channels, g.numel() // out_channels]
    for ours, wanted, count, rounded in zip(found, exact, terms, (dtype, dtype, torch.float32), strict=True):
        assert ours.shape == wanted.shape and ours.is_contiguous(memory_format=torch.channels_last)
        assert ours.dtype == rounded
        # Each result is a sum of so many products of normal numbers, which add up like a walk at random.
        allowed = EPS * amplification() * (4 * count**0.5 + 20)
        if rounded == HALF:
            allowed = allowed + wanted.abs() * torch.finfo(HALF).eps / 2
        assert ((ours - wanted).abs() < allowed).all()


@pytest.mark.parametrize("channels", [16, 32, 64, 128])
def test_rounding_is_near_that_of_the_definition(channels: int) -> None:
    torch.manual_seed(0)
    x, weight, g = draw(8, channels, 14, 14), draw(channels, channels, 3, 3), draw(8, channels, 14, 14)
    ours = with_gradients(lambda x, weight: by_winograd(x, weight, 1), x, weight, g)
    theirs = with_gradients(lambda x, weight: F.conv2d(x, weight, padding=1), x, weight, g)
    exact = with_gradients(lambda x, weight: F.conv2d(x, weight, padding=1), x.double(), weight.double(), g)
    for mine, usual, right in zip(ours, theirs, exact, strict=True):
        assert (mine - right).norm() < 8 * (usual - right).norm()
        assert (mine - right).norm() < 2e-6 * right.norm()


@pytest.mark.parametrize("case", [(9, 17, 33, 16, 15, 1), (2, 120, 70, 22, 9, 0), (1, 40, 8, 7, 7, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, HALF])
@pytest.mark.usefixtures("threads")
def test_the_same_bits_for_any_number_of_threads(case: tuple[int, ...], dtype: torch.dtype) -> None:
    images, in_channels, out_channels, height, width, padding = case
    x, weight = draw(images, in_channels, height, width, dtype=dtype), draw(out_channels, in_channels, 3, 3)
    g = draw(images, out_channels, height + 2 * padding - 2, width + 2 * padding - 2, dtype=dtype)
    results = []
    for count in (1, 2, 3, 11):
        torch.set_num_threads(count)
        results.append(with_gradients(lambda x, weight: by_winograd(x, weight, padding), x, weight, g))
    for result in results[1:]:
        assert all(map(torch.equal, result, results[0]))


def test_an_image_does_not_depend_on_the_others() -> None:
    x, weight = draw(7, 20, 9, 9), draw(24, 20, 3, 3)
    together = by_winograd(x, weight, 1)
    assert all(torch.equal(by_winograd(x[i : i + 1], weight, 1), together[i : i + 1]) for i in range(7))


def test_what_is_no_number_does_not_get_lost() -> None:
    x, weight = draw(2, 5, 9, 9), draw(6, 5, 3, 3)
    x[0, 2, 4, 4] = torch.nan
    plain, ours = F.conv2d(x, weight, padding=1), by_winograd(x, weight, 1)
    assert ours.isnan()[plain.isnan()].all()
    assert not ours[1].isnan().any()


def test_no_images() -> None:
    x, weight = torch.zeros(0, 4, 6, 6, requires_grad=True), draw(3, 4, 3, 3).requires_grad_()
    z = by_winograd(x, weight, 1)
    assert z.shape == (0, 3, 6, 6)
    gx, gweight = torch.autograd.grad(z.sum(), (x, weight))
    assert gx.shape == x.shape and torch.equal(gweight, torch.zeros(3, 4, 3, 3))


def test_any_memory_format_does() -> None:
    x, weight, g = draw(2, 5, 8, 8), draw(6, 5, 3, 3), draw(2, 6, 8, 8)
    expected = with_gradients(lambda x, weight: by_winograd(x, weight, 1), x, weight, g)
    plain = [tensor.contiguous(memory_format=torch.contiguous_format) for tensor in (x, weight, g)]
    found = with_gradients(lambda x, weight: by_winograd(x, weight, 1), *plain)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("dtype", [torch.float32, HALF])
def test_what_is_told_without_arithmetic_is_true(dtype: torch.dtype) -> None:
    operators = torch.ops.convscope
    x, weight = torch.randn(2, 5, 6, 7, dtype=dtype).requires_grad_(), torch.randn(4, 5, 3, 3, requires_grad=True)
    torch.library.opcheck(operators.winograd.default, (x, weight, 1))
    for wanted in ((True, True), (False, True), (True, False)):
        inputs = (torch.randn(2, 4, 6, 7, dtype=dtype), x.detach(), weight.detach(), 1, *wanted)
        torch.library.opcheck(operators.winograd_backward.default, inputs)


def test_only_the_gradients_that_are_asked_for() -> None:
    # In a frozen layer, which passes on what later layers ask for, the weights' gradient would be half of the work.
    x, weight, g = draw(2, 5, 8, 8), draw(6, 5, 3, 3), draw(2, 6, 8, 8)
    _, gx, gweight = with_gradients(lambda x, weight: by_winograd(x, weight, 1), x, weight, g)
    backward = torch.ops.convscope.winograd_backward
    empty = torch.empty(0)
    for found, expected in (
        (backward(g, x, weight, 1, True, False), (gx, empty)),
        (backward(g, x, weight, 1, False, True), (empty, gweight)),
    ):
        assert all(map(torch.equal, found, expected))


def test_second_derivatives_are_refused() -> None:
    x, weight = draw(1, 2, 4, 4).requires_grad_(), draw(2, 2, 3, 3)
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        torch.autograd.grad(by_winograd(x, weight, 1).sum(), x, create_graph=True)


@pytest.mark.parametrize(
    ("x", "weight", "padding", "words"),
    [
        (torch.zeros(3, 3), torch.zeros(2, 3, 3, 3), 1, r"x must be of shape \(N, C, H, W\)"),
        (torch.zeros(1, 3, 4, 4).double(), torch.zeros(2, 3, 3, 3), 1, "not Double"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(2, 4, 3, 3), 1, r"\(out channels, 3, 3, 3\)"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(2, 3, 5, 5), 1, r"\(out channels, 3, 3, 3\)"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(2, 3, 3, 3), 3, "must be 0, 1 or 2, not 3"),
        (torch.zeros(1, 3, 2, 4), torch.zeros(2, 3, 3, 3), 0, "does not fit into maps of 2 x 4"),
    ],
)
def test_what_does_not_fit_is_refused(x: Tensor, weight: Tensor, padding: int, words: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match=words):
        by_winograd(x, weight, padding)
