"""An ONNX model in 8-bit arithmetic: a quarter of the memory, and on many CPUs the fastest there is.

Jacob and others, Quantization and training of neural networks for efficient integer-arithmetic-only inference, CVPR
2018, arXiv 1712.05877, §2: a real number is scale·(q - zero point), with q of 8 bits. Weights have a scale for each
output channel (Krishnamoorthi, arXiv 1806.08342, §2.4); what flows between layers has one for each layer, known from
the range it has on images of the training split ("static" quantisation).
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    import onnx


def quantised(model: "onnx.ModelProto", images: Iterable[Tensor]) -> "onnx.ModelProto":
    """A model of `to_onnx` with convolutions, matrices and what lies between them in 8 bits; `model` may be changed.

    The preprocessing stays in float32, because it computes places in the image, not pixels alone.

    Args:
        model: in float32.
        images: uint8 (N, channels, H, W), batch after batch: of the TRAINING split, or the test would know its images.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """The images as ONNX Runtime asks for them."""

        def __init__(self) -> None:
            self._batches = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"images": batch.numpy()}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder, "int8.onnx")
        quantization.quantize_static(
            model,
            path,
            Reader(),
            # Nodes that quantise and dequantise stand around float ones: every runtime reads that, and fuses them.
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            # Unsigned, because most values come out of a ReLU; OpenVINO took 2 to 5 times as long with signed ones.
            activation_type=QuantType.QUInt8,
            # The range itself: cutting off outliers (by percentile or entropy) changed no accuracy by more than chance
            # on the validation images of four runs, and needs all activations of all images in memory.
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_preprocessing(model),
        )
        return onnx.load(path)


def _preprocessing(model: "onnx.ModelProto") -> list[str]:
    """Names of the nodes before the network: those up to the addition of `Deployable.shift`."""
    names = [node.name for node in model.graph.node]
    last = next(index for index, node in enumerate(model.graph.node) if "shift" in node.input)
    return names[: last + 1]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without ONNX Runtime's advice to fold batch norms first: `to_onnx` has done so."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
