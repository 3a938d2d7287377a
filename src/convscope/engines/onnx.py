"""A finished network as an ONNX model, which many runtimes read."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from convscope.engines.deployable import Deployable

if TYPE_CHECKING:
    import onnx

OPSET = 18
"""Version of ONNX's operators: the oldest that PyTorch writes without translating back, for the most readers."""


@torch.no_grad()
def to_onnx(deployable: Deployable) -> "onnx.ModelProto":
    """The module as an ONNX model with the input `images`; it takes seconds.

    The output is called `probabilities` after a softmax, else `logits`. The model holds nothing but the computation:
    PyTorch would note of every node in which line of which file of this machine it was made.
    """
    with _quiet():
        program = torch.onnx.export(
            deployable,
            (deployable.examples(),),
            dynamo=True,
            input_names=["images"],
            output_names=[deployable.output],
            dynamic_shapes=(deployable.dynamic_shapes(),),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None  # it is None where the old exporter wrote a file
    model = program.model_proto
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's words on PyTorch's own future, and on torchvision, which no network here needs."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=FutureWarning)
        warnings.simplefilter("ignore", category=DeprecationWarning)
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
