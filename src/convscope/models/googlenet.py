"""GoogLeNet: Inception modules, where kernels of several sizes look at once.

Christian Szegedy and others, Going deeper with convolutions, CVPR 2015, arXiv 1409.4842. Realised: table 1
and figure 3. A 1x1 convolution has three roles here: it reduces the channels before the expensive kernels
(§4), brings one more ReLU, and makes of a pool a branch of few channels.

Two variants: `googlenet` is the paper's; `googlenet_bn` is the one that torchvision publishes weights for.

**Departures** of both:

1. The auxiliary classifiers average to 4x4 whatever the size of their input; the paper's 5x5 pool with
   stride 3 does so at 224 pixels alone.
2. The weights start by Kaiming's rule, of which the paper could not know. Its form for activations, unlike in the
   other networks: a 1x1 convolution that leaves 16 of 192 channels would otherwise make its values larger twelve
   times, module after module; on noise of 64 pixels the first loss is 27 then instead of 2.6.
3. In the stem, the ReLU comes after the pool: the same function (see `layers.py`).

**Departures** of `googlenet_bn` from the paper:

4. A batch norm (Ioffe & Szegedy, arXiv 1502.03167) with ε 0.001 after each convolution, which has no bias
   then; no local response normalisation.
5. 3x3 kernels in the branch of the 5x5.
6. The last pool is 2x2, the others as in the paper.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from convscope.errors import UserError
from convscope.models.initialisation import kaiming
from convscope.models.layers import (
    Activation,
    Classifier,
    WithAuxiliary,
    activate,
    check_dropout,
    named,
    new_last,
    pool_and_activate,
)


@dataclass(frozen=True)
class Variant:
    """What the two variants differ in."""

    norm: bool
    """Batch norm in each convolution; without, local response normalisation in the stem."""
    widest: int
    """Kernel of an Inception module's third branch."""
    last_pool: int
    """Kernel of the pool before module 5a."""


PAPER = Variant(norm=False, widest=5, last_pool=3)
TORCHVISION = Variant(norm=True, widest=3, last_pool=2)


def convolution(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int,
    stride: int = 1,
    norm: bool,
    activation: Activation | None,
) -> nn.Sequential:
    """A convolution that keeps the resolution but for its stride, with its norm and its activation, if any."""
    padding = kernel_size // 2
    layers: dict[str, nn.Module] = {
        "conv": nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=not norm)
    }
    if norm:
        layers["bn"] = nn.BatchNorm2d(out_channels, eps=0.001)
    if activation is not None:
        layers["act"] = activate(activation)
    return named(**layers)


class LocalResponseNorm(nn.LocalResponseNorm):
    """PyTorch's layer, faster, because its sum over channels is a 1x1 convolution here.

    Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional neural networks, 2012, §3.3.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Divide each value by a power of the sum of squares in the channels around it: (N, C, H, W) as before."""
        channel = torch.arange(x.shape[1], device=x.device)
        near = (channel[:, None] - channel).abs() <= self.size // 2  # (C, C): a band of `size` ones
        squares = nn.functional.conv2d(x * x, near.to(x.dtype)[:, :, None, None])
        return x * (self.k + self.alpha / self.size * squares) ** -self.beta


