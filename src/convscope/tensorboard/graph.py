"""The graph of a network for TensorBoard: the rows of `convscope explain`, under the same names.

Tracing, as PyTorch's own writer does it, shows hundreds of operations, and depends on what can be traced. The table of
`models.summary` is made for every network, and has a row for each layer and each junction of branches.
"""

from typing import Any

from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.versions_pb2 import VersionDef

from convscope.models.summary import IMAGE, NETWORK, Summary


def graph_of(summary: Summary) -> Any:
    """A GraphDef: a node for the image and for each row, with its class, output shape, parameters and multiply-adds."""
    nodes = {IMAGE: IMAGE} | {row.name: _node_name(row.name, row.kind, summary) for row in summary.layers}
    graph = [NodeDef(name=IMAGE, op="Image", attr={"_output_shapes": _shapes(summary.input_shape)})]
    for row in summary.layers:
        attributes = {
            "_output_shapes": _shapes(row.output_shape),
            "parameters": AttrValue(i=row.parameters),
            "multiply_adds": AttrValue(i=row.multiply_adds),
        }
        inputs = [nodes[name] for name in row.inputs]
        graph.append(NodeDef(name=nodes[row.name], op=row.kind, input=inputs, attr=attributes))
    return GraphDef(node=graph, versions=VersionDef(producer=22))


def _node_name(name: str, kind: str, summary: Summary) -> str:
    """`block1.conv1` as `block1/conv1`, for TensorBoard opens and closes what is before a slash.

    A function has the name of the module that calls it, and so becomes a node within that: `layer1.0` is
    `layer1/0/sum`. What comes about once more, and ends in `:2`, ends in `-2` here: a colon means something else there.
    """
    place, _, times = name.partition(":")
    scope = place.replace(".", "/")
    if place == NETWORK:
        scope = kind
    elif place in summary.modules:
        scope = f"{scope}/{kind}"
    return f"{scope}-{times}" if times else scope


def _shapes(shape: tuple[int, ...]) -> AttrValue:
    """Of a batch: -1 stands for any number of images."""
    sizes = [TensorShapeProto.Dim(size=size) for size in (-1, *shape)]
    return AttrValue(list=AttrValue.ListValue(shape=[TensorShapeProto(dim=sizes)]))
