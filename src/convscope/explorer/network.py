"""What the runs are, and the networks layer by layer."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torch import nn

from convscope.explorer.explorer import Explorer
from convscope.explorer.subject import BEST, Subject, module_of
from convscope.web.answers import UPLOAD_LIMIT, Answer, Refused, in_json


def runs(explorer: Explorer) -> Answer:
    """The runs, the first of which has given the images; `image` is shown first."""
    return in_json(
        {
            "runs": [_describe(subject) for subject in explorer.subjects.values()],
            "splits": explorer.images.sizes,
            "image": "test/0",
            "can_upload": True,
            "upload_limit": UPLOAD_LIMIT,
        }
    )


def _describe(subject: Subject) -> dict[str, Any]:
    config, predictor = subject.run.config(), subject.predictor()
    return {
        "name": subject.name,
        "model": config.model,
        "data": config.data,
        "classes": list(predictor.classes),
        "channels": predictor.preprocessing.channels,
        "size": predictor.preprocessing.size,
        "border": predictor.preprocessing.border,
        "epochs": subject.epochs,
        "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
        "test_accuracy": subject.run.reports().get("test", {}).get("top1"),
    }


def network(explorer: Explorer, *, run: str) -> Answer:
    """The layers that an evaluation passes through, as a graph."""
    subject = explorer.subject(run)
    summary = subject.summary
    with subject.alone(BEST) as predictor:
        layers = [
            {
                "name": layer.name,
                "kind": layer.kind,
                "inputs": list(layer.inputs),
                "shape": list(layer.output_shape),
                "parameters": layer.parameters,
                "formula": layer.formula,
                "multiply_adds": layer.multiply_adds,
                "receptive_field": layer.receptive_field and asdict(layer.receptive_field),
                "junction": layer.is_junction,
                "settings": settings(module_of(predictor.model, layer.name)),
            }
            for layer in subject.layers.values()
        ]
    return in_json(
        {
            "input_shape": list(summary.input_shape),
            "output": subject.output,
            "total_parameters": summary.total_parameters,
            "modules": summary.modules,
            "layers": layers,
        }
    )


def weights_of(explorer: Explorer, *, run: str, epoch: str, layer: str) -> dict[str, Any]:
    """Parameters and running statistics of one layer by name, in the order of the state dict."""
    subject = explorer.subject(run)
    subject.layer(layer)
    with subject.alone(epoch) as predictor:
        module = module_of(predictor.model, layer)
        kept = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
    parts = {name: tensor for name, tensor in kept.items() if tensor.ndim > 0}  # not a norm's count of batches
    if not parts:
        raise Refused(f"the layer '{layer}' has no weights: choose one with parameters.", 404)
    return parts


def settings(layer: nn.Module) -> dict[str, Any]:
    """What the arithmetic of a layer depends on beside its weights."""
    describe = _SETTINGS.get(type(layer).__name__)
    return {} if describe is None else describe(layer)


def _pair(value: int | tuple[int, ...]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _pool(layer: Any) -> dict[str, Any]:
    window = {
        "kernel": _pair(layer.kernel_size),
        "stride": _pair(layer.stride),
        "padding": _pair(layer.padding),
        "ceil": layer.ceil_mode,
    }
    if isinstance(layer, nn.MaxPool2d):
        return window | {"dilation": _pair(layer.dilation)}
    return window | {"count_include_pad": layer.count_include_pad}


_SETTINGS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "Conv2d": lambda layer: {
        "kernel": list(layer.kernel_size),
        "stride": list(layer.stride),
        "padding": list(layer.padding),
        "dilation": list(layer.dilation),
        "groups": layer.groups,
        "bias": layer.bias is not None,
    },
    "MaxPool2d": _pool,
    "AvgPool2d": _pool,
    "AdaptiveAvgPool2d": lambda layer: {"output": _pair(layer.output_size)},
    "BatchNorm2d": lambda layer: {"eps": layer.eps},
    "LeakyReLU": lambda layer: {"slope": layer.negative_slope},
    "GELU": lambda layer: {"approximate": layer.approximate},
    "LocalResponseNorm": lambda layer: {"size": layer.size, "alpha": layer.alpha, "beta": layer.beta, "k": layer.k},
    "Dropout": lambda layer: {"p": layer.p},
    "Linear": lambda layer: {"bias": layer.bias is not None},
}
"""By the layer's class."""
