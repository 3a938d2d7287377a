"""What several networks share: a sequence whose layers have names, and the exchange of the last layer.

Two habits hold in every network here and are explained once, in this place.

- **No bias before batch normalisation.** The norm subtracts the channel's mean, so a constant added just
  before it vanishes again; its own shift takes the bias's place (Ioffe & Szegedy, arXiv 1502.03167, §3.2).
- **Max pooling before the ReLU that the papers put first.** The ReLU never turns the larger of two values
  into the smaller, so max(relu(a), relu(b)) = relu(max(a, b)), bit for bit, and the gradients agree too.
  After a 2x2 pool a quarter of the values is left to visit, and what such a pass costs is memory traffic,
  not arithmetic.
"""

from collections import OrderedDict

from torch import nn

from convscope.errors import UserError
from convscope.models.initialisation import kaiming


def named(**layers: nn.Module) -> nn.Sequential:
    """A Sequential whose layers keep the names given, so that tables, figures and weights can cite them."""
    return nn.Sequential(OrderedDict(layers))


def new_head(head: nn.Linear, num_classes: int) -> nn.Linear:
    """A freshly drawn last layer for other classes, on the device and in the type of the one it replaces.

    Raises:
        UserError: `num_classes` is below one.
    """
    if num_classes < 1:
        raise UserError(f"num_classes is {num_classes}, but a network needs a class to choose: give 1 or more.")
    return kaiming(nn.Linear(head.in_features, num_classes)).to(head.weight)
