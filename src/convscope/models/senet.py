"""Squeeze-and-excitation: blocks that weigh their channels by what they see in the whole image.

Jie Hu, Li Shen, Samuel Albanie, Gang Sun, Enhua Wu, Squeeze-and-excitation networks, CVPR 2018, arXiv 1709.01507.
Realised: figure 3, right, in the blocks of `resnet.py`: SE-ResNet.

**Departures**: those of `resnet.py`; the paper's own networks keep the stride in the first convolution of a bottleneck.
"""

from functools import partial

from torch import Tensor, nn

from convscope.models.resnet import DEPTHS, BasicBlock, Bottleneck, ResNet


class SqueezeExcitation(nn.Module):
    """Each channel times a number between 0 and 1: (N, C, H, W) as before.

    Args:
        channels: C.
        reduction: r, by which the hidden layer is smaller than C (§6.1 finds 16 a good one).
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = nn.AdaptiveAvgPool2d(1)  # equation 2
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(channels, hidden)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Linear(hidden, channels)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """x·s, with s from the averages of all channels (equations 3 and 4)."""
        z = self.flatten(self.squeeze(x))  # (N, C)
        s: Tensor = self.sigmoid(self.fc2(self.relu(self.fc1(z))))  # (N, C)
        return x * s[:, :, None, None]


se_resnet18 = partial(ResNet, BasicBlock, DEPTHS[18], False, SqueezeExcitation)
se_resnet50 = partial(ResNet, Bottleneck, DEPTHS[50], False, SqueezeExcitation)
se_resnet18_small = partial(ResNet, BasicBlock, DEPTHS[18], True, SqueezeExcitation)
