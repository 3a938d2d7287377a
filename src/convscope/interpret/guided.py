"""Guided backpropagation: which pixels speak for a class, sharp to the pixel.

Jost Tobias Springenberg, Alexey Dosovitskiy, Thomas Brox, Martin Riedmiller, Striving for simplicity: the all
convolutional net, ICLR 2015 workshop, arXiv 1412.6806, figure 1. It is the gradient of the logit with respect to the
pixels, but on its way back through each ReLU only what is positive goes on: what would lower the logit is left out.

The paper has ReLUs only. Leaky ReLU, SiLU (Swish) and GELU are treated alike here: of the gradient that comes from
above the positive part goes on, through the function's own derivative. Gates (sigmoid, tanh) let all of it pass.

Its pictures are sharper than they are telling: they change little when the last layers are drawn anew at random
(Adebayo and others, Sanity checks for saliency maps, NeurIPS 2018, arXiv 1810.03292). Multiplied by Grad-CAM, which
tells classes apart, they are guided Grad-CAM (Selvaraju and others, arXiv 1610.02391, §3.2).
"""

import torch
from torch import Tensor, nn

from convscope.interpret.activations import evaluating
from convscope.interpret.classes import choose_classes
from convscope.interpret.gradcam import grad_cam
from convscope.models.tracing import Step, Trace

_ACTIVATIONS = {"ReLU", "LeakyReLU", "SiLU", "GELU", "relu", "leaky_relu", "silu", "gelu"}


def guided_backpropagation(model: nn.Module, inputs: Tensor, *, classes: Tensor | None = None) -> Tensor:
    """How strongly each pixel speaks for the classes: the largest magnitude among its colours.

    Taking the largest is what Simonyan, Vedaldi and Zisserman do (Deep inside convolutional networks, arXiv 1312.6034,
    §3.1); in a sum, colours that speak in opposite directions would cancel each other.

    Args:
        model: any network; it is the same afterwards.
        inputs: images as the network takes them, (N, C, H, W).
        classes: int64 (N,), the class to explain for each image; those predicted when None.

    Returns:
        float32 (N, H, W), 0 or more: logit per unit of the network's input.
    """

    def see(step: Step) -> None:
        if step.kind in _ACTIVATIONS and step.output.requires_grad:
            step.output.register_hook(Tensor.relu)  # type: ignore[no-untyped-call]

    with torch.enable_grad(), evaluating(model):
        pixels = inputs.detach().clone().requires_grad_()
        with Trace(model, see):
            logits = model(pixels)
        chosen = choose_classes(logits, classes)
        (gradients,) = torch.autograd.grad(logits.gather(1, chosen).sum(), pixels)
    return gradients.abs().amax(dim=1)


def guided_grad_cam(
    model: nn.Module, inputs: Tensor, *, layer: str | None = None, classes: Tensor | None = None
) -> Tensor:
    """Guided backpropagation times Grad-CAM, (N, H, W): sharp, and where the class is seen; errors as in `grad_cam`."""
    return guided_backpropagation(model, inputs, classes=classes) * grad_cam(
        model, inputs, layer=layer, classes=classes
    )
