"""What single networks promise beyond the contract: what their papers say, and where weights start."""

import math
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convscope.errors import UserError
from convscope.models import build_model, takes_option
from convscope.models.densenet import DenseBlock, dense_layer
from convscope.models.googlenet import PAPER, FromImageNet, Inception, LocalResponseNorm
from convscope.models.initialisation import glorot, kaiming
from convscope.models.layers import Activation, WithAuxiliary, activate, pool_and_activate
from convscope.models.resnet import BasicBlock, Bottleneck
from convscope.models.senet import SqueezeExcitation
from convscope.models.tinyvgg import norm_block, plain_block


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def outline(name: str, **keywords: object) -> nn.Module:
    """A network without numbers."""
    with torch.device("meta"):
        return build_model(name, **{"input_size": 224, **keywords})


def with_statistics(module: nn.Module) -> nn.Module:
    """In evaluation mode, with norms that do something."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return module.eval()


@pytest.mark.parametrize("activation", get_args(Activation))
def test_pool_and_activation_are_the_paper_s_order_bit_for_bit(activation: Activation) -> None:
    # R-D9
    block = plain_block(3, 8, activation=activation)
    act = activate(activation)
    images = torch.randn(4, 3, 12, 12)
    gradients = []
    for output in (
        block(images),
        F.max_pool2d(act(block.conv2(act(block.conv1(images)))), 2),  # as VGG has it
    ):
        block.zero_grad()
        output.square().sum().backward()
        gradients.append((output, [parameter.grad.clone() for parameter in block.parameters()]))
    (ours, our_gradients), (theirs, their_gradients) = gradients
    assert torch.equal(ours, theirs)
    assert all(map(torch.equal, our_gradients, their_gradients))


def test_the_pool_comes_first_where_it_may() -> None:
    assert list(pool_and_activate(nn.MaxPool2d(2), "relu")) == ["pool", "act"]
    assert list(pool_and_activate(nn.MaxPool2d(2), "gelu")) == ["act", "pool"]


def test_activations_are_their_formulas() -> None:
    # R-D6, R-D9
    x = torch.linspace(-4, 4, 33)
    expected = {
        "relu": x.clamp(min=0),
        "leaky_relu": torch.where(x > 0, x, 0.01 * x),
        "silu": x / (1 + torch.exp(-x)),
        "gelu": x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    }
    for name, y in expected.items():
        torch.testing.assert_close(activate(name)(x.clone()), y)


@pytest.mark.parametrize(
    "name", ["simplenet", "tinyvgg_bn", "alexnet", "vgg11", "googlenet", "resnet18", "densenet121"]
)
def test_every_network_of_relus_takes_another_activation(name: str) -> None:
    # R-D9
    wanted = {"leaky_relu": nn.LeakyReLU, "silu": nn.SiLU, "gelu": nn.GELU}
    for activation, kind in wanted.items():
        layers = list(outline(name, activation=activation).modules())
        assert any(isinstance(layer, kind) for layer in layers)
        assert not any(isinstance(layer, nn.ReLU) for layer in layers)
    assert not takes_option("lenet5", "activation")  # its paper has tanh
    with pytest.raises(UserError, match="did you mean 'relu'"):
        build_model(name, input_size=224, activation="relu6")


def test_norm_block_is_convolution_norm_relu_twice_and_pool() -> None:
    # R-B4
    block = norm_block(3, 8, activation="relu").eval()
    images = torch.randn(4, 3, 12, 12)
    x = F.relu(block.norm1(block.conv1(images)))
    x = F.relu(block.norm2(block.conv2(x)))
    assert torch.equal(block(images), F.max_pool2d(x, 2))
    assert block.conv1.bias is None and block.conv2.bias is None


def test_linear_is_one_matrix_on_the_pixels() -> None:
    # R-B6
    model, images = build_model("linear"), torch.randn(3, 1, 28, 28)
    torch.testing.assert_close(model(images), images.flatten(1) @ model.head.weight.T + model.head.bias)


def test_vgg11_block_by_block() -> None:
    # R-E1, R-E2: one channel, ten classes
    model = outline("vgg11")
    pools = [index for index, layer in enumerate(model.features) if isinstance(layer, nn.MaxPool2d)]
    blocks = [model.features[start : end + 1] for start, end in zip([0, *pools], pools, strict=False)]
    assert [count(block) for block in blocks] == [640, 73_856, 885_248, 3_539_968, 4_719_616]
    assert count(model.features) == 9_219_328
    linear = [layer for layer in model.classifier if isinstance(layer, nn.Linear)]
    assert [count(layer) for layer in linear] == [102_764_544, 16_781_312, 40_970]
    assert count(model) == 128_806_154
    assert [layer.p for layer in model.classifier if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


def test_vgg16_ends_in_seven_by_seven_maps() -> None:
    # R-C1
    features = outline("vgg16", in_channels=3).features
    maps = features[:31](torch.empty(1, 3, 224, 224, device="meta"))
    assert sum(isinstance(layer, nn.Conv2d) for layer in features) == 13
    assert maps.shape == (1, 512, 7, 7)


def test_width_is_a_factor_on_the_channels() -> None:
    # R-B9
    half = outline("vgg11", width=0.5)
    assert half.features[0].out_channels == 32 and half.num_features == 256 * 49
    assert outline("resnet50", width=2).num_features == 4096
    double = outline("tinyvgg_bn", width=2)
    assert (double.block3.conv2.out_channels, double.hidden.linear.in_features) == (256, 256 * 28 * 28)
    assert double.num_features == 128
    assert outline("densenet121", growth_rate=12).features.conv0.out_channels == 24
    for width in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UserError, match="width is"):
            outline("resnet18", width=width)
    with pytest.raises(UserError, match="growth_rate is 0"):
        outline("densenet121", growth_rate=0)


def test_googlenet_s_published_counts() -> None:
    # R-C4
    assert count(outline("googlenet")) == 5_977_530
    assert count(outline("googlenet", in_channels=3, num_classes=1000)) == 6_998_552
    assert outline("googlenet").inception4d.branch2[0].conv.out_channels == 144  # table 1


def test_inception_is_four_branches_side_by_side() -> None:
    # R-C4
    module = Inception(6, 2, 3, 4, 2, 3, 5, variant=PAPER, activation="relu")
    x = torch.randn(2, 6, 7, 7)
    branches = module(x).split([2, 4, 3, 5], dim=1)
    assert torch.equal(branches[0], F.relu(module.branch1.conv(x)))
    reduced = F.relu(module.branch3[0].conv(x))
    assert torch.equal(branches[2], F.relu(module.branch3[1].conv(reduced)))
    assert module.branch3[1].conv.kernel_size == (5, 5)
    pooled = F.max_pool2d(x, 3, stride=1, padding=1)
    assert torch.equal(branches[3], F.relu(module.branch4[1].conv(pooled)))


def test_local_response_norm_is_pytorch_s() -> None:
    x = torch.randn(2, 9, 4, 4, dtype=torch.float64) * 100  # large, so that the norm does something
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, z = LocalResponseNorm(5)(ours), nn.LocalResponseNorm(5)(theirs)
    torch.testing.assert_close(y, z)
    (y.square().sum() + z.square().sum()).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert (y / x).min() < 0.9


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
def test_auxiliary_classifiers_answer_in_training_alone(name: str) -> None:
    # R-C4
    model = build_model(name, input_size=64, auxiliary=True, seed=0)
    images = torch.randn(4, 1, 64, 64)
    answer = model(images)
    assert isinstance(answer, WithAuxiliary)
    assert [logits.shape for logits in (answer.logits, *answer.auxiliary)] == [(4, 10)] * 3
    sum(logits.square().sum() for logits in (answer.logits, *answer.auxiliary)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.eval()(images).shape == (4, 10)
    model.train().reset_head(3)
    answer = model(images)
    assert [logits.shape for logits in (answer.logits, *answer.auxiliary)] == [(4, 3)] * 3


def test_auxiliary_classifiers_have_the_paper_s_layers() -> None:
    # §5 of the paper: 128 1x1 filters, 1024 units, 70% dropout, on 4a (512 maps) and 4d (528)
    with_, without = (outline("googlenet", in_channels=3, num_classes=1000, auxiliary=value) for value in (True, False))
    expected = sum(128 * maps + 128 + 2048 * 1024 + 1024 + 1024 * 1000 + 1000 for maps in (512, 528))
    assert count(with_) - count(without) == expected
    assert with_.aux1.dropout.p == 0.7


def test_transform_input_goes_from_imagenet_s_normalisation_to_one_half() -> None:
    pixels = torch.rand(2, 3, 4, 4)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(FromImageNet()((pixels - mean) / std), (pixels - 0.5) / 0.5)
    transforming = build_model("googlenet_bn", in_channels=3, input_size=32, transform_input=True, seed=0).eval()
    plain = build_model("googlenet_bn", in_channels=3, input_size=32, seed=0).eval()
    images = F.interpolate(pixels, size=32)
    torch.testing.assert_close(transforming((images - mean) / std), plain((images - 0.5) / 0.5))
    with pytest.raises(UserError, match="transform_input is for red, green and blue"):
        build_model("googlenet_bn", in_channels=1, input_size=32, transform_input=True)


@pytest.mark.parametrize("stride", [1, 2])
def test_residual_blocks_add_branch_and_shortcut(stride: int) -> None:
    # R-B9; §3.2, equations 1 and 2
    x = torch.randn(2, 8, 6, 6)
    basic = with_statistics(BasicBlock(8, 8, stride=stride, activation="relu", rescale=nn.Identity))
    branch = basic.bn2(basic.conv2(F.relu(basic.bn1(basic.conv1(x)))))
    assert torch.equal(basic(x), F.relu(branch + (x if stride == 1 else basic.downsample(x))))
    deep = with_statistics(Bottleneck(8, 2, stride=stride, activation="relu", rescale=nn.Identity))
    branch = F.relu(deep.bn2(deep.conv2(F.relu(deep.bn1(deep.conv1(x))))))
    branch = deep.bn3(deep.conv3(branch))
    assert torch.equal(deep(x), F.relu(branch + (x if stride == 1 else deep.downsample(x))))
    assert deep.conv1.stride == (1, 1) and deep.conv2.stride == (stride, stride)


def test_squeeze_and_excitation_scales_each_channel() -> None:
    # R-D9; equations 2 to 4
    module = kaiming(SqueezeExcitation(32))  # for biases of zero
    nn.init.normal_(module.fc1.weight)
    nn.init.normal_(module.fc2.weight)
    x = torch.randn(2, 32, 5, 5)
    hidden = F.relu(x.mean(dim=(2, 3)) @ module.fc1.weight.T)
    scale = torch.sigmoid(hidden @ module.fc2.weight.T)
    assert hidden.shape == (2, 2)  # r = 16
    torch.testing.assert_close(module(x), x * scale[:, :, None, None])


def test_squeeze_and_excitation_stands_before_the_sum_of_each_block() -> None:
    model = build_model("se_resnet18", in_channels=3, input_size=32, seed=0).eval()
    assert sum(isinstance(module, SqueezeExcitation) for module in model.modules()) == 8
    block, x = model.layer1[0], torch.randn(2, 64, 6, 6)
    branch = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
    assert torch.equal(block(x), F.relu(block.rescale(branch) + x))
    # §4.2, table 2: 28.1 M parameters against 25.6 M of ResNet-50
    assert count(outline("se_resnet50", in_channels=3, num_classes=1000)) == 28_088_024


def test_dense_block_keeps_all_maps_and_adds_k_a_layer() -> None:
    # R-A12; equation 2
    block = with_statistics(
        DenseBlock(*(dense_layer(6 + 4 * number, 4, activation="relu", dropout=0.0) for number in range(3)))
    )
    x = torch.randn(2, 6, 5, 5)
    y = block(x)
    assert y.shape == (2, 6 + 3 * 4, 5, 5)
    assert torch.equal(y[:, :6], x)
    layer = block[1]
    seen = y[:, :10]
    bottleneck = layer.conv1(F.relu(layer.norm1(seen)))
    torch.testing.assert_close(y[:, 10:14], layer.conv2(F.relu(layer.norm2(bottleneck))))


@pytest.mark.parametrize("name", ["resnet18_small", "resnet50_small", "densenet121_small", "se_resnet18_small"])
def test_small_stems_keep_the_resolution(name: str) -> None:
    small, large = (outline(name.removesuffix(suffix), in_channels=3) for suffix in ("", "_small"))
    sizes = []
    for model in (small, large):
        first = model.layer1 if hasattr(model, "layer1") else model.features.denseblock1
        first.register_forward_hook(lambda layer, x, y: sizes.append(y.shape[-1]))
        model.eval()(torch.empty(1, 3, 32, 32, device="meta"))
    assert sizes == [32, 8]


@pytest.mark.parametrize(("name", "fan"), [("vgg16", 0), ("resnet18", 0), ("densenet121", 0), ("googlenet", 1)])
def test_drawn_weights_have_the_deviation_of_the_rule(name: str, fan: int) -> None:
    # R-C2: convolutions normal with variance 2 / fan (out, or in for Inception), linear layers normal(0, 0.01)
    slim = {"vgg16": {"width": 0.25}}.get(name, {})
    model = build_model(name, in_channels=3, input_size=32, seed=0, **slim)
    scaled = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            scaled.append(
                (layer.weight * math.sqrt(layer.weight[0, 0].numel() * layer.weight.shape[fan] / 2)).flatten()
            )
            assert scaled[-1].std().item() == pytest.approx(1, abs=4 / math.sqrt(2 * scaled[-1].numel()))
    values = torch.cat(scaled)
    assert values.mean().abs() < 5 / math.sqrt(len(values))
    assert (values.abs() < 1).float().mean().item() == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.005)
    linear = [layer.weight.flatten() for layer in model.modules() if isinstance(layer, nn.Linear)]
    weights = torch.cat(linear)
    assert weights.std().item() == pytest.approx(0.01, abs=4 * 0.01 / math.sqrt(2 * len(weights)))


def test_kaiming_keeps_the_size_of_gradients() -> None:
    # R-C2
    conv = kaiming(nn.Conv2d(64, 128, kernel_size=3))
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (128 * 9)), rel=0.02)
    assert torch.count_nonzero(conv.bias) == 0
    linear = kaiming(nn.Linear(400, 400))
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert torch.count_nonzero(linear.bias) == 0


def test_glorot_depends_on_both_sides() -> None:
    linear = glorot(nn.Linear(300, 500))
    assert linear.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 800), rel=0.01)
    assert linear.weight.var().item() == pytest.approx(2 / 800, rel=0.02)
    assert torch.count_nonzero(linear.bias) == 0
