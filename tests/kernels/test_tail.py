"""Norm, residual, activation and max pool in one: what the operator answers is what the layers answer in float64.

The bounds are those of float32 arithmetic, which the operator promises for both dtypes, and one rounding of what it
answers. Where rounding decides which of two pixels wins a window, or on which side of 0 one lies, the gradient is
asked about nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from convscope.kernels import build

EPS = 1e-5
ACTIVATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "none": lambda v, slope: v,
    "relu": lambda v, slope: F.relu(v),
    "leaky_relu": F.leaky_relu,
    "silu": lambda v, slope: F.silu(v),
    "gelu": lambda v, slope: F.gelu(v),
}


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    if reason := build.obstacle():
        pytest.skip(f"compiled kernels are off: {reason}")
    assert build.load(), build.obstacle()


@dataclass(frozen=True)
class Tail:
    """What follows a convolution, and what it is given."""

    shape: tuple[int, int, int, int] = (3, 19, 6, 7)
    dtype: torch.dtype = torch.float32
    norm: str = "batch"  # or "given" statistics, or "none"
    activation: str = "relu"
    slope: float = 0.25
    pool: int = 1
    pool_first: bool = True
    residual: bool = False
    scaled: bool = True  # by gamma
    shifted: bool = True  # by beta
    watched: bool = True  # there are running statistics
    coarse: bool = False  # values are multiples of 1/4, of which many are equal
    offset: float = 0.0  # of all values: far from the running mean, sums of squares lose what is wanted
    seed: int = 0

    @property
    def settings(self) -> tuple[bool, float, str, float, int, bool]:
        return self.norm == "batch", EPS, self.activation, self.slope, self.pool, self.pool_first

    @property
    def ranked_before(self) -> bool:
        """Whether the values before the activation tell which pixel wins a window."""
        rises = self.activation in ("none", "relu") or (self.activation == "leaky_relu" and self.slope >= 0)
        return self.pool_first or rises


@st.composite
def tails(draw: st.DrawFn) -> Tail:
    sides = st.integers(1, 13)
    channels = st.sampled_from([1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 48]) | st.integers(1, 70)
    tail = Tail(
        shape=draw(st.tuples(st.integers(1, 5), channels, sides, sides)),
        dtype=draw(st.sampled_from([torch.float32, torch.bfloat16])),
        norm=draw(st.sampled_from(["batch", "given", "none"])),
        residual=draw(st.booleans()),
        scaled=draw(st.booleans()),
        shifted=draw(st.booleans()),
        watched=draw(st.booleans()),
        coarse=draw(st.booleans()),
        offset=draw(st.sampled_from([0.0, 0.0, 5.0, -1000.0])),
        seed=draw(st.integers(0, 2**32)),
    )
    if tail.residual:
        return replace(tail, activation=draw(st.sampled_from(["none", "relu", "leaky_relu"])))
    return replace(
        tail,
        activation=draw(st.sampled_from(sorted(ACTIVATIONS))),
        slope=draw(st.sampled_from([0.25, 0.0, -0.5])),
        pool=draw(st.integers(1, min(3, *tail.shape[2:]))),
        pool_first=draw(st.booleans()),
    )


@dataclass
class Inputs:
    """Tensors to call the operator with."""

    z: Tensor
    gamma: Tensor | None = None
    beta: Tensor | None = None
    mean: Tensor | None = None
    var: Tensor | None = None
    residual: Tensor | None = None

    def all(self) -> list[Tensor | None]:
        return [self.z, self.gamma, self.beta, self.mean, self.var, self.residual]

    def learned(self) -> list[Tensor]:
        return [tensor for tensor in (self.z, self.gamma, self.beta, self.residual) if tensor is not None]

    def leaves(self, function: Callable[[Tensor], Tensor] = torch.clone) -> "Inputs":
        """Copies, changed by the function, that ask for gradients."""
        copy = Inputs(*(None if tensor is None else function(tensor.detach()) for tensor in self.all()))
        for tensor in copy.learned():
            tensor.requires_grad_()
        return copy


def drawn(tail: Tail) -> tuple[Inputs, Tensor]:
    """Tensors drawn from the seed, and a gradient of what is answered."""
    draw = torch.Generator().manual_seed(tail.seed)
    count, channels, height, width = tail.shape

    def images() -> Tensor:
        values = torch.randn(tail.shape, generator=draw)
        return (values * 4).round() / 4 if tail.coarse else values

    def vector(there: bool, low: float) -> Tensor | None:
        values = torch.rand(channels, generator=draw) + low
        return values if there else None

    watched = tail.norm == "given" or (tail.norm == "batch" and tail.watched)
    z = (images() + tail.offset).to(tail.dtype, memory_format=torch.channels_last)
    residual = images().to(tail.dtype, memory_format=torch.channels_last) if tail.residual else None
    gamma, beta = vector(tail.scaled, 0.5), vector(tail.shifted, -0.5)
    if gamma is not None:
        gamma[::3] *= -1
    mean, var = vector(watched, -0.5), vector(watched, 0.5)
    g = torch.randn(count, channels, height // tail.pool, width // tail.pool, generator=draw).to(tail.dtype)
    return Inputs(z, gamma, beta, mean, var, residual), g.contiguous(memory_format=torch.channels_last)


def called(tail: Tail, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    return torch.ops.convscope.norm_act_pool(*inputs.all(), *tail.settings)


def everything(tail: Tail, inputs: Inputs, g: Tensor) -> list[Tensor]:
    """What the operator answers, then the gradients of all that can be learned."""
    leaves = inputs.leaves()
    answers = called(tail, leaves)
    return [*answers, *torch.autograd.grad(answers[0], leaves.learned(), g)]


class Layers:
    """The same in float64, and how far float32 may be from it."""

    def __init__(self, tail: Tail, given: Inputs) -> None:
        self.tail, self.inputs = tail, given.leaves(torch.Tensor.double)
        z, gamma, beta, mean, var, residual = self.inputs.all()
        channels = torch.zeros(tail.shape[1], dtype=torch.double)
        gamma, beta = channels + 1 if gamma is None else gamma, channels if beta is None else beta
        residual = torch.zeros_like(z) if residual is None else residual
        centre = channels if mean is None else mean
        self.mean, var = (channels, channels + 1 - EPS) if tail.norm == "none" else (mean, var)
        if tail.norm == "batch":
            var, self.mean = torch.var_mean(z, dim=(0, 2, 3), correction=0)
        self.invstd = (var + EPS).rsqrt()
        normal = (z - column(self.mean)) * column(self.invstd)
        self.v = normal * column(gamma) + column(beta) + residual
        self.out = self.pooled(self.activated(self.v)) if not tail.pool_first else self.activated(self.pooled(self.v))

        with torch.no_grad():
            self.normal, self.scale = normal.detach(), column(gamma * self.invstd).abs()
            # Sums of squares around a centre lose the variance where that is small beside the squared distance to the
            # mean; the operator takes them again where it is more than a thousand times smaller.
            lost = ((self.mean - centre) ** 2 / (var + EPS)).clamp(max=1000) * (tail.norm == "batch")
            self.invstd_error = 2e-6 * (1 + lost.detach())
            parts = z.abs() + average(z.abs().nan_to_num()) + column(self.mean.abs() + centre.abs())
            self.spread = parts * column(self.invstd)  # of which `normal` is left
            terms = self.spread * column(gamma.abs()) + column(beta.abs()) + residual.abs()
            self.v_error = 1e-6 * terms + column(self.invstd_error) * (normal * column(gamma)).abs()

    def activated(self, v: Tensor) -> Tensor:
        return ACTIVATIONS[self.tail.activation](v, self.tail.slope)

    def pooled(self, v: Tensor) -> Tensor:
        return F.max_pool2d(v, self.tail.pool)

    @torch.no_grad()
    def settled(self) -> Tensor:
        """Outputs of which no rounding decides which pixel their gradient goes to, and whether it passes."""
        tail = self.tail
        exact = tail.norm == "none" and not tail.shifted and not tail.residual  # a value of 0 is so in float32
        rank = self.v if tail.ranked_before else self.activated(self.v)
        best, place = F.max_pool2d(rank, tail.pool, return_indices=True)
        v, error, z = (
            values.flatten(2).gather(2, place.flatten(2)).view_as(best)
            for values in (self.v, self.v_error, self.inputs.z)
        )
        near_zero = v.abs() <= error
        if exact:
            near_zero &= v != 0
        if tail.activation not in ("relu", "leaky_relu"):
            near_zero[:] = False
        rank, errors, others = (windows(values, tail.pool) for values in (rank, self.v_error, self.inputs.z))
        close = rank >= (best - 1.2 * error)[..., None] - 1.2 * errors
        return ~(near_zero | (close & (others != z[..., None])).any(dim=-1))

    @torch.no_grad()
    def out_error(self) -> Tensor:
        # No activation is steeper than 1.2.
        return 1.2 * self.pooled(self.v_error) + (1e-6 + rounding(self.tail.dtype)) * self.out.abs()

    @torch.no_grad()
    def gradient_errors(self, g: Tensor) -> dict[str, Tensor]:
        tail = self.tail
        reaching = torch.zeros_like(self.v)  # the largest gradient that a pixel can have got
        spread = g.double().abs().repeat_interleave(tail.pool, 2).repeat_interleave(tail.pool, 3)
        reaching[:, :, : spread.shape[2], : spread.shape[3]] = spread
        dv = reaching * (2e-6 + (self.v_error if tail.activation in ("silu", "gelu") else 0))
        normal, relative = self.normal.abs(), column(1e-6 + 2 * self.invstd_error)
        gamma = reaching * (relative * normal + 2e-6 * self.spread) + dv * normal
        z = dv + relative * reaching
        if tail.norm == "batch":
            sums = (1e-6 + relative) * average(reaching * normal)
            z = z + average(dv + relative * reaching) + normal * average(gamma) + (self.spread + normal) * sums
        return {"z": self.scale * z, "gamma": gamma.sum(dim=(0, 2, 3)), "beta": dv.sum(dim=(0, 2, 3)), "residual": dv}


def column(vector: Tensor) -> Tensor:
    return vector.view(-1, 1, 1)


def average(values: Tensor) -> Tensor:
    return values.mean(dim=(0, 2, 3), keepdim=True)


def windows(values: Tensor, pool: int) -> Tensor:
    """(N, C, H, W) -> (N, C, H / pool, W / pool, pool * pool)."""
    return values.unfold(2, pool, pool).unfold(3, pool, pool).flatten(4)


def rounding(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).eps / 2


def near(name: str, actual: Tensor, expected: Tensor, error: Tensor) -> None:
    wrong = (actual.double() - expected).abs() / (error + 1e-12)  # float64 rounds as well
    assert (wrong <= 1).all(), f"{name}: {wrong.max()} times the bound"


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@settings(max_examples=200)
@given(tails())
@example(Tail(offset=-1000.0, watched=False))
@example(Tail(shape=(1, 5, 1, 1), coarse=True))
@example(Tail(shape=(2, 40, 40, 41), pool=3, activation="silu", pool_first=False))
def test_it_is_what_the_layers_do_in_float64(tail: Tail) -> None:
    inputs, g = drawn(tail)
    layers = Layers(tail, inputs)
    g = torch.where(layers.settled(), g, 0).contiguous(memory_format=torch.channels_last)
    out, mean, invstd, *gradients = everything(tail, inputs, g)
    assert out.dtype == tail.dtype
    assert out.is_contiguous(memory_format=torch.channels_last)
    near("out", out, layers.out, layers.out_error())
    centre = 0 if inputs.mean is None else inputs.mean.abs()
    near("mean", mean, layers.mean, 1e-6 * (centre + layers.inputs.z.abs().amax(dim=(0, 2, 3))))
    near("invstd", invstd, layers.invstd, layers.invstd_error * layers.invstd)

    exact = torch.autograd.grad(layers.out, layers.inputs.learned(), g.double())
    errors = {name: error for name, error in layers.gradient_errors(g).items() if getattr(inputs, name) is not None}
    for (name, error), actual, expected in zip(errors.items(), gradients, exact, strict=True):
        assert actual.dtype == getattr(inputs, name).dtype
        near(name, actual, expected, error + rounding(actual.dtype) * expected.abs())


@settings(max_examples=30)
@given(tails())
def test_neither_threads_nor_memory_formats_change_a_bit(tail: Tail) -> None:
    inputs, g = drawn(tail)
    with threads(1):
        one = everything(tail, inputs, g)
    channels_first = Inputs(*(None if tensor is None else tensor.contiguous() for tensor in inputs.all()))
    for count in (1, 2, 3):
        with threads(count):
            for others in (everything(tail, inputs, g), everything(tail, channels_first, g.contiguous())):
                assert all(torch.equal(*pair) for pair in zip(one, others, strict=True))


@settings(max_examples=60)
@given(tails(), st.data())
def test_what_is_not_a_number_stays_so(tail: Tail, data: st.DataObject) -> None:
    inputs, _ = drawn(tail)
    struck = inputs.residual if inputs.residual is not None and data.draw(st.booleans()) else inputs.z
    struck[tuple(data.draw(st.integers(0, side - 1)) for side in tail.shape)] = torch.nan
    answers, layers = called(tail, inputs), Layers(tail, inputs)
    exact = (layers.out, layers.mean, layers.invstd)
    for name, actual, expected in zip(("out", "mean", "invstd"), answers, exact, strict=True):
        assert torch.equal(actual.isnan(), expected.isnan()), name
    near("out", *(values.nan_to_num() for values in (answers[0], layers.out, layers.out_error())))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pool", [2, 3])
def test_the_first_of_equals_wins_and_of_nan_the_last(dtype: torch.dtype, pool: int) -> None:
    z = torch.randint(0, 3, (2, 20, 7, 8), generator=torch.Generator().manual_seed(pool)).to(dtype)
    z[1][z[1] == 2] = torch.nan
    z.requires_grad_()
    out, *_ = called(Tail(norm="none", activation="none", pool=pool), Inputs(z))
    g = torch.rand(out.shape).to(dtype)
    assert torch.equal(*(torch.autograd.grad(result, z, g)[0] for result in (out, F.max_pool2d(z, pool))))


def test_at_zero_relu_passes_nothing() -> None:
    z = torch.tensor([0.0, -0.0, 1.0, -1.0]).view(1, 1, 2, 2).requires_grad_()
    out, *_ = called(Tail(norm="none"), Inputs(z))
    assert torch.autograd.grad(out.sum(), z)[0].flatten().tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_far_values_have_their_limits(activation: str) -> None:
    places = torch.tensor([1e30, 1e4, 200, 90, 87, 15, 13, 6, 1, 1e-3, 1e-30])
    z = torch.cat([places, -places]).view(1, 22, 1, 1).requires_grad_()
    tail = Tail(norm="none", activation=activation)
    out, exact = called(tail, Inputs(z))[0], ACTIVATIONS[activation](z.double(), tail.slope)
    assert torch.allclose(out.double(), exact, rtol=2e-6, atol=1e-6)
    slopes = [torch.autograd.grad(answer.sum(), z)[0] for answer in (out, exact)]
    assert torch.allclose(*slopes, rtol=2e-6, atol=1e-6)


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 18, 3)
        self.norm = torch.nn.BatchNorm2d(18)

    def forward(self, images: Tensor) -> Tensor:
        z, norm = self.convolution(images), self.norm
        given = (norm.weight, norm.bias, norm.running_mean, norm.running_var, None)
        return torch.ops.convscope.norm_act_pool(z, *given, self.training, EPS, "relu", 0.0, 2, True)[0]


def test_it_can_be_exported_for_any_number_of_images() -> None:
    block, images = Block().eval(), torch.rand(2, 3, 9, 9)
    exported = torch.export.export(block, (images,), dynamic_shapes=({0: torch.export.Dim("n")},))
    assert "convscope.norm_act_pool" in str(exported.graph)
    more = torch.rand(5, 3, 9, 9)
    assert torch.equal(exported.module()(more), block(more))
    assert block(images[:0]).shape == (0, 18, 3, 3)
