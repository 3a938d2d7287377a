"""Engines outside of PyTorch, which read the network as an ONNX model."""

from functools import cache
from threading import local
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    import openvino


class OnnxRuntime:
    """ONNX Runtime on the CPU, with as many threads as PyTorch has."""

    def __init__(self, name: str, model: bytes) -> None:
        """Take an ONNX model of a `Deployable` that gives logits; raises what the runtime raises at another."""
        import onnxruntime

        self.name = name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors; its warnings are about nodes that it removes
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, channels, decode_size, decode_size) -> logits float32 (N, num_classes)."""
        return torch.from_numpy(self._session.run(None, {self._input: images.numpy()})[0])


class OpenVino:
    """OpenVINO on the CPU, with as many threads as PyTorch has; what is int8 in the model stays so."""

    def __init__(self, name: str, model: bytes, precision: Literal["f32", "bf16"]) -> None:
        """Take an ONNX model of a `Deployable` that gives logits; raises what the runtime raises at another."""
        self.name = name
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",  # all threads for one batch, rather than a batch for each
        }
        core = openvino_core()
        self._compiled = core.compile_model(core.read_model(model), "CPU", settings)
        self._of_thread = local()

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, channels, decode_size, decode_size) -> logits float32 (N, num_classes)."""
        if not hasattr(self._of_thread, "request"):  # a request is for one thread at a time
            self._of_thread.request = self._compiled.create_infer_request()
        answers = self._of_thread.request.infer([images.numpy()], share_inputs=True)
        return torch.from_numpy(answers[0].copy())  # the next request writes over it


@cache
def openvino_core() -> "openvino.Core":
    """The one through which this process uses OpenVINO.

    On CPUs with AMX each core that compiles sets aside a stack for signals, and puts back the one before it when it
    ends. Of two that do not end in the opposite order the process is left with a stack that is gone, and the next
    signal, such as Ctrl-C, ends it with a segmentation fault (found with OpenVINO 2026.4.1).
    """
    import openvino

    return openvino.Core()
