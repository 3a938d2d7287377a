"""The linear baseline: multinomial logistic regression on the pixels.

D. R. Cox, The regression analysis of binary sequences, Journal of the Royal Statistical Society B 20, 1958.
With more than two classes it is one linear function per class, and the softmax that the cross-entropy
applies.

Each class has one weight for each pixel, a template as large as the image; its logit says how well the
image fits. Nothing here knows which pixels are neighbours: shuffle them, all images in the same way, and it
learns as well as before. What a convolutional network gains over it is what locality and shared weights are
worth.

**Departures**: none.
"""

from torch import Tensor, nn

from convscope.models.initialisation import kaiming
from convscope.models.layers import Classifier


class LinearClassifier(Classifier):
    """One fully connected layer from all pixels to the classes."""

    def __init__(self, *, num_classes: int = 10, in_channels: int = 1, input_size: int = 28) -> None:
        super().__init__()
        self.num_features = in_channels * input_size * input_size
        self.flatten = nn.Flatten()
        self.output = nn.Linear(self.num_features, num_classes)
        kaiming(self)

    def features(self, images: Tensor) -> Tensor:
        """The pixels themselves, in one row per image: (N, C, H, W) -> (N, C·H·W)."""
        pixels: Tensor = self.flatten(images)
        return pixels