class Inception(nn.Module):
    """Four branches on the same maps, concatenated (figure 2b): (N, in, H, W) -> (N, sum of the branches, H, W).

    The channels are named as in table 1, `projection` after the pool.
    """

    def __init__(
        self,
        in_channels: int,
        conv1: int,
        conv3_reduce: int,
        conv3: int,
        conv5_reduce: int,
        conv5: int,
        projection: int,
        *,
        variant: Variant,
        activation: Activation,
    ) -> None:
        super().__init__()
        convolve = partial(convolution, norm=variant.norm, activation=activation)
        self.branch1 = convolve(in_channels, conv1, kernel_size=1)
        self.branch2 = nn.Sequential(
            convolve(in_channels, conv3_reduce, kernel_size=1),
            convolve(conv3_reduce, conv3, kernel_size=3),
        )
        self.branch3 = nn.Sequential(
            convolve(in_channels, conv5_reduce, kernel_size=1),
            convolve(conv5_reduce, conv5, kernel_size=variant.widest),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            convolve(in_channels, projection, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """All branches keep height and width, so their maps can be stacked."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class Auxiliary(nn.Module):
    """A classifier in the middle of the network (§5), which brings gradients there in training."""

    def __init__(self, in_channels: int, num_classes: int, *, variant: Variant, activation: Activation) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4)  # (N, in, 4, 4)
        self.conv = convolution(in_channels, 128, kernel_size=1, norm=variant.norm, activation=activation)
        self.flatten = nn.Flatten()  # (N, 2048)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.act = activate(activation)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in, H, W) -> logits (N, num_classes)."""
        x = self.flatten(self.conv(self.pool(x)))
        logits: Tensor = self.fc2(self.dropout(self.act(self.fc1(x))))
        return logits


class FromImageNet(nn.Module):
    """Images normalised by ImageNet's mean and deviation -> normalised by 0.5 and 0.5: (N, 3, H, W) as before."""

    def forward(self, images: Tensor) -> Tensor:
        """(x·std + mean - 0.5) / 0.5 in each channel."""
        mean, std = (
            torch.tensor(values, dtype=images.dtype, device=images.device).view(3, 1, 1)
            for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        return (images * std + mean - 0.5) / 0.5


class GoogLeNet(Classifier):
    """A stem, nine Inception modules, one average over all positions, and the last layer.

    Args:
        variant: what the paper's network and torchvision's differ in.
        dropout: share of the features that is dropped before the last layer (table 1).
        auxiliary: whether the two auxiliary classifiers are there; in training the answer is then a
            `WithAuxiliary`, and the loss counts each of them by 0.3 (§5).
        transform_input: whether images normalised by ImageNet's mean and deviation are brought to 0.5 and 0.5,
            which torchvision's weights expect; for three channels.
    """

    def __init__(
        self,
        variant: Variant,
        /,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        activation: Activation = "relu",
        dropout: float = 0.4,
        auxiliary: bool = False,
        transform_input: bool = False,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        # Auxiliary classifiers learn with the head: they see the same classes.
        last = "aux1" if auxiliary else "fc"
        self.stage_starts = ("conv1", "conv2", "inception3a", "inception4a", "inception5a", last)
        if transform_input and in_channels != 3:
            raise UserError(
                f"transform_input is for red, green and blue, not for {in_channels} channels: leave it out."
            )
        convolve = partial(convolution, norm=variant.norm)
        inception = partial(Inception, variant=variant, activation=activation)
        lrn = nn.Identity if variant.norm else partial(LocalResponseNorm, 5)
        self.transform = FromImageNet() if transform_input else nn.Identity()
        self.conv1 = convolve(in_channels, 64, kernel_size=7, stride=2, activation=None)
        self.maxpool1 = named(**pool_and_activate(nn.MaxPool2d(3, stride=2, ceil_mode=True), activation))
        self.norm1 = lrn()
        self.conv2 = convolve(64, 64, kernel_size=1, activation=activation)
        self.conv3 = convolve(64, 192, kernel_size=3, activation=activation)
        self.norm2 = lrn()
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        # Table 1:                            in  #1x1  ─── #3x3 ───  ── #5x5 ──  pool proj
        self.inception3a = inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(variant.last_pool, stride=2, ceil_mode=True)
        self.inception5a = inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = inception(832, 384, 192, 384, 48, 128, 128)
        self.auxiliary = auxiliary
        if auxiliary:
            self.aux1 = Auxiliary(512, num_classes, variant=variant, activation=activation)
            self.aux2 = Auxiliary(528, num_classes, variant=variant, activation=activation)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.num_features = 1024
        self.fc = nn.Linear(self.num_features, num_classes)
        kaiming(self, "fan_in")

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees: images (N, C, H, W) -> (N, 1024)."""
        return self._look(images)[0]

    def forward(self, images: Tensor) -> Any:
        """Images (N, C, H, W) -> logits (N, num_classes); in training a `WithAuxiliary` if there are auxiliaries."""
        if not (self.training and self.auxiliary):
            return super().forward(images)
        features, after_4a, after_4d = self._look(images)
        return WithAuxiliary(self.fc(features), (self.aux1(after_4a), self.aux2(after_4d)))

    def _look(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The features, and the maps that the auxiliary classifiers look at."""
        x = self.conv1(self.transform(images))  # (N, 64, H/2, W/2)
        x = self.norm1(self.maxpool1(x))  # (N, 64, H/4, W/4)
        x = self.conv3(self.conv2(x))  # (N, 192, H/4, W/4)
        x = self.maxpool2(self.norm2(x))  # (N, 192, H/8, W/8)
        x = self.inception3a(x)  # (N, 256, H/8, W/8)
        x = self.inception3b(x)  # (N, 480, H/8, W/8)
        x = self.maxpool3(x)  # (N, 480, H/16, W/16)
        x = after_4a = self.inception4a(x)  # (N, 512, H/16, W/16)
        x = self.inception4b(x)
        x = self.inception4c(x)
        x = after_4d = self.inception4d(x)  # (N, 528, H/16, W/16)
        x = self.inception4e(x)  # (N, 832, H/16, W/16)
        x = self.maxpool4(x)  # (N, 832, H/32, W/32)
        x = self.inception5a(x)
        x = self.inception5b(x)  # (N, 1024, H/32, W/32)
        features = self.dropout(self.flatten(self.average(x)))  # (N, 1024)
        return features, after_4a, after_4d

    def reset_head(self, num_classes: int) -> None:
        """Replace the last layer, and that of each auxiliary classifier, by fresh ones for other classes."""
        super().reset_head(num_classes)
        for classifier in (self.aux1, self.aux2) if self.auxiliary else ():
            classifier.fc2 = new_last(classifier.fc2, num_classes)


googlenet = partial(GoogLeNet, PAPER)
googlenet_bn = partial(GoogLeNet, TORCHVISION)
