"""Which engines there are on this machine, and how one is made."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor

from convscope.engines.eager import EagerBFloat16, EagerFloat32
from convscope.engines.engine import Engine
from convscope.engines.finished import Finished, Precision
from convscope.engines.runtimes import OnnxRuntime, OpenVino
from convscope.errors import ConvscopeError, UserError, unknown
from convscope.training.runtime import choose_precision

REFERENCE = "pytorch-float32"
"""The engine that counts as right."""


class Converted(NamedTuple):
    """An engine outside of PyTorch."""

    library: str
    """What it needs besides the converters."""
    precision: Precision
    """Of the model that it reads."""
    make: Callable[[str, bytes], Engine]
    """From its name and the model."""


CONVERTED = {
    "onnxruntime-float32": Converted("onnxruntime", "float32", OnnxRuntime),
    "onnxruntime-int8": Converted("onnxruntime", "int8", OnnxRuntime),
    "openvino-float32": Converted("openvino", "float32", lambda name, model: OpenVino(name, model, "f32")),
    "openvino-bfloat16": Converted("openvino", "float32", lambda name, model: OpenVino(name, model, "bf16")),
    "openvino-int8": Converted("openvino", "int8", lambda name, model: OpenVino(name, model, "bf16")),
}
ENGINES = (REFERENCE, "pytorch-bfloat16", *CONVERTED)
"""All there are."""


def present(device: torch.device) -> dict[str, str | None]:
    """Of every engine why it is not to be had here, in words that follow its name; None for those that are.

    Nothing is imported, which would take longer than many a prediction.
    """
    return {name: _obstacle(name, device) for name in ENGINES}


def _obstacle(name: str, device: torch.device) -> str | None:
    if name == REFERENCE:
        return None
    if name.endswith("bfloat16") and choose_precision("auto", device) != torch.bfloat16:
        return f"would be slow, because this {device.type} is not faster in bfloat16"
    if name not in CONVERTED:
        return None
    if device.type != "cpu":
        return f"runs on the cpu, not on {device.type}"
    missing = [library for library in ("onnx", "onnxscript", CONVERTED[name].library) if find_spec(library) is None]
    return f'needs {", ".join(missing)}, which `pip install "convscope[export]"` brings' if missing else None


def open_engine(name: str, finished: Finished, device: torch.device, *, calibration: Tensor | None = None) -> Engine:
    """Make an engine, which for those outside of PyTorch may take seconds when they are made for the first time.

    Raises:
        UserError: there is no such engine, or not here.
        ConvscopeError: the runtime cannot take the network, or as `Finished.onnx`.
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    obstacle = _obstacle(name, device)
    if obstacle is not None:
        raise UserError(f"the engine {name} {obstacle}: choose another engine.")
    if name == REFERENCE:
        return EagerFloat32(finished.model, finished.preprocessing, device)
    if name not in CONVERTED:
        return EagerBFloat16(finished.model, finished.preprocessing, device)
    row = CONVERTED[name]
    model = finished.onnx(row.precision, calibration)
    try:
        return row.make(name, model)
    except Exception as error:  # the runtimes raise whatever they like
        reason = next(reversed(str(error).strip().splitlines()), type(error).__name__)
        raise ConvscopeError(
            f"the engine {name} cannot take this network ({reason}): choose another engine."
        ) from error
