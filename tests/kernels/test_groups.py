"""A group computes what its layers do one by one, and leaves behind what they would."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convscope.kernels import convolving, groups
from convscope.kernels.groups import Group, Sum

pytestmark = pytest.mark.usefixtures("operators")

RELU, POOL = nn.ReLU, nn.MaxPool2d


def convolution(*, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(3, 16, 3, padding=1, bias=bias)


def norm(channels: int = 16, **options: Any) -> nn.BatchNorm2d:
    """With parameters and statistics that are not those of the start."""
    layer = nn.BatchNorm2d(channels, **options)
    with torch.no_grad():
        for tensor in (layer.weight, layer.bias, layer.running_mean):
            if tensor is not None:
                tensor += torch.randn(channels) / 2
        if layer.running_var is not None:
            layer.running_var.uniform_(0.5, 2)
    return layer


KINDS: dict[str, Callable[[], list[nn.Module]]] = {
    "conv-norm": lambda: [convolution(), norm()],
    "conv-relu": lambda: [convolution(), RELU()],
    "bias-relu": lambda: [convolution(bias=True), RELU(inplace=True)],
    "alone": lambda: [convolution(bias=True)],
    "bias-pool": lambda: [convolution(bias=True), POOL(2)],
    "conv-norm-relu": lambda: [convolution(), norm(), RELU(inplace=True)],
    "bias-norm-relu": lambda: [convolution(bias=True), norm(), RELU()],
    "bias-norm-pool-leaky": lambda: [convolution(bias=True), norm(), POOL(2), nn.LeakyReLU(0.1)],
    "conv-norm-silu-pool": lambda: [convolution(), norm(), nn.SiLU(), POOL(2)],
    "conv-norm-pool-silu": lambda: [convolution(), norm(), POOL(2), nn.SiLU()],
    "conv-gelu-pool": lambda: [convolution(bias=True), nn.GELU(), POOL(3)],
    "conv-norm-sum-relu": lambda: [convolution(), norm(), Sum(), RELU(inplace=True)],
    "norm-sum-leaky": lambda: [norm(3), Sum(), nn.LeakyReLU(0.2)],
    "norm-relu": lambda: [norm(3), RELU()],
    "norm-pool": lambda: [norm(3), POOL(2)],
    "no-affine": lambda: [convolution(bias=True), norm(affine=False), RELU()],
    "no-statistics": lambda: [convolution(bias=True), norm(track_running_stats=False), RELU()],
    "mean-of-all": lambda: [convolution(), norm(momentum=None), RELU()],
    "strided": lambda: [nn.Conv2d(3, 16, (3, 1), stride=(2, 1), padding=(1, 0)), norm(momentum=0.5), RELU()],
    "same": lambda: [nn.Conv2d(3, 16, 3, padding="same"), norm(), RELU()],
}


def draw(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)


def run(layers: list[nn.Module], x: Tensor, other: Tensor | None, call: Callable[..., Tensor]) -> list[Tensor]:
    """The answer, and the gradients of everything that has one."""
    x, other = x.clone().requires_grad_(), None if other is None else other.clone().requires_grad_()
    out = call(x, other)
    leaves = [x, *([] if other is None else [other])]
    parameters = [parameter for layer in layers for parameter in layer.parameters() if parameter.requires_grad]
    torch.manual_seed(1)
    return [out, *torch.autograd.grad(out, [*leaves, *parameters], torch.randn(out.shape).to(out.dtype))]


def one_by_one(layers: list[nn.Module]) -> Callable[..., Tensor]:
    def call(x: Tensor, other: Tensor | None) -> Tensor:
        for layer in layers:
            x = layer(x, other) if isinstance(layer, Sum) else layer(x)
        return x

    return call


@pytest.fixture
def as_one(monkeypatch: pytest.MonkeyPatch) -> list[Group]:
    """The groups that have run as one since."""
    ran: list[Group] = []
    for way in (Group._after, Group._by_amx):

        def note(group: Group, *inputs: Tensor, way: Callable[..., object] = way) -> object:
            ran.append(group)
            return way(group, *inputs)

        monkeypatch.setattr(Group, way.__name__, note)
    return ran


@pytest.mark.parametrize("way", ["onednn", "winograd"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_values_gradients_and_statistics(
    kind: str, training: bool, way: str, as_one: list[Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(groups.choice, "faster", lambda key, ways: asked.append(key) or way)
    torch.manual_seed(0)
    layers = [layer.train(training).to(memory_format=torch.channels_last) for layer in KINDS[kind]()]
    plain = copy.deepcopy(layers)
    group = Group(layers)
    for shape in ((4, 3, 10, 10), (3, 3, 7, 9)):
        x, with_sum = draw(shape), any(isinstance(layer, Sum) for layer in layers)
        channels = 16 if group.conv is not None else 3
        other = draw((shape[0], channels, *shape[2:])) if with_sum else None
        wanted = run(plain, x, other, one_by_one(plain))
        for ours, theirs in zip(run(layers, x, other, group), wanted, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert bool(asked) == (group.conv is not None and kind not in ("strided", "same"))
    after = len(layers) > 1 and asked and way == "winograd"
    assert as_one == ([group, group] if group.pays or after else [])
    for ours, theirs in zip(
        nn.ModuleList(layers).state_dict().values(), nn.ModuleList(plain).state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    if training and group.conv is not None and group.norm is not None and group.conv.bias is not None:
        group(draw((4, 3, 8, 8))).sum().backward()
        assert torch.equal(group.conv.bias.grad, torch.zeros(16))


@pytest.mark.parametrize("way", ["onednn", "winograd", "amx"])
@pytest.mark.parametrize("kind", ["bias-norm-pool-leaky", "conv-norm-sum-relu", "norm-relu"])
def test_bfloat16_is_as_exact(kind: str, way: str, as_one: list[Group], monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "amx" and not torch.ops.convscope.has_amx():
        pytest.skip("this CPU has no AMX instructions, and cannot imitate them")
    monkeypatch.setattr(convolving, "has_amx", lambda: way == "amx")
    monkeypatch.setattr(groups.choice, "faster", lambda key, ways: way)
    torch.manual_seed(0)
    layers = [layer.to(memory_format=torch.channels_last) for layer in KINDS[kind]()]
    plain, exact = copy.deepcopy(layers), copy.deepcopy(layers)
    group, of_sum = Group(layers), kind == "conv-norm-sum-relu"
    x, other = draw((4, 3, 10, 10), torch.bfloat16), draw((4, 16, 10, 10), torch.bfloat16) if of_sum else None
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = run(layers, x, other, group), run(plain, x, other, one_by_one(plain))
    wanted = run(exact, x.float(), None if other is None else other.float(), one_by_one(exact))
    assert as_one
    for mine, usual, right in zip(ours, theirs, wanted, strict=True):
        assert mine.dtype == usual.dtype
        assert (mine.float() - right).norm() < 2 * (usual.float() - right).norm() + 0.01 * right.norm() + 1e-3


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(0, 3, 8, 8),
        torch.randn(3, 8, 8),
        torch.randn(2, 3, 8, 8, dtype=torch.float64),
        torch.zeros(2, 3, 8, 8, device="meta"),
        torch.randn(2, 3, 8, 8),  # not in channels-last order, nor is the weight
    ],
    ids=["no images", "no batch", "float64", "no numbers", "contiguous"],
)
def test_what_the_operators_cannot_take_goes_layer_by_layer(x: Tensor, as_one: list[Group]) -> None:
    layers: list[nn.Module] = [convolution(bias=True).to(x.dtype), RELU()]
    layers = [layer.to(x.device) for layer in layers]
    ours, theirs = Group(layers)(x), one_by_one(layers)(x, None)
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype and not as_one
    assert ours.device.type == "meta" or torch.allclose(ours, theirs, atol=1e-5)


def test_sums_of_another_shape_or_type_go_layer_by_layer(as_one: list[Group]) -> None:
    layers = [norm(3), Sum(), RELU()]
    group, x = Group(layers), draw((2, 3, 4, 4))
    for other in (draw((1, 3, 1, 1)), draw((2, 3, 4, 4), torch.bfloat16)):
        assert torch.allclose(group(x, other), one_by_one(copy.deepcopy(layers))(x, other))
    assert not as_one


def test_errors_are_those_of_the_layers() -> None:
    layers: list[nn.Module] = [convolution().to(memory_format=torch.channels_last), norm(), RELU()]
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        Group(layers)(draw((1, 3, 1, 1)))
    with pytest.raises(RuntimeError, match="channels"):
        Group(layers)(draw((1, 4, 8, 8)))
    with pytest.raises(RuntimeError, match="too small"):
        Group([norm(3), POOL(4)])(draw((2, 3, 3, 3)))


def test_layers_that_rest() -> None:
    layers = [layer.to(memory_format=torch.channels_last) for layer in KINDS["bias-norm-relu"]()]
    group, x = Group(layers), draw((2, 3, 4, 4))
    for learning in ([], ["weight"], ["bias"]):
        for layer in layers:
            for name, parameter in layer.named_parameters():
                parameter.grad = None
                parameter.requires_grad_(name in learning)
        out = group(x)
        assert out.requires_grad == bool(learning)
        if learning:
            out.sum().backward()
        for layer in layers:
            for name, parameter in layer.named_parameters():
                assert (parameter.grad is not None) == (name in learning)
    layers[1].eval()
    before = copy.deepcopy(layers[1].state_dict())
    group(x)
    assert all(torch.equal(value, before[name]) for name, value in layers[1].state_dict().items())


@pytest.mark.parametrize(("way", "half"), [("winograd", False), ("winograd", True), ("amx", True)])
@pytest.mark.parametrize("kind", ["bias-norm-relu", "conv-norm-sum-relu", "bias-pool", "alone"])
def test_the_faster_way_is_asked_for_once_and_trying_leaves_no_trace(
    kind: str, way: str, half: bool, monkeypatch: pytest.MonkeyPatch, operators: bool
) -> None:
    if way == "amx" and operators and not torch.ops.convscope.has_amx():
        pytest.skip("this CPU has no AMX instructions, and cannot imitate them")
    asked: list[str] = []

    def faster(key: str, ways: dict[str, Callable[[], object]]) -> str:
        asked.append(key)
        assert [*ways] == ["onednn", way]
        for run in ways.values():
            run()
        return way

    monkeypatch.setattr(convolving, "has_amx", lambda: way == "amx")
    monkeypatch.setattr(groups.choice, "faster", faster)
    torch.manual_seed(0)
    layers = [layer.to(memory_format=torch.channels_last) for layer in KINDS[kind]()]
    plain, group = copy.deepcopy(layers), Group(layers)
    dtype = torch.bfloat16 if half else torch.float32
    x, other = draw((4, 3, 10, 10)), draw((4, 16, 10, 10), dtype) if "sum" in kind else None
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        ours, theirs = run(layers, x, other, group), run(plain, x, other, one_by_one(plain))
        group(x[:3].requires_grad_(), None if other is None else other[:3])  # as an epoch's last batch may be
    assert len(asked) == 1 and "Conv2d(3, 16" in asked[0]
    for mine, usual in zip(ours, theirs, strict=True):
        # Rounded otherwise, another of two nearly equal values wins here and there, and takes the gradient.
        assert (mine.float() - usual.float()).norm() < 0.1 * usual.float().norm() + 0.3
    assert all(parameter.grad is None for layer in layers for parameter in layer.parameters())
    if group.norm is not None:
        assert group.norm.num_batches_tracked == 2


@pytest.mark.parametrize("amx", [False, True])
def test_the_faster_way_is_known_for_each_precision(amx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first layer takes float32 in both.
    asked: list[str] = []
    monkeypatch.setattr(convolving, "has_amx", lambda: amx)
    monkeypatch.setattr(groups.choice, "faster", lambda key, ways: asked.append(key) or "onednn")
    group, x = Group([convolution().to(memory_format=torch.channels_last), norm()]), draw((4, 3, 10, 10))
    for precise in (True, False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            group(x)
    assert len({*asked}) == len(asked) == 2


def test_the_faster_way_may_be_another_for_few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(groups.choice, "faster", lambda key, ways: asked.append(key) or "onednn")
    group, x = Group([convolution().to(memory_format=torch.channels_last), norm()]), draw((17, 3, 10, 10))
    for images in (17, 1, 2, 3, 4, 5, 16, 17):
        group(x[:images])
    assert len({*asked}) == len(asked) == 4


@pytest.mark.parametrize("images, power", [(1, 1), (2, 4), (4, 4), (5, 16), (16, 16), (17, 64), (64, 64), (65, 256)])
def test_batches_of_about_the_same_size(images: int, power: int) -> None:
    assert groups.size_class(images) == power


@pytest.mark.parametrize(
    ("way", "options"),
    [
        ("amx", {"kernel_size": 13, "padding": 6}),
        ("amx", {"kernel_size": 1, "padding": 1}),
        ("winograd", {"kernel_size": 1}),
        ("winograd", {"kernel_size": 5, "padding": 2}),
        ("winograd", {"kernel_size": 3, "stride": 2}),
        ("winograd", {"kernel_size": 3, "padding": 3}),
    ],
)
def test_what_our_ways_do_not_take_is_pytorch_s(
    way: str, options: dict[str, int], as_one: list[Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolving, "has_amx", lambda: True)
    monkeypatch.setattr(groups.choice, "faster", lambda key, ways: pytest.fail("asked"))
    layers = [nn.Conv2d(3, 16, **options), norm(), RELU()]
    layers = [layer.to(memory_format=torch.channels_last) for layer in layers]
    with torch.autocast("cpu", torch.bfloat16, enabled=way == "amx"):
        assert Group(layers)(draw((2, 3, 8, 8))).shape[:2] == (2, 16)
    assert len(as_one) == 1
