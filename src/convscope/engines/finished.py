"""A trained network as the engines outside of PyTorch take it: converted, which takes seconds, and kept for next time.

What is kept lies in the run directory. It is read only if its name bears the digest of the network's weights, the
versions that converted it, and the digest of its own contents; else it is made anew. That finds what is old or damaged;
a directory from a stranger may hold a model made to pass, as it may hold weights that say anything. Reading either runs
no code. What `engines.auto` chooses is compared with the network itself; an engine that the user names is not.
"""

from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from convscope.data.preprocessing import Preprocessing
from convscope.engines.deployable import Deployable
from convscope.engines.int8 import quantised
from convscope.engines.onnx import to_onnx
from convscope.errors import ConvscopeError, UserError
from convscope.files import atomic_path
from convscope.models.layers import Classifier
from convscope.training.environment import version

FOLDER = "engines"
"""In the run directory."""

_FORMAT = 1
"""Raised when what is converted changes without a change of any version."""
_BATCH = 32
"""Images that int8 is calibrated by together."""
_CONVERTERS = ("convscope", "torch", "onnx", "onnxscript", "onnxruntime")

Precision = Literal["float32", "int8"]


@dataclass(frozen=True)
class Finished:
    """A trained network with what belongs to it."""

    model: Classifier
    preprocessing: Preprocessing
    digest: str
    """Of the weights and their header."""
    run: Path | None = None
    """The run directory, where converted models are kept; None to keep none."""

    def is_kept(self, precision: Precision) -> bool:
        """Whether `onnx` has the model at once, by its name alone: to read and check a large one takes seconds."""
        return bool(self._paths(self._beginning(precision)))

    def onnx(self, precision: Precision, calibration: Tensor | None = None) -> bytes:
        """The network with its preprocessing as an ONNX model: uint8 squares -> logits.

        Args:
            precision: of weights and maps.
            calibration: images of the training split for int8, uint8 (N, channels, decode_size, decode_size).

        Raises:
            UserError: int8 is not kept, and there are no images to calibrate it by.
            ConvscopeError: the network cannot be converted.
        """
        return self._kept(precision) or self.convert(precision, calibration)

    def convert(self, precision: Precision, calibration: Tensor | None = None) -> bytes:
        """The same, made anew, and kept."""
        if precision == "int8" and calibration is None:
            raise UserError(
                "there is no int8 model of these weights yet: run `convscope bench inference` on the run, which "
                "calibrates one by its training images."
            )
        try:
            content = self._int8(calibration) if calibration is not None and precision == "int8" else self._float32()
        except ConvscopeError:
            raise
        except Exception as error:  # the converters raise whatever they like
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ConvscopeError(
                f"this network cannot be converted to ONNX in {precision} ({reason}): use an engine of PyTorch."
            ) from error
        self._keep(precision, content)
        return content

    def _float32(self) -> bytes:
        content: bytes = to_onnx(Deployable(self.model, self.preprocessing, softmax=False)).SerializeToString()
        return content

    def _int8(self, calibration: Tensor) -> bytes:
        import onnx

        float32 = onnx.load_model_from_string(self.onnx("float32"))
        content: bytes = quantised(float32, torch.split(calibration, _BATCH)).SerializeToString()
        return content

    def _kept(self, precision: Precision) -> bytes | None:
        for path in self._paths(self._beginning(precision)):
            with suppress(OSError):
                model = path.read_bytes()
                if path.name == self._name(precision, model):
                    return model
        return None

    def _keep(self, precision: Precision, model: bytes) -> None:
        if self.run is None:
            return
        with suppress(ConvscopeError, OSError):  # a directory that we may only read; then it is converted each time
            with atomic_path(self.run / FOLDER / self._name(precision, model)) as temporary:
                temporary.write_bytes(model)
            for path in self._paths(precision):
                if path.name != self._name(precision, model):
                    path.unlink()

    def _paths(self, beginning: str) -> list[Path]:
        return [] if self.run is None else sorted((self.run / FOLDER).glob(f"{beginning}-*.onnx"))

    def _beginning(self, precision: Precision) -> str:
        origin = (_FORMAT, self.digest, *(version(library) for library in _CONVERTERS))
        return f"{precision}-{_digits(repr(origin).encode())}"

    def _name(self, precision: Precision, model: bytes) -> str:
        return f"{self._beginning(precision)}-{_digits(model)}.onnx"


def _digits(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]
