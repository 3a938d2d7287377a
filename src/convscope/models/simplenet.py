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
from convscope.models.layers import named, new_head


class SimpleNet(nn.Module):
    """Two convolutions, each with a pool, and the last layer."""

    def __init__(self, num_classes: int, in_channels: int, input_size: int) -> None:
        super().__init__()
        self.num_features = 32 * (input_size // 4) ** 2
        self.body = named(
            conv1=nn.Conv2d(in_channels, 16, kernel_size=3, padding=1),
            pool1=nn.MaxPool2d(2),
            # In place is safe: a pool computes its gradient from where the maxima were, not from its output.
            relu1=nn.ReLU(inplace=True),  # (N, 16, H/2, W/2)
            conv2=nn.Conv2d(16, 32, kernel_size=3, padding=1),
            pool2=nn.MaxPool2d(2),
            relu2=nn.ReLU(inplace=True),  # (N, 32, H/4, W/4)
            flatten=nn.Flatten(),  # (N, 32·H/4·W/4)
        )
        self.head = nn.Linear(self.num_features, num_classes)
        kaiming(self)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees: images (N, C, H, W) -> (N, num_features)."""
        features: Tensor = self.body(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, num_classes)."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def reset_head(self, num_classes: int) -> None:
        """Replace the last layer by a fresh one for other classes."""
        self.head = new_head(self.head, num_classes)


def simplenet(*, num_classes: int = 10, in_channels: int = 3, input_size: int = 32) -> SimpleNet:
    """SimpleNet; 25,578 parameters on CIFAR-10."""
    return SimpleNet(num_classes, in_channels, input_size)
