"""Which parts of an image an answer rests on."""

import torch

from convscope.explorer.encoding import heat, numbers
from convscope.explorer.explanations import inputs_of
from convscope.explorer.explorer import Explorer
from convscope.interpret import Method
from convscope.interpret import explain as attribute
from convscope.web.answers import Answer, Refused, in_json


def explain(
    explorer: Explorer,
    *,
    run: str,
    epoch: str,
    image: str,
    method: Method,
    layer: str | None = None,
    class_: int | None = None,
) -> Answer:
    """Which parts of an image speak for a class, by default for the one that the network names."""
    subject = explorer.subject(run)
    if class_ is not None and class_ >= len(explorer.classes):
        raise Refused(f"there is no class {class_}: choose from 0 to {len(explorer.classes) - 1}.")
    if layer is not None:
        subject.layer(layer)
    with subject.alone(epoch) as predictor:
        inputs = inputs_of(explorer, predictor, image)
        if layer is None and "grad-cam" in method:
            layer = subject.last_maps
        with torch.no_grad():
            chosen = int(predictor.model(inputs)[0].argmax()) if class_ is None else class_
        classes = torch.tensor([chosen], device=predictor.device)
        maps = attribute(predictor.model, inputs, method=method, layer=layer, classes=classes).cpu()  # (1, H, W)
    low, high = maps.amin(dim=(1, 2)), maps.amax(dim=(1, 2))
    return in_json(
        {
            "size": list(maps.shape[1:]),
            "map": heat(maps, low, high),
            "range": [numbers(low)[0], numbers(high)[0]],
            "class": chosen,
            "layer": layer,
        }
    )
