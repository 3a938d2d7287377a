"""Where all of a network but its head rests for good, what the head sees of an image never changes: once will do.

The network looks at each image a single time, and the head is trained on what it saw. That takes seconds instead of an
epoch's time for each epoch, and comes to the same weights but for rounding. It needs images that stay the same, too:
with augmentation training takes the ordinary way.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convscope.data import Augmentation, Batches
from convscope.data.batches import derive_seed
from convscope.data.sharing import ALL, Share
from convscope.downloads import Progress
from convscope.experiment.session import Session
from convscope.models.layers import Classifier
from convscope.training.evaluate import Loader
from convscope.training.loop import Interrupted

MOST_BYTES = 2**31
"""Of features that are kept; where there are more, as VGG makes of many images, they would crowd out all else."""


class HeadAlone(nn.Module):
    """The head of a network; its weights, as they are saved and read, are those of the whole network."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, num_features) -> logits (N, num_classes)."""
        logits: Tensor = self.network.head(features)
        return logits

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """The network's."""
        return self.network.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """The network's."""
        return self.network.load_state_dict(state_dict, strict, assign)


@dataclass(frozen=True)
class FeatureBatches:
    """What a network sees of a set of images, in batches as `data.Batches` has them."""

    features: Tensor
    """(N, num_features), in the precision in which the network computes."""
    labels: Tensor
    """int64 (N,)."""
    batch_size: int
    shuffle_seed: int | None
    share: Share = ALL
    """Of this process, as `data.Batches` has it."""

    @property
    def samples(self) -> int:
        """Images in an epoch."""
        return len(self.labels)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-self.samples // self.batch_size)

    def size(self, step: int) -> int:
        """Images of the batch at a step, from 0, in all processes together."""
        return min(self.batch_size, self.samples - step * self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch from step `start` on: (B, num_features) and int64 (B,)."""
        order = torch.arange(self.samples)
        if self.shuffle_seed is not None:
            generator = torch.Generator().manual_seed(derive_seed(self.shuffle_seed, epoch))
            order = torch.randperm(self.samples, generator=generator)
        else:
            order = order[self.share.of(self.samples)]
        order = order.to(self.labels.device)
        for chosen in torch.split(order, self.batch_size)[start:]:
            own = chosen if self.shuffle_seed is None else chosen[self.share.of(len(chosen))]
            yield self.features.index_select(0, own), self.labels[own]


def trains_head_alone(session: Session) -> bool:
    """Whether features can stand for the images of a training."""
    *body, head = session.model.stages().values()
    count = session.train.samples + session.val.samples
    return (
        len(session.freezing.stages) == len(body)
        and session.freezing.for_good
        and session.train.augmentation == Augmentation()
        # Auxiliary classifiers look at maps in the middle of the network.
        and set(head.parameters()) == set(session.model.head.parameters())
        and 4 * count * session.model.num_features <= MOST_BYTES
    )


def what_to_train(
    session: Session, *, interrupted: Callable[[], bool] = lambda: False, progress: Progress | None = None
) -> tuple[nn.Module, Loader, Loader]:
    """What `fit` trains and validates: the network on images, or where that is the same, its head on features.

    The network must have the weights it starts with, those of a checkpoint too.

    Raises:
        Interrupted: `interrupted` said so; it is asked after each batch.
    """
    if not trains_head_alone(session):
        return session.model, session.train, session.val
    pixels = sum(
        len(range(batches.samples)[batches.share.of(batches.samples)]) * math.prod(batches.image_set.shape)
        for batches in (session.train, session.val)
    )
    done = 0

    def tell(image_bytes: int) -> None:
        nonlocal done
        done += image_bytes
        if progress is not None:
            progress("computing features", done, pixels)
        if interrupted():
            raise Interrupted

    return HeadAlone(session.model), _features(session, session.train, tell), _features(session, session.val, tell)


@torch.no_grad()
def _features(session: Session, batches: Batches, tell: Callable[[int], None]) -> FeatureBatches:
    network = session.model.eval()
    in_order = copy.copy(batches)
    in_order.shuffle_seed = in_order.augmentation = None
    in_order.batch_size = session.val.batch_size  # not more at once than the memory is meant to take
    features = []
    for images, _ in in_order.epoch(0):
        with session.runtime.autocast():
            features.append(network.features(images))
        tell(len(images) * math.prod(batches.image_set.shape))
    # Each process has looked at its share of the images.
    everything = session.runtime.processes.gather(torch.cat(features))
    return FeatureBatches(everything, batches.labels, batches.batch_size, batches.shuffle_seed, batches.share)
