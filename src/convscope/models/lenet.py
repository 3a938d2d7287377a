"""LeNet-5: the network that read cheques.

Yann LeCun, Léon Bottou, Yoshua Bengio, Patrick Haffner, Gradient-based learning applied to document
recognition, Proceedings of the IEEE 86(11), 1998; figure 2 and §II-B. Layers bear the paper's names: C
convolution, S sub-sampling, F fully connected.

**Departures**:

1. The paper's field is 32x32, with room around the digit. Inside C1, smaller images get two rows or columns of zeros
   on every side, which makes the usual 28 pixels 32; images of 32 pixels and more are taken as they are.
2. C3 sees all six maps of S2 rather than the choice of table 1, which saved time and broke symmetry in 1998.
3. S2 and S4 average; the paper then scales, shifts and squashes the average with two trained numbers a map.
4. The squashing is tanh(a) instead of 1.7159·tanh(2a/3): the same networks, since layers can absorb both
   factors.
5. C5 is written as the fully connected layer that it is when S4's maps are 5x5.
6. The output is a linear layer for cross-entropy instead of distances to drawn 7x12 pictures of the
   characters (RBF).
7. Initialisation follows Glorot & Bengio, twelve years later, rather than appendix A's uniform ±2.4/fan_in.

Points 2, 3 and 6 give the 61,706 parameters that today's descriptions of LeNet-5 have.
"""

from torch import Tensor, nn

from convscope.models.initialisation import glorot
from convscope.models.layers import Classifier, named


class LeNet5(Classifier):
    """Two convolutions, each with sub-sampling, and three fully connected layers, the last of them the head."""

    stage_starts = ("body.c1", "body.c3", "body.c5", "output")

    def __init__(self, *, num_classes: int = 10, in_channels: int = 1, input_size: int = 28) -> None:
        super().__init__()
        padding = 2 if input_size < 32 else 0
        size = ((input_size + 2 * padding - 4) // 2 - 4) // 2  # 5 for the paper's field of 32
        self.num_features = 84
        self.body = named(
            c1=nn.Conv2d(in_channels, 6, kernel_size=5, padding=padding),
            tanh1=nn.Tanh(),  # (N, 6, 28, 28) for the paper's field
            s2=nn.AvgPool2d(2),  # (N, 6, 14, 14)
            c3=nn.Conv2d(6, 16, kernel_size=5),
            tanh3=nn.Tanh(),  # (N, 16, 10, 10)
            s4=nn.AvgPool2d(2),  # (N, 16, 5, 5)
            flatten=nn.Flatten(),  # (N, 400)
            c5=nn.Linear(16 * size * size, 120),
            tanh5=nn.Tanh(),
            f6=nn.Linear(120, self.num_features),
            tanh6=nn.Tanh(),
        )
        self.output = nn.Linear(self.num_features, num_classes)
        glorot(self)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees, the outputs of F6: images (N, C, H, W) -> (N, 84)."""
        features: Tensor = self.body(images)
        return features
