"""VGG: depth by small kernels.

Karen Simonyan, Andrew Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR
2015, arXiv 1409.1556. Realised: columns A, B, D and E of table 1, known as VGG11, 13, 16 and 19 for their
layers with weights. Two stacked 3x3 convolutions see 5x5 pixels with 18·C² weights instead of 25·C², three
see 7x7 with 27·C² instead of 49·C², and each brings a ReLU of its own (§2.3).

**Departures**:

1. The maps are averaged to 7x7 before the fully connected layers, so that other sizes than 224 pixels fit;
   for 224 they are 7x7 already.
2. The weights start by Kaiming's rule; the paper trained A first and began the deeper ones with its layers
   (§3.1). Without either, deep plain networks do not learn.
3. The `_bn` variants (Ioffe & Szegedy, arXiv 1502.03167) have a norm after each convolution. Its bias, which
   the norm makes useless, is there because the published weights have it.
4. The last ReLU of each block comes after the pool: the same function (see `layers.py`).
"""

from functools import partial

from torch import nn

from convscope.models.initialisation import kaiming
from convscope.models.layers import Activation, Classifier, activate, check_dropout, pool_and_activate, widen

# Table 1: 3x3 convolutions in each of the five blocks.
CONFIGURATIONS = {
    "A": (1, 1, 2, 2, 2),
    "B": (2, 2, 2, 2, 2),
    "D": (2, 2, 3, 3, 3),
    "E": (2, 2, 4, 4, 4),
}
CHANNELS = (64, 128, 256, 512, 512)
"""Of the five blocks: twice as many after each pool, until 512 (§2.1)."""


def block(in_channels: int, out_channels: int, *, convs: int, norm: bool, activation: Activation) -> list[nn.Module]:
    """Convolutions of 3x3 and a pool: (N, in, H, W) -> (N, out, H/2, W/2)."""
    layers: list[nn.Module] = []
    for number in range(1, convs + 1):
        layers.append(nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1))
        if norm:
            layers.append(nn.BatchNorm2d(out_channels))
        if number < convs:
            layers.append(activate(activation))
        else:
            layers += pool_and_activate(nn.MaxPool2d(2), activation).values()
        in_channels = out_channels
    return layers


class VGG(Classifier):
    """Five blocks of convolutions and three fully connected layers, the classifier.

    Args:
        configuration: column of table 1: "A", "B", "D" or "E".
        norm: whether a batch norm follows each convolution.
        dropout: share of the units of the two hidden layers that is dropped (§3.1).
        width: factor on the channels and units of every layer but the last.
    """

    def __init__(
        self,
        configuration: str,
        norm: bool,
        /,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        activation: Activation = "relu",
        dropout: float = 0.5,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        layers: list[nn.Module] = []
        starts: list[str] = []
        for channels, convs in zip(CHANNELS, CONFIGURATIONS[configuration], strict=True):
            starts.append(f"features.{len(layers)}")
            out_channels = widen(channels, width)
            layers += block(in_channels, out_channels, convs=convs, norm=norm, activation=activation)
            in_channels = out_channels  # (N, 64, H/2, W/2), then 128, H/4; 256, H/8; 512, H/16; 512, H/32
        self.stage_starts = (*starts, "classifier")
        self.num_features = in_channels * 7 * 7
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten())  # (N, 25088)
        hidden = widen(4096, width)
        self.classifier = nn.Sequential(
            nn.Linear(self.num_features, hidden),
            activate(activation),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            activate(activation),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )
        kaiming(self)


vgg11, vgg11_bn = partial(VGG, "A", False), partial(VGG, "A", True)
vgg13, vgg13_bn = partial(VGG, "B", False), partial(VGG, "B", True)
vgg16, vgg16_bn = partial(VGG, "D", False), partial(VGG, "D", True)
vgg19, vgg19_bn = partial(VGG, "E", False), partial(VGG, "E", True)
