"""What several networks share: their two parts, sequences whose layers have names, activations.

Two habits hold in every network here and are explained once, in this place.

- **No bias before batch normalisation.** The norm subtracts the channel's mean, so a constant added just
  before it vanishes again; its own shift takes the bias's place (Ioffe & Szegedy, arXiv 1502.03167, §3.2).
  Where published weights have that bias nevertheless, the file says so.
- **Max pooling before the ReLU that the papers put first.** The ReLU never turns the larger of two values
  into the smaller, so max(relu(a), relu(b)) = relu(max(a, b)), bit for bit, and the gradients agree too.
  After a 2x2 pool a quarter of the values is left to visit, and what such a pass costs is memory traffic,
  not arithmetic.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor, nn

from convscope.errors import UserError, unknown
from convscope.models.initialisation import kaiming

Activation = Literal["relu", "leaky_relu", "silu", "gelu"]
"""What may stand where a paper has its ReLU."""


class Classifier(nn.Module):
    """A network in two parts: `features` describe an image by numbers, the `head` tells from them its class."""

    name = ""
    """Its name in the catalogue; `build_model` writes it here."""
    num_features: int
    """How many numbers describe an image."""
    features: Callable[[Tensor], Tensor]
    """Images (N, C, H, W) -> (N, num_features)."""
    stage_starts: tuple[str, ...] = ()
    """Names of the modules with which stages begin; each child that has weights when empty."""

    @property
    def head(self) -> nn.Module:
        """The network's last child, whatever published weights call it: (N, num_features) -> (N, num_classes)."""
        return list(self.children())[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, num_classes)."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def reset_head(self, num_classes: int) -> None:
        """Replace the last layer by a fresh one for other classes, on the same device and in the same type.

        Raises:
            UserError: `num_classes` is below one.
        """
        name, last = [(name, layer) for name, layer in self.named_modules() if isinstance(layer, nn.Linear)][-1]
        self.set_submodule(name, new_last(last, num_classes))

    def stages(self) -> dict[str, nn.ModuleList]:
        """All layers, in groups from the image to the head, each under the name of the module that it begins with.

        A stage is what papers draw as one block, mostly the layers between two changes of resolution. Transfer
        learning treats the layers of a stage alike.
        """
        starts = self.stage_starts or [name for name, child in self.named_children() if [*child.parameters()]]
        stages = {name: nn.ModuleList() for name in starts}
        current = next(iter(stages.values()))
        for name, module in self.named_modules():
            current = stages.get(name, current)
            if not [*module.children()]:
                current.append(module)
        return stages


class WithAuxiliary(NamedTuple):
    """What a network with auxiliary classifiers answers in training: each of them gives logits (N, num_classes)."""

    logits: Tensor
    auxiliary: tuple[Tensor, ...]


def new_last(last: nn.Linear, num_classes: int) -> nn.Linear:
    """A freshly drawn last layer for other classes, on the device and in the type of the one it replaces.

    Raises:
        UserError: `num_classes` is below one.
    """
    if num_classes < 1:
        raise UserError(f"num_classes is {num_classes}, but a network needs a class to choose: give 1 or more.")
    return kaiming(nn.Linear(last.in_features, num_classes)).to(last.weight)


def named(**layers: nn.Module) -> nn.Sequential:
    """A Sequential whose layers keep the names given, so that tables, figures and weights can cite them."""
    return nn.Sequential(OrderedDict(layers))


def activate(activation: Activation) -> nn.Module:
    """The layer for the name of an activation.

    ReLU (Nair & Hinton, ICML 2010) and leaky ReLU with slope 0.01 (Maas, Hannun, Ng, 2013) work in place: layers
    before them need not see their output again for the backward pass. SiLU, also called Swish, x·sigmoid(x)
    (Ramachandran, Zoph, Le, arXiv 1710.05941), and GELU, x·Φ(x) (Hendrycks & Gimpel, arXiv 1606.08415), need
    their input.
    """
    match activation:
        case "relu":
            return nn.ReLU(inplace=True)
        case "leaky_relu":
            return nn.LeakyReLU(0.01, inplace=True)
        case "silu":
            return nn.SiLU()
        case "gelu":
            return nn.GELU()
    raise unknown("activation", activation, ("relu", "leaky_relu", "silu", "gelu"))


def pool_and_activate(pool: nn.Module, activation: Activation) -> dict[str, nn.Module]:
    """A max pool and an activation by name, in the cheaper order that computes the paper's function.

    SiLU and GELU fall before they rise, so the larger of two values may become the smaller: they stay in front.
    """
    layers = {"pool": pool, "act": activate(activation)}
    return layers if activation in ("relu", "leaky_relu") else dict(reversed(layers.items()))


def check_dropout(dropout: float) -> None:
    """Raise a UserError unless `dropout` is a share of values that leaves some."""
    if not 0 <= dropout < 1:
        raise UserError(f"dropout is {dropout}, but it is the share of values dropped: give 0 or more, below 1.")


def widen(channels: int, width: float) -> int:
    """`channels` times the factor `width`, at least 1.

    Raises:
        UserError: `width` is not a positive number.
    """
    if not 0 < width < float("inf"):
        raise UserError(f"width is {width}, but it multiplies the channels of every layer: give a number above 0.")
    return max(1, round(channels * width))
