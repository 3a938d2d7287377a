"""The formats: how a network gets into each, where each keeps what is to be known of it, and how it is read back."""

import errno
import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from convscope.engines.deployable import Deployable
from convscope.engines.onnx import to_onnx
from convscope.engines.runtimes import OnnxRuntime, openvino_core

FormatName = Literal["onnx", "torchscript", "torch-export", "openvino"]

Files = dict[str, bytes]
"""What is to be written, by how the names of the files end; the first is the one to give to a reader."""
Metadata = Mapping[str, Any]
"""What a reader should know, in plain JSON types."""
Answer = Callable[[Tensor], Tensor]
"""Images uint8 (N, channels, H, W) -> logits or probabilities float32 (N, num_classes)."""

DOCUMENT = "convscope.json"
"""Name of the metadata within PyTorch's files."""


class Format(Protocol):
    """One of the formats."""

    suffixes: tuple[str, ...]
    """How the names of its files end; the first is the one to give to a reader."""
    libraries: tuple[str, ...]
    """What it takes beside PyTorch."""

    def convert(self, deployable: Deployable) -> Any:
        """The network in the library's own form; takes seconds."""

    def pack(self, converted: Any, metadata: Metadata) -> Files:
        """The files of what `convert` made."""

    def read(self, files: Files) -> Answer:
        """What those files answer, by the means that a program has that knows nothing of Convscope."""


class Onnx:
    """One file; metadata under their own names, texts as they are and all else as JSON."""

    suffixes: tuple[str, ...] = (".onnx",)
    libraries: tuple[str, ...] = ("onnx", "onnxscript", "onnxruntime")

    def convert(self, deployable: Deployable) -> Any:
        """An `onnx.ModelProto`."""
        return to_onnx(deployable)

    def pack(self, converted: Any, metadata: Metadata) -> Files:
        """One file, the same bytes for the same network."""
        from onnx import helper

        helper.set_model_props(converted, as_texts(metadata))
        return {".onnx": converted.SerializeToString(deterministic=True)}

    def read(self, files: Files) -> Answer:
        """In ONNX Runtime."""
        return OnnxRuntime("onnxruntime", files[".onnx"])


class OpenVino:
    """Two files, of which the second holds the weights; metadata as `rt_info` under `convscope`."""

    suffixes: tuple[str, ...] = (".xml", ".bin")
    libraries: tuple[str, ...] = ("onnx", "onnxscript", "onnxruntime", "openvino")

    def convert(self, deployable: Deployable) -> Any:
        """An `onnx.ModelProto`, which OpenVINO reads, in 8 bits too."""
        return to_onnx(deployable)

    def pack(self, converted: Any, metadata: Metadata) -> Files:
        """The XML with the layers, and their weights in the precision they have."""
        import openvino

        model = openvino_core().read_model(converted.SerializeToString())
        for key, text in as_texts(metadata).items():
            model.set_rt_info(text, ["convscope", key])
        with tempfile.TemporaryDirectory() as folder:
            try:
                openvino.save_model(model, Path(folder, "model.xml"), compress_to_fp16=False)
            except RuntimeError as error:  # its words for a full disk are "basic_ios::clear: iostream error"
                raise OSError(errno.ENOSPC, f"OpenVINO cannot write its files there ({error})", folder) from error
            return {suffix: Path(folder, f"model{suffix}").read_bytes() for suffix in self.suffixes}

    def read(self, files: Files) -> Answer:
        """On the CPU; in float32 where the model is, and not in the bfloat16 that OpenVINO may take instead."""
        core = openvino_core()
        model = core.read_model(files[".xml"], files[".bin"])
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

        def answer(images: Tensor) -> Tensor:
            return torch.from_numpy(compiled(images.numpy())[0].copy())  # the next call writes over it

        return answer


class TorchExport:
    """One file of PyTorch 2, which answers on the CPU; metadata as a document of JSON inside."""

    suffixes: tuple[str, ...] = (".pt2",)
    libraries: tuple[str, ...] = ()

    @torch.no_grad()
    def convert(self, deployable: Deployable) -> Any:
        """A `torch.export.ExportedProgram` that does not know in which files of this machine its lines are."""
        shapes = (deployable.dynamic_shapes(),)
        program = torch.export.export(deployable, (deployable.examples(),), dynamic_shapes=shapes)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)
        return program

    def pack(self, converted: Any, metadata: Metadata) -> Files:
        """An archive of weights and a graph in JSON."""
        file = io.BytesIO()
        torch.export.save(converted, file, extra_files={DOCUMENT: json.dumps(metadata)})
        return {".pt2": file.getvalue()}

    def read(self, files: Files) -> Answer:
        """In PyTorch."""
        module: Answer = torch.export.load(io.BytesIO(files[".pt2"])).module()
        return module


class TorchScript:
    """One file for programs that read PyTorch's older format, on the CPU; metadata as a document of JSON inside."""

    suffixes: tuple[str, ...] = (".pt",)
    libraries: tuple[str, ...] = ()

    @torch.no_grad()
    def convert(self, deployable: Deployable) -> Any:
        """A `torch.jit.ScriptModule`: what happened to one batch, recorded, with the weights as constants."""
        with _deprecated():
            traced = torch.jit.trace(deployable, (deployable.examples(),), check_trace=False)  # type: ignore[no-untyped-call]
            return torch.jit.freeze(traced)

    def pack(self, converted: Any, metadata: Metadata) -> Files:
        """An archive of constants and code in PyTorch's own language."""
        written, kept = io.BytesIO(), io.BytesIO()
        with _deprecated():
            torch.jit.save(converted, written, _extra_files={DOCUMENT: json.dumps(metadata)})
        # Without the notes for debugging, in which each line has its place in this machine's files.
        with zipfile.ZipFile(written) as source, zipfile.ZipFile(kept, "w") as target:
            for name in source.namelist():
                if not name.endswith(".debug_pkl"):
                    target.writestr(zipfile.ZipInfo(name), source.read(name))
        return {".pt": kept.getvalue()}

    def read(self, files: Files) -> Answer:
        """In PyTorch."""
        with _deprecated():
            module: Answer = torch.jit.load(io.BytesIO(files[".pt"]))  # type: ignore[no-untyped-call]
        return module


FORMATS: dict[FormatName, Format] = {
    "onnx": Onnx(),
    "torchscript": TorchScript(),
    "torch-export": TorchExport(),
    "openvino": OpenVino(),
}


def as_texts(metadata: Metadata) -> dict[str, str]:
    """For formats that take texts alone."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}


@contextmanager
def _deprecated() -> Iterator[None]:
    """TorchScript says at each step that `torch.export` has taken its place, which is why both are offered."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=DeprecationWarning)
        yield
