"""The convolution on AMX tiles with its tail, on any CPU that has AVX512-BF16.

What it answers is fixed in three steps, each as sharp as it can be:

- Inputs and weights are small multiples of 1/8, so that float32 adds their products without rounding: the
  convolution must be float64's, rounded once to bfloat16, bit for bit.
- The tail of these values must be `forward_tail`'s, bit for bit, and its gradients `norm_act_pool_backward`'s; that
  those two are right is proved in test_operators.py.
- The gradients by input and weights must be those of float64 for that very gradient of the convolution, up to what
  float32 loses in adding them up.
"""

import ctypes
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

import convscope.kernels

ACTIVATIONS = ["none", "relu", "leaky_relu", "silu", "gelu"]
SOURCES = Path(convscope.kernels.__file__).parent / "csrc"
HALF = torch.bfloat16
GUARD = 64  # bytes before and after each buffer: of NaN to whoever reads them


class Settings(ctypes.Structure):
    """As in shim.cpp."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("images", "height", "width", "in_channels", "out_channels", "kernel", "stride", "padding"),
            *("activation", "pool", "pool_first", "training", "normed", "wide", "threads"),
        )
    ] + [("slope", ctypes.c_double), ("eps", ctypes.c_double)]


@dataclass(frozen=True)
class Group:
    """A convolution with its tail, and how it is called."""

    images: int = 3
    height: int = 9
    width: int = 10
    in_channels: int = 20
    out_channels: int = 36
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    activation: str = "relu"
    pool: int = 1
    pool_first: bool = True
    norm: str = "batch"  # or "given" statistics, or "none": a bias alone
    residual: bool = False
    plain: bool = False  # without gamma and beta
    wide: bool = False
    slope: float = 0.25
    threads: int = 1
    seed: int = 0

    @property
    def out_size(self) -> tuple[int, int]:
        return tuple((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in (self.height, self.width))

    @property
    def work(self) -> int:
        height, width = self.out_size
        return self.images * height * width * self.in_channels * self.out_channels * self.kernel**2

    def settings(self) -> Settings:
        numbers = {name: getattr(self, name) for name, _ in Settings._fields_ if hasattr(self, name)}
        numbers |= {"activation": ACTIVATIONS.index(self.activation), "eps": 1e-5}
        return Settings(**numbers, training=self.norm == "batch", normed=self.norm != "none")


class Memory:
    """Buffers that end where they should, filled with NaN, between bytes that nobody may change."""

    def __init__(self, *, shift: int) -> None:
        self.shift = shift  # items by which buffers miss the alignment of a cache line
        self._all: list[tuple[Tensor, slice]] = []
        self._given: list[tuple[Tensor, Tensor]] = []

    def room(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        size = torch.Size(shape).numel() * dtype.itemsize
        before = GUARD + self.shift * dtype.itemsize
        bytes = torch.full((before + size + GUARD + (-before - size) % 4,), 0xFF, dtype=torch.uint8)
        inside = slice(before, before + size)
        self._all.append((bytes, inside))
        return bytes[inside].view(dtype).view(shape)

    def holding(self, values: Tensor | None) -> Tensor | None:
        """The values, (N, C, H, W) as channels-last; nothing may change them."""
        if values is None:
            return None
        values = values.permute(0, 2, 3, 1) if values.dim() == 4 else values
        room = self.room(values.shape, values.dtype)
        room.copy_(values)
        self._given.append((room, room.clone()))
        return room

    def check(self) -> None:
        for bytes, inside in self._all:
            assert (bytes[: inside.start] == 0xFF).all(), "written before the beginning"
            assert (bytes[inside.stop :] == 0xFF).all(), "written beyond the end"
        for room, values in self._given:
            assert same(room, values), "an input was changed"


def same(one: Tensor, other: Tensor) -> bool:
    """Bit for bit."""
    return torch.equal(*(values.flatten().view(torch.uint8) for values in (one, other)))


def as_images(values: Tensor) -> Tensor:
    """(N, H, W, C) -> (N, C, H, W), in float64."""
    return values.permute(0, 3, 1, 2).double()


def pointer(values: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if values is None else values.data_ptr())


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernels as plain functions, compiled for AMX; where this CPU has none, its instructions are emulated."""
    if shutil.which("g++") is None:
        pytest.skip("there is no compiler g++")
    able = torch.cpu.get_capabilities()
    if not able.get("avx512_bf16"):
        pytest.skip("this CPU has no AVX512-BF16, with which tiles are emulated")
    folder = tmp_path_factory.mktemp("shim")
    plain = [source for source in sorted(SOURCES.glob("*.cpp")) if "<torch/" not in source.read_text()]
    own = ["shim.cpp"] if able.get("amx_bf16") else ["shim.cpp", "tile_emulator.cpp"]
    sources = [*(Path(__file__).with_name(name) for name in own), *plain]
    flags = ["-std=c++20", "-O1", "-march=native", "-mamx-tile", "-mamx-bf16", "-fno-math-errno", "-fno-trapping-math"]
    flags += ["-fopenmp", "-fPIC"]
    compilers = [
        subprocess.Popen(["g++", *flags, f"-I{SOURCES}", "-c", source, "-o", folder / f"{source.stem}.o"])
        for source in sources
    ]
    codes = [compiler.wait() for compiler in compilers]
    assert not any(codes)
    # Without -fopenmp, so that the threads are those of PyTorch's own runtime.
    subprocess.run(["g++", "-shared", *folder.glob("*.o"), "-o", folder / "shim.so"], check=True)
    loaded = ctypes.CDLL(str(folder / "shim.so"))
    loaded.available.restype = ctypes.c_bool
    if able.get("amx_bf16") and not loaded.available():
        pytest.skip("the system does not grant the tiles of AMX")
    return loaded


