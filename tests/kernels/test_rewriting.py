"""Which layers become a group, and which are left alone."""

import operator
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convscope.kernels import rewriting
from convscope.kernels.rewriting import Untraceable, rewrite

pytestmark = pytest.mark.usefixtures("operators")


@pytest.fixture(autouse=True)
def none_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No single convolution is a group."""
    monkeypatch.setattr(rewriting, "may_gain_alone", lambda conv: False)


def found(model: nn.Module) -> list[str]:
    """The layers of each group, in short; checks that the program computes what the model does."""
    model.eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    program, groups = rewrite(model)
    images = torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        torch.testing.assert_close(program(images.clone()), model(images.clone()), rtol=1e-3, atol=1e-3)
    return ["-".join(type(layer).__name__ for layer in group.layers) for group in groups]


def conv(**options: int) -> nn.Conv2d:
    return nn.Conv2d(4, 4, 3, padding=options.pop("padding", 1), **options)


NORM, RELU = nn.BatchNorm2d, nn.ReLU


@pytest.mark.parametrize(
    ("layers", "groups"),
    [
        ((conv(), NORM(4), RELU(), nn.MaxPool2d(2)), ["Conv2d-BatchNorm2d-ReLU-MaxPool2d"]),
        ((conv(), NORM(4), nn.MaxPool2d(2), nn.SiLU()), ["Conv2d-BatchNorm2d-MaxPool2d-SiLU"]),
        ((conv(), nn.MaxPool2d(2), RELU(inplace=True)), ["Conv2d-MaxPool2d-ReLU"]),
        ((conv(), nn.Identity(), NORM(4), nn.Identity(), nn.GELU()), ["Conv2d-BatchNorm2d-GELU"]),
        ((NORM(4), RELU(), conv(), NORM(4), RELU(), conv()), ["BatchNorm2d-ReLU", "Conv2d-BatchNorm2d-ReLU"]),
        ((conv(), nn.LeakyReLU(-0.5), NORM(4)), []),
        ((conv(), RELU(), RELU()), []),  # which may gain alone
        ((conv(), nn.Dropout(), NORM(4), nn.Dropout(), RELU()), []),
        ((conv(), nn.MaxPool2d(3, stride=2), RELU()), []),
        ((conv(), nn.MaxPool2d(2, ceil_mode=True), RELU()), []),
        ((conv(), nn.MaxPool2d(2, padding=1), RELU()), []),
        ((conv(), nn.MaxPool2d(2, dilation=2), RELU()), []),
        ((conv(), nn.MaxPool2d((2, 1)), RELU()), []),
        ((conv(), nn.MaxPool2d((2, 2), (2, 2)), RELU()), ["Conv2d-MaxPool2d-ReLU"]),
        ((conv(), nn.GELU("tanh"), conv(groups=2), RELU(), conv(dilation=2), RELU()), []),
        ((nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), NORM(4), RELU()), ["BatchNorm2d-ReLU"]),
        ((RELU(), conv(), nn.AvgPool2d(2)), []),
    ],
)
def test_sequences(layers: tuple[nn.Module, ...], groups: list[str]) -> None:
    assert found(nn.Sequential(*layers)) == groups


class Own(nn.BatchNorm2d):
    """Somebody's own norm."""


def test_layers_used_twice_and_layers_of_other_classes_stay() -> None:
    shared, act = conv(), RELU()
    assert found(nn.Sequential(shared, NORM(4), act, shared, NORM(4), act)) == []
    assert found(nn.Sequential(conv(), Own(4), RELU())) == []
    replaced = nn.Sequential(conv(), NORM(4), RELU())
    replaced[1].forward = lambda x: 2 * x
    assert found(replaced) == []


