"""How many images of a set go through a network that is looked at, rather than trained."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from convscope.data import ImageSet, Preprocessing
from convscope.downloads import Progress


def spread(count: int, limit: int) -> Tensor:
    """At most `limit` of `count` images, evenly over all, for sets may come class by class: int64, ascending."""
    kept = min(count, max(1, limit))
    return torch.arange(kept) * count // kept


def batches_of(
    model: nn.Module,
    preprocessing: Preprocessing,
    image_set: ImageSet,
    indices: Tensor,
    *,
    batch_size: int,
    progress: Progress | None = None,
    what: str,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The images at `indices` as the network takes them, float32 (B, C, H, W) on its device, and their indices (B,).

    `progress` is told after each batch how many images are done, under the name `what`.
    """
    device = next(model.parameters()).device
    done = 0
    for chosen in torch.split(indices, batch_size):
        yield preprocessing(image_set.take(chosen).to(device)), chosen
        done += len(chosen)
        if progress is not None:
            progress(what, done, len(indices))
