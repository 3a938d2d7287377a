"""What every layer of a network answers to images: its activation maps."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from convscope.errors import unknown
from convscope.models.tracing import IMAGE, Step, Trace


def record(model: nn.Module, inputs: Tensor, names: Collection[str] | None = None) -> dict[str, Tensor]:
    """The output of every row of the network in evaluation, by its name in `models.summary.summarise`.

    Args:
        model: any network; it is the same afterwards.
        inputs: images as the network takes them, (N, C, H, W).
        names: the rows wanted; all of them when None. `image` is the name of the inputs.

    Returns:
        float32 (N, C, H, W) or (N, features), in the order in which they come about. Each is a copy, for a layer that
        works in place writes its answer over that of the one before it.

    Raises:
        UserError: the network has no row of such a name.
    """
    found: dict[str, Tensor] = {}
    passed = {IMAGE}

    def see(step: Step) -> None:
        passed.add(step.name)
        if names is None or step.name in names:
            found[step.name] = _copy(step.output)

    if names is None or IMAGE in names:
        found[IMAGE] = _copy(inputs)
    with torch.no_grad(), evaluating(model), Trace(model, see):
        model(inputs)
    for name in names or ():
        if name not in passed:
            raise unknown("layer", name, passed)
    return found


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, the network is in evaluation mode; afterwards each of its modules is in its own mode again."""
    training = [module for module in model.modules() if module.training]
    try:
        model.eval()
        yield
    finally:
        for module in training:
            module.training = True


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.float32, memory_format=torch.contiguous_format, copy=True)
