"""What a network answers on a split, without learning from it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convscope.data.batches import Batches
from convscope.training.runtime import Runtime


@torch.inference_mode()
def predict_logits(model: nn.Module, batches: Batches, runtime: Runtime) -> tuple[Tensor, Tensor]:
    """Logits float32 (N, classes) and labels (N,) of all images in order, on the runtime's device."""
    was_training = model.training
    model.eval()
    logits, labels = [], []
    for batch_images, batch_labels in batches.epoch(0):
        with runtime.autocast():
            batch_logits = model(batch_images)
        logits.append(batch_logits.float())
        labels.append(batch_labels)
    model.train(was_training)
    return torch.cat(logits), torch.cat(labels)


def evaluate(model: nn.Module, batches: Batches, runtime: Runtime) -> tuple[float, float]:
    """Cross-entropy and accuracy, both averaged over images, not over batches.  R-E5."""
    logits, labels = predict_logits(model, batches, runtime)
    loss = F.cross_entropy(logits, labels)
    accuracy = (logits.argmax(dim=1) == labels).float().mean()
    return loss.item(), accuracy.item()
