"""DenseNet: every layer sees the maps of all layers before it.

Gao Huang, Zhuang Liu, Laurens van der Maaten, Kilian Weinberger, Densely connected convolutional networks, CVPR
2017, arXiv 1608.06993. Realised: DenseNet-BC of table 1, with bottlenecks (B) of 4·k channels and transitions
that halve the channels (C, θ = 0.5), for k = 32 maps a layer.

**Departures**:

1. In the stem, the ReLU comes after the pool: the same function (see `layers.py`).
2. The `_small` variants, for images of 28 or 32 pixels, begin with the 3x3 convolution with stride 1 and without pool
   that the paper gives its networks for CIFAR (§3), and go on with table 1's blocks.
"""

from functools import partial

import torch
from torch import Tensor, nn

from convscope.errors import UserError
from convscope.models.initialisation import kaiming
from convscope.models.layers import Activation, Classifier, activate, check_dropout, named, pool_and_activate


def dense_layer(in_channels: int, growth_rate: int, *, activation: Activation, dropout: float) -> nn.Sequential:
    """Norm, ReLU, 1x1, norm, ReLU, 3x3 (§3): (N, in, H, W) -> (N, k, H, W)."""
    bottleneck = 4 * growth_rate
    return named(
        norm1=nn.BatchNorm2d(in_channels),
        act1=activate(activation),
        conv1=nn.Conv2d(in_channels, bottleneck, kernel_size=1, bias=False),
        norm2=nn.BatchNorm2d(bottleneck),
        act2=activate(activation),
        conv2=nn.Conv2d(bottleneck, growth_rate, kernel_size=3, padding=1, bias=False),
        dropout=nn.Dropout(dropout),
    )


class DenseBlock(nn.Sequential):
    """Layers that each add k maps to all before (figure 1): (N, in, H, W) -> (N, in + depth·k, H, W)."""

    def forward(self, maps: Tensor) -> Tensor:
        """[x0, x1, ...], the concatenation of equation 2."""
        for layer in self:
            maps = torch.cat([maps, layer(maps)], dim=1)
        return maps


def transition(in_channels: int, *, activation: Activation) -> nn.Sequential:
    """Half the channels at half the resolution (§3): (N, in, H, W) -> (N, in/2, H/2, W/2)."""
    return named(
        norm=nn.BatchNorm2d(in_channels),
        act=activate(activation),
        conv=nn.Conv2d(in_channels, in_channels // 2, kernel_size=1, bias=False),
        pool=nn.AvgPool2d(2),
    )


class DenseNet(Classifier):
    """A stem, four dense blocks with transitions between them, one average over all positions, and the last layer.

    Args:
        depths: layers in each dense block.
        small: whether the stem is that for small images.
        dropout: share of the maps' values dropped after each 3x3 convolution (§4.2 takes 0.2 without augmentation).
        growth_rate: k, the maps that each layer adds.
    """

    stage_starts = ("features.conv0", *(f"features.denseblock{number}" for number in (1, 2, 3, 4)), "classifier")

    def __init__(
        self,
        depths: tuple[int, int, int, int],
        small: bool = False,
        /,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        activation: Activation = "relu",
        dropout: float = 0.0,
        growth_rate: int = 32,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        if growth_rate < 1:
            raise UserError(f"growth_rate is {growth_rate}, but each layer adds that many maps: give 1 or more.")
        channels = 2 * growth_rate  # §4.2
        layers: dict[str, nn.Module] = {}
        if small:
            layers["conv0"] = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1, bias=False)
            layers["norm0"] = nn.BatchNorm2d(channels)
            layers["act0"] = activate(activation)
        else:
            layers["conv0"] = nn.Conv2d(in_channels, channels, kernel_size=7, stride=2, padding=3, bias=False)
            layers["norm0"] = nn.BatchNorm2d(channels)
            layers["pool0"] = named(**pool_and_activate(nn.MaxPool2d(3, stride=2, padding=1), activation))
        for number, depth in enumerate(depths, start=1):
            block = DenseBlock()
            for position in range(1, depth + 1):
                layer = dense_layer(channels, growth_rate, activation=activation, dropout=dropout)
                block.add_module(f"denselayer{position}", layer)
                channels += growth_rate
            layers[f"denseblock{number}"] = block
            if number < len(depths):
                layers[f"transition{number}"] = transition(channels, activation=activation)
                channels //= 2  # θ = 0.5
        layers["norm5"] = nn.BatchNorm2d(channels)
        layers["act5"] = activate(activation)
        layers["average"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        self.num_features = channels
        self.features = named(**layers)
        self.classifier = nn.Linear(channels, num_classes)
        kaiming(self)


# Table 1: layers in the four dense blocks.
densenet121 = partial(DenseNet, (6, 12, 24, 16))
densenet169 = partial(DenseNet, (6, 12, 32, 32))
densenet121_small = partial(DenseNet, (6, 12, 24, 16), True)
