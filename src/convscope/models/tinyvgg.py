"""TinyVGG: VGG's rules at the size of FashionMNIST, in three readings.

Karen Simonyan, Andrew Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR
2015, arXiv 1409.1556. The rules kept (§2.1): nothing but 3x3 convolutions, padded so that they keep the
resolution; a 2x2 max pool after each block; twice the channels after each pool; fully connected layers at
the end.

- `tinyvgg` has two blocks (32 and 64 channels) and one hidden layer.
- `tinyvgg_explainer` is the network that CNN Explainer shows (Wang et al., IEEE VIS 2020, arXiv
  2004.15004): ten channels throughout, no padding, no hidden layer.
- `tinyvgg_bn` has three blocks (32, 64, 128) with batch normalisation (Ioffe & Szegedy, ICML 2015,
  arXiv 1502.03167) and dropout (Srivastava et al., JMLR 15, 2014) before the last layer.

**Departures** from VGG:

1. Two or three blocks instead of five: five poolings would leave 28 pixels nothing.
2. One hidden layer of 128 instead of two of 4096, for ten classes instead of a thousand.
3. VGG's dropout of 0.5 is off in `tinyvgg` unless asked for, and 0.25 in `tinyvgg_bn`.
4. The last ReLU of each block comes after the pool: the same function (see `layers.py`), less memory traffic.
5. `tinyvgg_bn`: batch norm after each convolution, which then has no bias. VGG came a few months too early.
"""

from torch import Tensor, nn

from convscope.errors import UserError
from convscope.models.initialisation import kaiming
from convscope.models.layers import Activation, Classifier, activate, check_dropout, named, pool_and_activate, widen


def plain_block(
    in_channels: int, out_channels: int, *, activation: Activation, convs: int = 2, padding: int = 1
) -> nn.Sequential:
    """Convolutions, each with its ReLU, then a pool: (N, in, H, W) -> (N, out, H/2, W/2) when padded."""
    layers: dict[str, nn.Module] = {}
    for number in range(1, convs + 1):
        layers[f"conv{number}"] = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=padding)
        if number < convs:
            layers[f"act{number}"] = activate(activation)
        in_channels = out_channels
    return named(**layers, **pool_and_activate(nn.MaxPool2d(2), activation))


def norm_block(in_channels: int, out_channels: int, *, activation: Activation) -> nn.Sequential:
    """Two convolutions, each with batch norm and ReLU, then a pool: (N, in, H, W) -> (N, out, H/2, W/2)."""
    return named(
        conv1=nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        norm1=nn.BatchNorm2d(out_channels),
        act1=activate(activation),
        conv2=nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
        norm2=nn.BatchNorm2d(out_channels),
        **pool_and_activate(nn.MaxPool2d(2), activation),
    )


def hidden_layer(in_features: int, hidden: int, *, activation: Activation, dropout: float) -> nn.Sequential:
    """All values of all channels to `hidden` numbers: (N, C, H, W) -> (N, hidden)."""
    if hidden < 1:
        raise UserError(f"hidden is {hidden}, but the hidden layer needs at least one unit: give 1 or more.")
    check_dropout(dropout)
    return named(
        flatten=nn.Flatten(),
        linear=nn.Linear(in_features, hidden),
        act=activate(activation),
        dropout=nn.Dropout(dropout),
    )


class TinyVGG(Classifier):
    """Two blocks of 3x3 convolutions, a hidden layer and the last layer."""

    def __init__(
        self,
        *,
        num_classes: int = 10,
        in_channels: int = 1,
        input_size: int = 28,
        activation: Activation = "relu",
        block2_convs: int = 2,
        hidden: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if block2_convs not in (1, 2):
            raise UserError(f"block2_convs is {block2_convs}, but the second block has 1 or 2 convolutions: give one.")
        self.num_features = hidden
        self.block1 = plain_block(in_channels, 32, activation=activation)
        self.block2 = plain_block(32, 64, activation=activation, convs=block2_convs)
        self.hidden = hidden_layer(64 * (input_size // 4) ** 2, hidden, activation=activation, dropout=dropout)
        self.output = nn.Linear(hidden, num_classes)
        kaiming(self)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees: images (N, C, H, W) -> (N, hidden)."""
        x = self.block1(images)  # (N, 32, H/2, W/2)
        x = self.block2(x)  # (N, 64, H/4, W/4)
        features: Tensor = self.hidden(x)  # (N, hidden)
        return features


class TinyVGGExplainer(Classifier):
    """CNN Explainer's network: two blocks of ten channels without padding, and the last layer."""

    def __init__(
        self,
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        input_size: int = 64,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        size = ((input_size - 4) // 2 - 4) // 2  # each of the four convolutions takes two pixels away
        self.num_features = 10 * size * size
        self.block1 = plain_block(in_channels, 10, activation=activation, padding=0)
        self.block2 = plain_block(10, 10, activation=activation, padding=0)
        self.flatten = nn.Flatten()
        self.output = nn.Linear(self.num_features, num_classes)
        kaiming(self)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees: images (N, C, H, W) -> (N, num_features)."""
        x = self.block1(images)  # (N, 10, H/2 - 2, W/2 - 2)
        x = self.block2(x)  # (N, 10, H/4 - 3, W/4 - 3)
        features: Tensor = self.flatten(x)  # (N, num_features)
        return features


class TinyVGGBatchNorm(Classifier):
    """Three blocks of 3x3 convolutions with batch normalisation, a hidden layer, the last layer.

    Args:
        hidden: units of the hidden layer.
        dropout: share of these units that is dropped.
        width: factor on the channels of the convolutions.
    """

    def __init__(
        self,
        *,
        num_classes: int = 10,
        in_channels: int = 1,
        input_size: int = 28,
        activation: Activation = "relu",
        hidden: int = 128,
        dropout: float = 0.25,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_features = hidden
        first, second, third = (widen(channels, width) for channels in (32, 64, 128))
        self.block1 = norm_block(in_channels, first, activation=activation)
        self.block2 = norm_block(first, second, activation=activation)
        self.block3 = norm_block(second, third, activation=activation)
        self.hidden = hidden_layer(third * (input_size // 8) ** 2, hidden, activation=activation, dropout=dropout)
        self.output = nn.Linear(hidden, num_classes)
        kaiming(self)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees: images (N, C, H, W) -> (N, hidden)."""
        x = self.block1(images)  # (N, 32, H/2, W/2)
        x = self.block2(x)  # (N, 64, H/4, W/4)
        x = self.block3(x)  # (N, 128, H/8, W/8)
        features: Tensor = self.hidden(x)  # (N, hidden)
        return features