class Call:
    """A group called forward and backward, on values drawn from its seed; all memory is checked after each call."""

    def __init__(self, library: ctypes.CDLL, group: Group, *, x: Tensor | None = None, g: Tensor | None = None) -> None:
        self.library, self.group, self.c = library, group, group.settings()
        draw = torch.Generator().manual_seed(group.seed)
        channels = group.out_channels
        outside = (group.images, channels, *group.out_size)
        pooled = (*outside[:2], *(side // group.pool for side in outside[2:]))

        def eighths(*shape: int, nudged: bool) -> Tensor:
            values = torch.randint(-12, 13, shape, generator=draw) / 8
            # What bfloat16 rounds away, but would not if it cut off instead.
            return values * (1 - 2**-10) if nudged else values

        def bfloat16(*shape: int) -> Tensor:
            return torch.randn(shape, generator=draw).to(HALF)

        images = eighths(group.images, group.in_channels, group.height, group.width, nudged=group.wide)
        weight = eighths(channels, group.in_channels, group.kernel, group.kernel, nudged=True)
        images, g = images if x is None else x, bfloat16(*pooled) if g is None else g
        residual = bfloat16(*outside) if group.residual else None
        vectors = torch.rand(4, channels, generator=draw) + 0.5
        vectors[1:3] -= 1
        gamma, beta, mean, var = vectors

        self.memory = memory = Memory(shift=group.seed % 3)
        self.x = memory.holding(images if group.wide else images.to(HALF))
        self.weight, self.g, self.residual = memory.holding(weight), memory.holding(g), memory.holding(residual)
        self.gamma = None if group.plain or group.norm == "none" else memory.holding(gamma)
        self.beta = None if group.plain else memory.holding(beta)
        self.old = [None, None] if group.norm == "none" else [memory.holding(mean), memory.holding(var)]
        self.z, self.mean, self.invstd = memory.room(on_pixels(outside), HALF), *self._vectors(2)
        self.out = memory.room(on_pixels(pooled), HALF)
        self.gx, self.gweight = memory.room(self.x.shape, HALF), memory.room(self.weight.shape)
        self.dgamma, self.dbeta = self._vectors(2)
        self.dresidual = memory.room(self.z.shape, HALF) if group.residual else None

    def _vectors(self, count: int) -> list[Tensor]:
        return [self.memory.room((self.group.out_channels,)) for _ in range(count)]

    def _run(self, function: str, *buffers: Tensor | None) -> None:
        getattr(self.library, function)(ctypes.byref(self.c), *map(pointer, buffers))
        self.memory.check()

    @property
    def kept(self) -> Tensor | None:
        return self.out if self.group.residual else None

    def forward(self) -> "Call":
        given = (self.x, self.weight, self.gamma, self.beta, *self.old, self.residual)
        self._run("forward", *given, self.z, self.out, self.mean, self.invstd)
        return self

    def backward(self) -> "Call":
        given = (self.g, self.x, self.weight, self.z, self.kept, self.gamma, self.beta, self.mean, self.invstd)
        self._run("backward", *given, self.gx, self.gweight, self.dgamma, self.dbeta, self.dresidual)
        return self

    def tail(self) -> Tensor:
        out = self.memory.room(self.out.shape, HALF)
        given = (self.z, self.gamma, self.beta, self.mean, self.invstd, self.residual)
        self._run("tail_forward", *given, out)
        return out

    def tail_backward(self) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """gz, dresidual, dgamma, dbeta"""
        gz, (dgamma, dbeta) = self.memory.room(self.z.shape, HALF), self._vectors(2)
        dresidual = None if self.kept is None else self.memory.room(self.z.shape, HALF)
        given = (self.g, self.z, self.kept, self.gamma, self.beta, self.mean, self.invstd)
        self._run("tail_backward", *given, gz, dresidual, dgamma, dbeta)
        return gz, dresidual, dgamma, dbeta


def on_pixels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(N, C, H, W) -> (N, H, W, C)."""
    return shape[0], *shape[2:], shape[1]


MOST_WORK = 1_000_000  # products of a convolution: each instruction that is emulated takes microseconds


@st.composite
def groups(draw: st.DrawFn) -> Group:
    kernel = draw(st.sampled_from([1, 2, 3, 3, 4, 5, 6, 7, 11]))
    padding = draw(st.integers(0, kernel - 1))
    sides = st.integers(max(1, kernel - 2 * padding), 20)
    channels = st.sampled_from([1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 48, 64, 65]) | st.integers(1, 70)
    group = Group(
        images=draw(st.integers(1, 9)),
        height=draw(sides),
        width=draw(sides),
        in_channels=draw(channels),
        out_channels=draw(channels),
        kernel=kernel,
        stride=draw(st.integers(1, 3)),
        padding=padding,
        norm=draw(st.sampled_from(["batch", "given", "none"])),
        residual=draw(st.booleans()),
        plain=draw(st.booleans()),
        wide=draw(st.booleans()),
        threads=draw(st.integers(1, 3)),
        seed=draw(st.integers(0, 2**32)),
    )
    group = replace(group, images=max(1, min(group.images, MOST_WORK * group.images // group.work)))
    assume(group.work <= MOST_WORK)
    if group.residual:  # the activation must give away the sign of what it was given, and there is no pool
        return replace(group, activation=draw(st.sampled_from(ACTIVATIONS[:3])))
    return replace(
        group,
        activation=draw(st.sampled_from(ACTIVATIONS)),
        slope=draw(st.sampled_from([0.25, 0.0, -0.5])),
        pool=draw(st.integers(1, min(3, *group.out_size))),
        pool_first=draw(st.booleans()),
    )


# Six of these images fill what a thread works on at a time, so that there is a second, shorter turn.
LONG = Group(images=9, height=34, width=33, in_channels=64, out_channels=5, kernel=3)


@settings(max_examples=50)
@given(groups())
@example(LONG)
@example(replace(LONG, kernel=1, padding=0, stride=2))
@example(Group(in_channels=3, kernel=11, stride=3, padding=5, height=20, width=19))
def test_everything_is_right(library: ctypes.CDLL, group: Group) -> None:
    poison(library, group)
    call = Call(library, group).forward().backward()
    x, weight, z = as_images(call.x.to(HALF)), as_images(call.weight.to(HALF)), as_images(call.z)
    exact = F.conv2d(x, weight, stride=group.stride, padding=group.padding)
    assert torch.equal(z, exact.to(HALF).double())

    mean, invstd = statistics(call)
    near(call.mean, mean, 1e-6 * z.abs().amax())
    # The sums run around the norm's old mean: the further it is from the batch's, the less is left of the squares.
    distance = (mean - call.old[0]).square() * invstd**2 if group.norm == "batch" else torch.zeros(())
    near(call.invstd, invstd, 2e-6 * (1 + distance) * invstd)
    assert same(call.out, call.tail())

    gz, dresidual, dgamma, dbeta = call.tail_backward()
    assert same(call.dgamma, dgamma)
    assert same(call.dbeta, dbeta)
    assert dresidual is None or same(call.dresidual, dresidual)
    gz, shape = as_images(gz), {"stride": group.stride, "padding": group.padding}

    # Products of two bfloat16 values are exact in float32. Each of n additions then errs by at most 2^-24 of a partial
    # sum, which is no larger than the sum of magnitudes; and rounding to bfloat16 errs by 2^-8 of the result.
    gx = torch.nn.grad.conv2d_input(x.shape, weight, gz, **shape)
    magnitude = torch.nn.grad.conv2d_input(x.shape, weight.abs(), gz.abs(), **shape)
    error = group.out_channels * group.kernel**2 * 2**-24 * magnitude
    near(as_images(call.gx), gx, 2**-8 * (gx.abs() + error) + error)
    gweight = torch.nn.grad.conv2d_weight(x, weight.shape, gz, **shape)
    magnitude = torch.nn.grad.conv2d_weight(x.abs(), weight.shape, gz.abs(), **shape)
    near(as_images(call.gweight), gweight, gz[:, 0].numel() * 2**-24 * magnitude)


def poison(library: ctypes.CDLL, group: Group) -> None:
    """Leave NaN in the rooms that threads keep from call to call: whoever reads what it has not written, gets them."""
    x = torch.full((group.images, group.in_channels, group.height, group.width), torch.nan)
    call = Call(library, group, x=x).forward()
    call.g.fill_(torch.nan)
    call.memory._given.clear()
    call.backward()


def statistics(call: Call) -> tuple[Tensor, Tensor]:
    """What normalises, in float64."""
    if call.group.norm == "none":
        return torch.zeros(call.group.out_channels), torch.ones(call.group.out_channels)
    mean, var = call.old
    if call.group.norm == "batch":
        var, mean = torch.var_mean(as_images(call.z), dim=(0, 2, 3), correction=0)
    return mean.double(), (var.double() + 1e-5).rsqrt()


def near(actual: Tensor, expected: Tensor, bound: Tensor) -> None:
    wrong = (actual.double() - expected.double()).abs() - bound
    assert (wrong <= 1e-30).all(), f"by {wrong.max()} beyond the bound"


@settings(max_examples=25)
@given(groups())
def test_threads_change_no_bit(library: ctypes.CDLL, group: Group) -> None:
    one, again, two, three = (
        Call(library, replace(group, threads=threads)).forward().backward() for threads in (1, 1, 2, 3)
    )
    for other in (again, two, three):
        for name in ("z", "out", "mean", "invstd", "gx", "dgamma", "dbeta"):
            assert same(getattr(one, name), getattr(other, name)), name
        # Each thread adds up the weights' gradient of its images, and these sums are then added.
        assert torch.allclose(one.gweight, other.gweight, rtol=1e-4, atol=1e-4 * float(one.gweight.abs().amax()))
    assert same(one.gweight, again.gweight)


@settings(max_examples=25)
@given(groups(), st.data())
def test_nan_in_an_image_is_seen_in_what_came_of_it(library: ctypes.CDLL, group: Group, data: st.DataObject) -> None:
    image = data.draw(st.integers(0, group.images - 1))
    clean = Call(library, group).forward()
    x = clean.x.permute(0, 3, 1, 2).clone()
    x[image, -1, group.height // 2, group.width // 2] = torch.nan
    struck = Call(library, group, x=x).forward()
    exact = F.conv2d(
        x.to(HALF).double(), as_images(clean.weight.to(HALF)), stride=group.stride, padding=group.padding
    ).permute(0, 2, 3, 1)
    assert struck.z[exact.isnan()].isnan().all()
    others = [i for i in range(group.images) if i != image]
    assert same(struck.z[others], clean.z[others])
    assert same(struck.out, struck.tail())
    if group.norm == "batch":
        assert struck.out.isnan().all() or not exact.isnan().any()
    else:
        assert same(struck.out[others], clean.out[others])


@pytest.mark.parametrize(
    "group",
    [
        Group(images=4, height=28, width=28, in_channels=1, out_channels=32, pool=2),
        Group(images=4, height=14, width=14, in_channels=32, out_channels=64, stride=2),
        Group(images=2, height=32, width=32, in_channels=3, out_channels=64, kernel=7, stride=2, padding=3, pool=2),
        Group(images=5, height=7, width=7, in_channels=64, out_channels=128, residual=True),
        Group(images=4, height=10, width=10, in_channels=16, out_channels=24, kernel=1, padding=0, activation="silu"),
        Group(images=4, height=9, width=8, in_channels=24, out_channels=16, activation="gelu", norm="given"),
    ],
)
def test_a_group_learns_as_its_layers_do(library: ctypes.CDLL, group: Group) -> None:
    """Against autograd in float64, over everything at once; bfloat16 changes some masks and winners near ties."""
    call = Call(library, group).forward().backward()
    x, weight = as_images(call.x).requires_grad_(), as_images(call.weight.to(HALF)).requires_grad_()
    gamma, beta = (values.double().requires_grad_() for values in (call.gamma, call.beta))
    z = F.conv2d(x, weight, stride=group.stride, padding=group.padding)
    mean, var = (values.double() for values in call.old)
    v = F.batch_norm(z, mean, var, gamma, beta, training=group.norm == "batch")
    if group.residual:
        v = v + as_images(call.residual)
    out = F.max_pool2d({"relu": F.relu, "silu": F.silu, "gelu": F.gelu}[group.activation](v), group.pool)
    wanted = torch.autograd.grad(out, [x, weight, gamma, beta], as_images(call.g))
    answers = [as_images(call.out), as_images(call.gx), as_images(call.gweight), call.dgamma, call.dbeta]
    for name, one, other in zip(("out", "x", "weight", "gamma", "beta"), answers, (out, *wanted), strict=True):
        assert (one - other).norm() < 0.05 * other.norm(), name
