"""SimpleNet: two convolutions and one fully connected layer, small enough to compute by hand.

A teaching network without a paper of its own: the least that has every kind of layer of a convolutional
network. For CIFAR-10's 3x32x32 images it has 25,578 parameters, and four fifths of them lie in the last
layer:

| layer | output | parameters |
| --- | --- | --- |
| 3x3 convolution, ReLU, pool | 16x16x16 | 448 |
| 3x3 convolution, ReLU, pool | 32x8x8 | 4,640 |
| fully connected | 10 | 20,490 |

**Departures**:

1. Each ReLU comes after its pool: the same function (see `layers.py`), less memory traffic.
"""

from torch import Tensor, nn

from convscope.models.initialisation import kaiming
from convscope.models.layers import Activation, Classifier, named, pool_and_activate


def block(in_channels: int, out_channels: int, *, activation: Activation) -> nn.Sequential:
    """A convolution with its ReLU, and a pool: (N, in, H, W) -> (N, out, H/2, W/2)."""
    return named(
        conv=nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        **pool_and_activate(nn.MaxPool2d(2), activation),
    )


class SimpleNet(Classifier):
    """Two convolutions, each with a pool, and the last layer."""

    def __init__(
        self,
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        input_size: int = 32,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.num_features = 32 * (input_size // 4) ** 2
        self.block1 = block(in_channels, 16, activation=activation)
        self.block2 = block(16, 32, activation=activation)
        self.flatten = nn.Flatten()
        self.output = nn.Linear(self.num_features, num_classes)
        kaiming(self)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees: images (N, C, H, W) -> (N, num_features)."""
        x = self.block1(images)  # (N, 16, H/2, W/2)
        x = self.block2(x)  # (N, 32, H/4, W/4)
        features: Tensor = self.flatten(x)  # (N, 32·H/4·W/4)
        return features
