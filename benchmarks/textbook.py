"""The training loop that everybody writes first: the measure of Convscope's speed.

It is what PyTorch's own tutorials teach: a `Dataset` that turns one image at a time into a Pillow image, a tensor, a
normalised tensor; a `DataLoader` that collects them into batches; float32, contiguous; Adam; and a loop that reads
`loss.item()` at each step. The transforms take the steps that torchvision's ToTensor and Normalize take, written out
because torchvision cannot be had for every build of PyTorch. Nothing is slow on purpose: the loader has no workers,
which on two cores gain nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, Dataset

from convscope.data import ImageSet, channel_statistics, load_splits
from convscope.models import build_model


class FashionDataset(Dataset[tuple[Tensor, int]]):
    """Grey images, one at a time, enlarged to `size` pixels where that is given."""

    def __init__(
        self, image_set: ImageSet, mean: Sequence[float], std: Sequence[float], *, size: int | None = None
    ) -> None:
        self.images = image_set.take(torch.arange(len(image_set)))[:, 0].numpy()  # (N, H, W)
        self.labels = image_set.labels
        self.mean, self.std = mean, std
        self.size = size

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index])
        if self.size is not None:
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return normalise(to_tensor(image), self.mean, self.std), int(self.labels[index])


def to_tensor(image: Image.Image) -> Tensor:
    """A Pillow image, grey or RGB, as float32 (C, H, W) in [0, 1]."""
    pixels = torch.from_numpy(np.array(image, np.uint8, copy=True))
    pixels = pixels.view(image.size[1], image.size[0], -1).permute(2, 0, 1).contiguous()
    return pixels.to(torch.float32).div(255)


def normalise(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Subtract the mean and divide by the deviation, channel by channel; the lists become tensors at each image."""
    means = torch.as_tensor(mean, dtype=image.dtype, device=image.device)
    deviations = torch.as_tensor(std, dtype=image.dtype, device=image.device)
    if (deviations == 0).any():
        raise ValueError("a standard deviation is 0")
    return image.clone().sub_(means.view(-1, 1, 1)).div_(deviations.view(-1, 1, 1))


def network() -> nn.Sequential:
    """`tinyvgg_bn` as one writes it down first: convolution, norm, ReLU, in the order of its drawing, pools last."""
    layers: list[nn.Module] = []
    channels = 1
    for width in (32, 64, 128):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    head = [nn.Flatten(), nn.Linear(128 * 3 * 3, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 10)]
    return nn.Sequential(*layers, *head)


def with_convscopes_weights(model: nn.Sequential, seed: int) -> nn.Sequential:
    """The same network with the first weights that Convscope gives it: its tensors come in the same order."""
    weights = build_model("tinyvgg_bn", seed=seed).state_dict().values()
    model.load_state_dict(dict(zip(model.state_dict(), weights, strict=True)))
    return model


@dataclass(frozen=True)
class Result:
    """What one epoch took and gave."""

    seconds: float
    """Training alone."""
    images: int
    val_accuracy: float


def run(data: str, *, seed: int, batch_size: int = 128, lr: float = 1e-3, same_module: bool = False) -> Result:
    """Train `tinyvgg_bn` for one epoch and validate it.

    The network, its first weights, the batch and the optimizer are those that Convscope trains with; the layers come in
    textbook order, or with `same_module` as Convscope's own module, so that nothing but the loop differs.
    """
    torch.manual_seed(seed)
    splits = load_splits(data)
    mean, std = channel_statistics(splits.train)
    train_loader = DataLoader(FashionDataset(splits.train, mean, std), batch_size=batch_size, shuffle=True)
    val_loader = DataLoader(FashionDataset(splits.val, mean, std), batch_size=batch_size)
    model = build_model("tinyvgg_bn", seed=seed) if same_module else with_convscopes_weights(network(), seed)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=lr)

    started = time.perf_counter()
    train_epoch(model, train_loader, criterion, optimizer)
    seconds = time.perf_counter() - started
    return Result(seconds, len(splits.train), validate(model, val_loader))


def train_epoch(
    model: nn.Module,
    loader: DataLoader[tuple[Tensor, int]],
    criterion: nn.Module,
    optimizer: optim.Optimizer,
) -> float:
    """One pass over the training images; the mean loss of the batches."""
    model.train()
    running_loss = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        logits = model(images)
        loss = criterion(logits, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    return running_loss / len(loader)


@torch.no_grad()
def validate(model: nn.Module, loader: DataLoader[tuple[Tensor, int]]) -> float:
    """Share of images whose class is right."""
    model.eval()
    correct = total = 0
    for images, labels in loader:
        correct += int((model(images).argmax(dim=1) == labels).sum())
        total += len(labels)
    return correct / total
