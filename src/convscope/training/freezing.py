"""Which parts of a pretrained network learn, and from which epoch on.

The layers near the image find edges and textures, which serve every task; those near the head know the task they were
trained for (Yosinski et al., How transferable are features in deep neural networks?, arXiv 1411.1792). With few images
it pays to leave the general ones as they are, and to let them learn late, if ever, and slowly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from convscope.errors import UserError
from convscope.models.layers import Classifier

ALL_BUT_HEAD = "all-but-head"


@dataclass(frozen=True)
class Freezing:
    """Stages of a network that rest; the neutral form has none.

    A resting stage is as in evaluation: its weights get no gradient and no decay, its BatchNorms use the statistics
    they have and leave them alone, and it drops nothing out. Otherwise its answers would change though its weights
    do not.
    """

    stages: Mapping[str, nn.Module] = field(default_factory=dict)
    """Those that rest at first, by name, from the image on."""
    unfreeze_every: int | None = None
    """Epochs after which one more of them, the last, begins to learn (gradual unfreezing: Howard & Ruder, arXiv
    1801.06146, §3.3, where it is one epoch); None for never."""

    def resting(self, epoch: int) -> int:
        """How many of the stages rest in an epoch, counted from 1."""
        thawed = 0 if self.unfreeze_every is None else (epoch - 1) // self.unfreeze_every
        return max(0, len(self.stages) - thawed)

    def train(self, model: nn.Module, epoch: int) -> nn.Module:
        """Put `model` into training mode, but for the stages that rest, and return it."""
        model.train()
        for number, stage in enumerate(self.stages.values()):
            learns = number >= self.resting(epoch)
            stage.requires_grad_(learns).train(learns)
        return model

    @property
    def for_good(self) -> bool:
        """Whether some stages rest and none of them ever thaws."""
        return bool(self.stages) and self.unfreeze_every is None


def build_freezing(model: Classifier, freeze: int | str | None, *, unfreeze_every: int | None = None) -> Freezing:
    """The stages of `model` that `freeze` asks for: `all-but-head`, a number of them from the image on, or none.

    Raises:
        UserError: the network does not have so many stages before its head.
    """
    if freeze is None:
        return Freezing()
    *body, head = model.stages().items()
    count = len(body) if freeze == ALL_BUT_HEAD else int(freeze)
    if not body:
        raise UserError(
            f"freeze is {freeze}, but '{model.name}' has nothing before its head '{head[0]}': leave it out."
        )
    if not 1 <= count <= len(body):
        raise UserError(
            f"freeze is {freeze}, but '{model.name}' has {len(body)} stages before its head, which begin with "
            f"{', '.join(name for name, _ in body)}: give a number from 1 to {len(body)}, or {ALL_BUT_HEAD}."
        )
    return Freezing(dict(body[:count]), unfreeze_every)
