"""The training loop that everybody writes first: the measure of Convscope's speed.

It is what PyTorch's own tutorials teach: a `Dataset` that turns one image at a time into a Pillow image, a tensor, a
normalised tensor; a `DataLoader` that collects them into batches; float32, contiguous; Adam; and a loop that reads
`loss.item()` at each step. The transforms are torchvision's, written out. Nothing in it is slow on purpose: the mean
and deviation are tensors made once, and the loader has no workers, which on two cores gain nothing.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn, optim
from torch.utils.data import DataLoader, Dataset

from convscope.data import ImageSet, channel_statistics, load_splits
from convscope.models import build_model


class FashionDataset(Dataset[tuple[Tensor, int]]):
    """Grey images, one at a time."""

    def __init__(self, image_set: ImageSet, mean: float, std: float) -> None:
        self.images = image_set.images[:, 0].numpy()  # (N, H, W)
        self.labels = image_set.labels
        self.mean = torch.tensor([mean]).view(1, 1, 1)
        self.std = torch.tensor([std]).view(1, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index])
        return (to_tensor(image) - self.mean) / self.std, int(self.labels[index])


def to_tensor(image: Image.Image) -> Tensor:
    """A grey Pillow image as float32 (1, H, W) in [0, 1]."""
    pixels = torch.from_numpy(np.array(image))
    return pixels.view(1, image.height, image.width).contiguous().to(torch.float32).div(255)


@dataclass(frozen=True)
class Result:
    """What one epoch took and gave."""

    seconds: float
    """Training alone."""
    images: int
    val_accuracy: float


def run(data: str, *, seed: int, batch_size: int = 128, lr: float = 1e-3) -> Result:
    """Train `tinyvgg_bn` for one epoch and validate it.

    The network and its first weights are those that Convscope trains, so that nothing but the loop differs.
    """
    torch.manual_seed(seed)
    splits = load_splits(data)
    (mean,), (std,) = channel_statistics(splits.train.images)
    train_loader = DataLoader(FashionDataset(splits.train, mean, std), batch_size=batch_size, shuffle=True)
    val_loader = DataLoader(FashionDataset(splits.val, mean, std), batch_size=batch_size)
    model = build_model("tinyvgg_bn", seed=seed)
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