class Net(nn.Module):
    """Layers, and a function that calls them."""

    def __init__(self, call: Callable[["Net", Tensor], Tensor]) -> None:
        super().__init__()
        self.conv1, self.conv2, self.norm1, self.norm2 = conv(), conv(), NORM(4), NORM(4)
        self.act, self.act2, self.silu, self.nothing = RELU(), RELU(inplace=True), nn.SiLU(), nn.Identity()
        self._call = call

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, H, W)."""
        return self._call(self, x)


def in_place(x: Tensor, other: Tensor) -> Tensor:
    x += other
    return x


SUM = "Conv2d-BatchNorm2d-Sum-ReLU"
BRANCH = "Conv2d-BatchNorm2d"


@pytest.mark.parametrize(
    ("call", "groups"),
    [
        (lambda net, x: net.act(net.norm1(net.conv1(x)) + x), [SUM]),
        (lambda net, x: net.act(x + net.norm1(net.conv1(x))), [SUM]),
        (lambda net, x: F.relu(torch.add(x, net.nothing(net.norm1(net.conv1(x))))), [SUM]),
        (lambda net, x: net.norm1(net.conv1(x)).add(x).relu(), [SUM]),
        (lambda net, x: net.act2(in_place(net.norm1(net.conv1(x)), x)), [SUM]),
        (lambda net, x: torch.relu(operator.iadd(net.norm1(net.conv1(x)), x)), [SUM]),
        (lambda net, x: net.norm1(net.conv1(x)).add_(x).relu_(), [SUM]),
        (lambda net, x: net.act(net.norm1(net.conv1(x)) + net.norm2(net.conv2(x))), [SUM, BRANCH]),
        (lambda net, x: net.act2(net.norm1(net.conv1(net.act2(x.clone()))) + net.norm2(net.conv2(x))), [BRANCH] * 2),
        # The sum would be written into what others may read.
        (lambda net, x: net.act(in_place(x.clone(), net.norm1(net.conv1(x)))), [BRANCH]),
        (lambda net, x: net.act(torch.add(net.norm1(net.conv1(x)), x, alpha=2)), [BRANCH]),
        (lambda net, x: net.act(net.norm1(net.conv1(x)) + 1), [BRANCH]),
        (lambda net, x: net.silu(net.norm1(net.conv1(x)) + x), [BRANCH]),
        (lambda net, x: net.norm1(net.conv1(x)) + x, [BRANCH]),
        (lambda net, x: (lambda y: net.act(y + y))(net.norm1(net.conv1(x))), [BRANCH]),
        (lambda net, x: net.act(net.conv1(x) + x), []),
        # Somebody else reads what lies between.
        (lambda net, x: (lambda y: net.norm1(y) + y)(net.conv1(x)), []),
        (lambda net, x: (lambda y: net.act(net.norm1(y)) + y.mean())(net.conv1(x)), ["BatchNorm2d-ReLU"]),
        (lambda net, x: F.relu(net.norm1(x), inplace=True), ["BatchNorm2d-ReLU"]),
    ],
)
def test_sums_and_functions(call: Callable[[Net, Tensor], Tensor], groups: list[str]) -> None:
    assert found(Net(call)) == groups


def test_nothing_is_read_later_than_it_is_written() -> None:
    def written_between(net: Net, x: Tensor) -> Tensor:
        x = x.clone()
        branch = net.norm1(net.conv1(x))
        return net.act(branch + net.act2(x))  # writes into what the branch has read

    assert found(Net(written_between)) == []

    def written_and_read(net: Net, x: Tensor) -> Tensor:
        same = x = x.clone()
        x *= 2
        return net.act(net.conv1(x) + same)

    assert found(Net(written_and_read)) == []

    def written_apart(net: Net, x: Tensor) -> Tensor:
        branch = net.norm1(net.conv1(x))
        return net.act(branch + net.act2(net.norm2(net.conv2(x))))

    assert found(Net(written_apart)) == [SUM, "Conv2d-BatchNorm2d-ReLU"]


def test_single_convolutions_where_they_have_a_way_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "may_gain_alone", lambda conv: conv.stride == (1, 1))
    layers = (conv(), nn.Dropout(), conv(), RELU(), conv(stride=2), RELU(), conv(stride=2), NORM(4))
    assert found(nn.Sequential(*layers)) == ["Conv2d", "Conv2d-ReLU", "Conv2d-BatchNorm2d"]


def test_programs_that_cannot_be_written_down() -> None:
    for call in (
        lambda net, x: net.conv1(x) if x.sum() > 0 else x,
        lambda net, x: net.conv1(x) + torch.ones(1),
        lambda net, x: net.conv1(x) * net.norm1.weight[:, None, None],
    ):
        model = Net(call)
        attributes = {*vars(model)}
        with pytest.raises(Untraceable):
            rewrite(model)
        assert {*vars(model)} == attributes
