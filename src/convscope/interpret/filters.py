"""The weights of the first layer as pictures: the only ones in a network that look at pixels themselves.

A filter's weights are as many numbers as the patch of the image that it is laid on has values, so they can be looked at
like an image. Zeiler & Fergus (Visualizing and understanding convolutional networks, ECCV 2014, arXiv 1311.2901, §4)
read from those of AlexNet that some were dead and others too coarse, and changed the network.
"""

from torch import Tensor, nn

from convscope.errors import UserError
from convscope.models.summary import summarise

_LOOK = ("Conv2d", "Linear")


def first_filters(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[str, Tensor]:
    """Name and weights of the first layer that has any, for images of `input_shape` (C, H, W).

    Of a convolution (O, C, h, w). Each output of a fully connected layer, such as the linear baseline has, looks at the
    whole image: its weights are then (O, C, H, W), templates of what it looks for.

    Raises:
        UserError: the first layer is none of these, or does not see the image as it is.
    """
    layers = summarise(model, input_shape).layers
    first = next((layer for layer in layers if layer.kind in _LOOK), None)
    if first is None:
        raise UserError(
            "there are no filters, for the network has no convolution and no fully connected layer: choose another."
        )
    weights: Tensor = model.get_parameter(f"{first.name}.weight").detach()
    if weights.ndim == 2:
        if weights.shape[1] != input_shape[0] * input_shape[1] * input_shape[2]:
            raise UserError(
                f"there are no filters, for '{first.name}' does not look at the image itself: choose another network."
            )
        weights = weights.view(len(weights), *input_shape)
    return first.name, weights


def filter_pictures(weights: Tensor) -> tuple[Tensor, float]:
    """Filters (O, C, h, w) in [0, 1], where 0.5 stands for a weight of 0, and the weight that 1 stands for.

    One scale for all of them: a filter that hardly does anything then looks like one.
    """
    largest = weights.abs().max().item()
    return weights.float() / (2 * largest or 1.0) + 0.5, largest
