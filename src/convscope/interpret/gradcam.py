"""Grad-CAM and Grad-CAM++: which places of a layer's maps speak for a class.

Ramprasaath Selvaraju and others, Grad-CAM: visual explanations from deep networks via gradient-based localization,
ICCV 2017, arXiv 1610.02391. Aditya Chattopadhay, Anirban Sarkar, Prantik Howlader, Vineeth Balasubramanian, Grad-CAM++:
improved visual explanations for deep convolutional networks, WACV 2018, arXiv 1710.11063.

Both weigh the layer's maps by what they mean to the class, and add them up. What comes out is as coarse as the maps
are; deep layers know what a thing is, and at 7x7 values hardly more than in which corner.

Grad-CAM's weights tell for and against. Those of Grad-CAM++ are never negative, so a part of its map shows where the
layer is active at all, for whatever class and with whatever weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convscope.errors import UserError, unknown
from convscope.interpret.activations import evaluating
from convscope.interpret.classes import choose_classes
from convscope.models.summary import summarise
from convscope.models.tracing import Step, Trace


def grad_cam(
    model: nn.Module,
    inputs: Tensor,
    *,
    layer: str | None = None,
    classes: Tensor | None = None,
    plus_plus: bool = False,
) -> Tensor:
    """Where a layer's maps speak for the classes, at the size of the images.

    Args:
        model: any network; it is the same afterwards.
        inputs: images as the network takes them, (N, C, H, W).
        layer: a row of `models.summary.summarise` that has maps; `default_layer` when None.
        classes: int64 (N,), the class to explain for each image; those predicted when None.
        plus_plus: whether to weigh by Grad-CAM++, which does better where a class is seen in several places.

    Returns:
        float32 (N, H, W), 0 or more; compare values within one map.

    Raises:
        UserError: the network has no such layer, or the layer has no maps.
    """
    layer = layer or default_layer(model, inputs)
    maps, gradients = _maps_and_gradients(model, inputs, layer, classes)  # (N, K, h, w)
    weigh = _weigh_plus_plus if plus_plus else _weigh
    # Equation 2: the ReLU keeps what speaks for the class. (N, 1, h, w)
    maps = (weigh(maps, gradients) * maps).sum(dim=1, keepdim=True).relu()
    return F.interpolate(maps, size=inputs.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def default_layer(model: nn.Module, inputs: Tensor) -> str:
    """The last row whose maps have more than one value: the one that knows most and still has places.

    Adaptive averages before fully connected layers do not count, for they may stretch a single value to many.

    Raises:
        UserError: the network has no maps at all.
    """
    rows = summarise(model, (inputs.shape[1], inputs.shape[2], inputs.shape[3])).layers
    maps = [row for row in rows if not row.training_only and len(row.output_shape) == 3]
    placed = [row for row in maps if row.output_shape[1:] != (1, 1) and not row.kind.startswith("Adaptive")]
    if not placed:
        raise UserError(
            "no layer of this network has maps, whose places Grad-CAM would weigh: choose the method 'occlusion' or "
            "'guided', which look at the image alone."
        )
    return placed[-1].name


def _maps_and_gradients(model: nn.Module, inputs: Tensor, layer: str, classes: Tensor | None) -> tuple[Tensor, Tensor]:
    """A layer's maps A and the gradients of the classes' logits with respect to them, both (N, K, h, w)."""
    passed: list[str] = []
    maps: list[Tensor] = []

    def see(step: Step) -> Tensor | None:
        passed.append(step.name)
        if step.name != layer:
            return None
        if step.output.ndim != 4:
            raise UserError(
                f"'{layer}' has {step.output[0].numel()} values without places, and Grad-CAM weighs places: choose a "
                "layer before the maps are flattened."
            )
        # Nothing before the layer matters to the gradient. What follows gets a copy, since it may work in place.
        maps.append(step.output.detach())
        maps[0].requires_grad = True  # `requires_grad_()` would be a function to a trace around this one
        return maps[0].clone()

    with torch.enable_grad(), evaluating(model):
        with Trace(model, see):
            logits = model(inputs)
        if not maps:
            raise unknown("layer", layer, passed)
        chosen = choose_classes(logits, classes)
        (gradients,) = torch.autograd.grad(logits.gather(1, chosen).sum(), maps)
    return maps[0].detach(), gradients


def _weigh(maps: Tensor, gradients: Tensor) -> Tensor:
    """Equation 1 of Grad-CAM: a map's weight is its gradient's mean over all places, (N, K, 1, 1)."""
    return gradients.mean(dim=(2, 3), keepdim=True)


def _weigh_plus_plus(maps: Tensor, gradients: Tensor) -> Tensor:
    """A map's weight by Grad-CAM++, (N, K, 1, 1): the sum over its places of α·relu(g).

    Equation 19: α = g² / (2g² + S·g³), with S the sum of the map and g the gradient. Only g > 0 counts, so α·relu(g) is
    g / (2 + S·g). The paper explains exp(logit), which multiplies all weights alike by itself: it is left out.
    """
    positive = gradients.relu()
    # The paper's maps come from ReLUs. Others may sum to less than 0, where the fraction would have a pole.
    total = maps.sum(dim=(2, 3), keepdim=True).relu()
    return (positive / (2 + total * positive)).sum(dim=(2, 3), keepdim=True)
