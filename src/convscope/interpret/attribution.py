"""Attribution maps by the name of a method: how much each pixel has to do with the answer."""

from typing import Literal, get_args

from torch import Tensor, nn

from convscope.downloads import Progress
from convscope.errors import unknown
from convscope.interpret.gradcam import grad_cam
from convscope.interpret.guided import guided_backpropagation, guided_grad_cam
from convscope.interpret.occlusion import occlusion

Method = Literal["grad-cam", "grad-cam++", "guided", "guided-grad-cam", "occlusion"]


def explain(
    model: nn.Module,
    inputs: Tensor,
    *,
    method: Method,
    layer: str | None = None,
    classes: Tensor | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Attribution maps (N, H, W), float32, of images (N, C, H, W) as the network takes them.

    Args:
        model: any network; it is the same afterwards.
        inputs: images as the network takes them.
        method: how; see the modules `gradcam`, `guided` and `occlusion` for what the values mean.
        layer: whose maps Grad-CAM weighs; `gradcam.default_layer` when None. Other methods look at no layer.
        classes: int64 (N,), the class to explain for each image; those predicted when None.
        progress: is told of the steps of occlusion, which asks the network many times.

    Raises:
        UserError: unknown method, layer or class; Grad-CAM of a network or layer without maps.
    """
    match method:
        case "grad-cam" | "grad-cam++":
            return grad_cam(model, inputs, layer=layer, classes=classes, plus_plus=method == "grad-cam++")
        case "guided":
            return guided_backpropagation(model, inputs, classes=classes)
        case "guided-grad-cam":
            return guided_grad_cam(model, inputs, layer=layer, classes=classes)
        case "occlusion":
            return occlusion(model, inputs, classes=classes, progress=progress)
    raise unknown("method", method, get_args(Method))
