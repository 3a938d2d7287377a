"""What a network answers on a split, without learning from it."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convscope.training.runtime import Runtime


class Loader(Protocol):
    """A set of images in batches, as `data.Batches` has them."""

    @property
    def samples(self) -> int:
        """Images in an epoch."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def size(self, step: int) -> int:
        """Images of the batch at a step, from 0, in all processes together."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """What the network takes of each batch (B, ...), and the labels, from step `start` of the epoch on.

        Where several processes train, it is this one's part of each batch; of a set to evaluate, its part of the set.
        """


@torch.inference_mode()
def predict_logits(model: nn.Module, batches: Loader, runtime: Runtime) -> tuple[Tensor, Tensor]:
    """Logits float32 (N, classes) and labels (N,) of all images in order, on the runtime's device."""
    was_training = model.training
    model.eval()
    logits, labels = [], []
    for batch_images, batch_labels in batches.epoch(0):
        with runtime.autocast():
            batch_logits = model(batch_images)
        logits.append(batch_logits.to(torch.float32, copy=True))  # a CUDA graph overwrites what it answered
        labels.append(batch_labels)
    model.train(was_training)
    return runtime.processes.gather(torch.cat(logits)), runtime.processes.gather(torch.cat(labels))


def evaluate(model: nn.Module, batches: Loader, runtime: Runtime) -> tuple[float, float]:
    """Cross-entropy and accuracy, both averaged over images, not over batches.  R-E5."""
    logits, labels = predict_logits(model, batches, runtime)
    loss = F.cross_entropy(logits, labels)
    accuracy = (logits.argmax(dim=1) == labels).float().mean()
    # To the bit the same in all processes, for all of them decide by it when to stop: a sum is rounded in another way
    # by another machine, or by another number of threads.
    processes = runtime.processes
    loss, accuracy = (processes.add(torch.stack((loss, accuracy))) / processes.count).unbind()
    return loss.item(), accuracy.item()
