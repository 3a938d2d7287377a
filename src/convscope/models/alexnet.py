"""AlexNet: the network that made computer vision turn to deep learning.

Alex Krizhevsky, Ilya Sutskever, Geoffrey Hinton, ImageNet classification with deep convolutional neural
networks, NIPS 2012. Realised: the form for a single GPU of Krizhevsky, One weird trick for parallelizing
convolutional neural networks, 2014, arXiv 1404.5997 (the footnote on its accuracy), for which weights are published.

**Departures** from the paper of 2012, of which 1 to 3 are those of 2014:

1. One column instead of two that share some layers, so all maps of a layer see all maps before it.
2. Channels 64-192-384-256-256 instead of 96-256-384-384-256.
3. No local response normalisation (§3.3).
4. The maps are averaged to 6x6 before the fully connected layers, so that other sizes than 224 pixels fit.
5. The weights of convolutions start by Kaiming's rule instead of normal(0, 0.01), biases at zero instead of one (§5).
6. Where a pool follows, the ReLU comes after it: the same function (see `layers.py`).
"""

from torch import nn

from convscope.models.initialisation import kaiming
from convscope.models.layers import Activation, Classifier, activate, check_dropout, pool_and_activate, widen


class AlexNet(Classifier):
    """Five convolutions with overlapping pools (§3.4) and three fully connected layers, the classifier.

    Args:
        dropout: share of the inputs of the two hidden layers that is dropped (§4.2).
        width: factor on the channels and units of every layer but the last.
    """

    stage_starts = ("features.0", "features.3", "features.6", "classifier")

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        activation: Activation = "relu",
        dropout: float = 0.5,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        conv1, conv2, conv3, conv4, hidden = (widen(channels, width) for channels in (64, 192, 384, 256, 4096))
        self.num_features = conv4 * 6 * 6
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, conv1, kernel_size=11, stride=4, padding=2),  # (N, 64, 55, 55) for 224 pixels
            *pool_and_activate(nn.MaxPool2d(3, stride=2), activation).values(),  # (N, 64, 27, 27)
            nn.Conv2d(conv1, conv2, kernel_size=5, padding=2),
            *pool_and_activate(nn.MaxPool2d(3, stride=2), activation).values(),  # (N, 192, 13, 13)
            nn.Conv2d(conv2, conv3, kernel_size=3, padding=1),
            activate(activation),
            nn.Conv2d(conv3, conv4, kernel_size=3, padding=1),
            activate(activation),
            nn.Conv2d(conv4, conv4, kernel_size=3, padding=1),
            *pool_and_activate(nn.MaxPool2d(3, stride=2), activation).values(),  # (N, 256, 6, 6)
            nn.AdaptiveAvgPool2d(6),
            nn.Flatten(),  # (N, 9216)
        )
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(self.num_features, hidden),
            activate(activation),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            activate(activation),
            nn.Linear(hidden, num_classes),
        )
        kaiming(self)
