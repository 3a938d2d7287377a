"""ResNet: layers that learn what to add to their input.

Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun, Deep residual learning for image recognition, CVPR 2016,
arXiv 1512.03385. Realised: table 1's networks of 18, 34, 50 and 101 layers with figure 5's blocks; shortcuts are
identities, and 1x1 convolutions where the shape changes (option B).

**Departures**:

1. A bottleneck takes its stride in the 3x3 convolution instead of the first 1x1, so that no value is passed over
   unseen; the published weights are of this form, also known as version 1.5.
2. Norms start with scale one in every block.
3. In the stem, the ReLU comes after the pool: the same function (see `layers.py`).
4. The `_small` variants, for images of 28 or 32 pixels, begin with the 3x3 convolution with stride 1 and without pool
   that the paper gives its networks for CIFAR-10 (§4.2), and go on with table 1's stages.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from convscope.models.initialisation import kaiming
from convscope.models.layers import Activation, Classifier, activate, named, pool_and_activate, widen

Rescale = Callable[[int], nn.Module]
"""Makes, for a number of channels, what a block does to its branch before the sum: nothing, but see `senet.py`."""


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The input in the shape of the output (§3.3, option B); an identity where that is its shape already."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (figure 5, left): (N, in, H, W) -> (N, channels, H/stride, W/stride)."""

    expansion = 1
    """Channels that come out for each of `channels`."""

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, activation: Activation, rescale: Rescale
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act1 = activate(activation)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.rescale = rescale(channels)
        self.downsample = shortcut(in_channels, channels, stride)
        self.act2 = activate(activation)

    def forward(self, x: Tensor) -> Tensor:
        """The activation of branch plus shortcut (equation 1)."""
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.rescale(self.bn2(self.conv2(y)))
        output: Tensor = self.act2(y + self.downsample(x))
        return output


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 beside a shortcut (figure 5, right): (N, in, H, W) -> (N, 4·channels, H/stride, W/stride)."""

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, activation: Activation, rescale: Rescale
    ) -> None:
        super().__init__()
        out_channels = self.expansion * channels
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act1 = activate(activation)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.act2 = activate(activation)
        self.conv3 = nn.Conv2d(channels, out_channels, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.rescale = rescale(out_channels)
        self.downsample = shortcut(in_channels, out_channels, stride)
        self.act3 = activate(activation)

    def forward(self, x: Tensor) -> Tensor:
        """The activation of branch plus shortcut (equation 1)."""
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.act2(self.bn2(self.conv2(y)))
        y = self.rescale(self.bn3(self.conv3(y)))
        output: Tensor = self.act3(y + self.downsample(x))
        return output


def stage(
    block: type[BasicBlock | Bottleneck],
    in_channels: int,
    channels: int,
    *,
    depth: int,
    stride: int,
    activation: Activation,
    rescale: Rescale,
) -> nn.Sequential:
    """`depth` blocks, of which the first takes the stride: (N, in, H, W) -> (N, out, H/stride, W/stride)."""
    blocks: list[nn.Module] = []
    for number in range(depth):
        blocks.append(
            block(in_channels, channels, stride=1 if number else stride, activation=activation, rescale=rescale)
        )
        in_channels = channels * block.expansion
    return nn.Sequential(*blocks)


class ResNet(Classifier):
    """A stem, four stages of residual blocks, one average over all positions, and the last layer.

    Args:
        block: what the stages are made of.
        depths: blocks in each stage, conv2_x to conv5_x of table 1.
        small: whether the stem is that for small images.
        rescale: what each block does to its branch before the sum.
        width: factor on the channels of every layer but the last.
    """

    stage_starts = ("conv1", "layer1", "layer2", "layer3", "layer4", "fc")

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        depths: tuple[int, int, int, int],
        small: bool = False,
        rescale: Rescale = nn.Identity,
        /,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        activation: Activation = "relu",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        stem = widen(64, width)
        if small:
            self.conv1 = nn.Conv2d(in_channels, stem, kernel_size=3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(stem)
            self.stem = activate(activation)
        else:
            self.conv1 = nn.Conv2d(in_channels, stem, kernel_size=7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(stem)
            self.stem = named(**pool_and_activate(nn.MaxPool2d(3, stride=2, padding=1), activation))
        make = partial(stage, block, activation=activation, rescale=rescale)
        # Channels that reach each stage, and those in its blocks.
        reach = [stem] + [widen(channels, width) * block.expansion for channels in (64, 128, 256, 512)]
        self.layer1 = make(reach[0], widen(64, width), depth=depths[0], stride=1)  # conv2_x
        self.layer2 = make(reach[1], widen(128, width), depth=depths[1], stride=2)  # conv3_x
        self.layer3 = make(reach[2], widen(256, width), depth=depths[2], stride=2)  # conv4_x
        self.layer4 = make(reach[3], widen(512, width), depth=depths[3], stride=2)  # conv5_x
        self.average = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.num_features = reach[4]
        self.fc = nn.Linear(self.num_features, num_classes)
        kaiming(self)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees: images (N, C, H, W) -> (N, num_features)."""
        x = self.stem(self.bn1(self.conv1(images)))  # (N, 64, H/4, W/4); with the small stem (N, 64, H, W)
        x = self.layer1(x)  # (N, 64·expansion, H/4, W/4)
        x = self.layer2(x)  # (N, 128·expansion, H/8, W/8)
        x = self.layer3(x)  # (N, 256·expansion, H/16, W/16)
        x = self.layer4(x)  # (N, 512·expansion, H/32, W/32)
        features: Tensor = self.flatten(self.average(x))  # (N, num_features)
        return features


DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # table 1

resnet18 = partial(ResNet, BasicBlock, DEPTHS[18])
resnet34 = partial(ResNet, BasicBlock, DEPTHS[34])
resnet50 = partial(ResNet, Bottleneck, DEPTHS[50])
resnet101 = partial(ResNet, Bottleneck, DEPTHS[101])
resnet18_small = partial(ResNet, BasicBlock, DEPTHS[18], True)
resnet34_small = partial(ResNet, BasicBlock, DEPTHS[34], True)
resnet50_small = partial(ResNet, Bottleneck, DEPTHS[50], True)
