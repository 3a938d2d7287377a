"""What a network is made of, layer by layer, and the memory that training it takes.

Nothing is computed to find out. The network is rebuilt on PyTorch's `meta` device, where tensors have
shapes but no values, and one batch without pixels is sent through it; so the largest batch of the largest
network takes milliseconds and no memory.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pair = tuple[int, int]
"""One figure for the height and one for the width."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """The part of the image that one value of a layer depends on, and how far apart neighbours' parts lie."""

    size: Pair
    """Height and width in pixels; near the border some of it lies in the padding."""
    stride: Pair
    """Pixels of the image from the field of one value to that of the next; 0 where one value sees everything."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row of a summary."""

    name: str
    """Where it is in the network, such as `block1.conv1`."""
    kind: str
    """The PyTorch class, such as `Conv2d`."""
    output_shape: tuple[int, ...]
    """Of one image: (C, H, W) or (features,)."""
    parameters: int
    formula: str
    """The parameters as a sum of products, such as `3·3·32·64 + 64`; empty where there are none."""
    multiply_adds: int
    """For one image, of convolutions and fully connected layers; the rest is small beside them."""
    receptive_field: Field | None
    """None where it cannot be told: after a layer this module does not know, or a junction of branches."""
    share: float
    """Part of the network's parameters, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The table of a network for images of one shape."""

    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]
    total_parameters: int
    multiply_adds: int


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """Bytes that a training step in float32 holds between its forward and its backward pass."""

    batch_size: int
    weights: int
    """Parameters and the statistics of norms."""
    gradients: int
    optimizer_state: int
    """Of Adam: a mean and a mean square for each parameter."""
    activations: int
    """What autograd keeps of the batch for the backward pass, the images included."""

    @property
    def total(self) -> int:
        """The sum, to which convolutions may add some room to work in."""
        return self.weights + self.gradients + self.optimizer_state + self.activations


def summarise(model: nn.Module, input_shape: tuple[int, int, int]) -> Summary:
    """Describe every layer of a network, in the order in which an image of `input_shape` (C, H, W) meets them."""
    outline = _outline(model).eval()
    total = sum(parameter.numel() for parameter in outline.parameters())
    images = torch.empty((1, *input_shape), device="meta")
    # The field of each tensor that a layer has made. Where branches meet in a sum or a concatenation, no
    # layer makes the result, so what follows has no field here: a rule for such junctions would have to
    # enter it.
    fields: dict[Tensor, Field | None] = {images: Field(size=(1, 1), stride=(1, 1))}
    layers: list[Layer] = []

    def record(name: str, layer: nn.Module, x: Tensor, y: Tensor) -> None:
        parameters = sum(parameter.numel() for parameter in layer.parameters())
        fields[y] = _field_after(layer, fields.get(x), whole_image=(input_shape[1], input_shape[2]))
        layers.append(
            Layer(
                name=name,
                kind=type(layer).__name__,
                output_shape=tuple(y.shape[1:]),
                parameters=parameters,
                formula=_formula(layer),
                multiply_adds=_multiply_adds(layer, y),
                receptive_field=fields[y],
                share=parameters / total if total else 0.0,
            )
        )

    for name, module in outline.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda layer, x, y, name=name: record(name, layer, x[0], y))
    outline(images)
    return Summary(
        input_shape=input_shape,
        layers=tuple(layers),
        total_parameters=total,
        multiply_adds=sum(layer.multiply_adds for layer in layers),
    )


def training_memory(model: nn.Module, input_shape: tuple[int, int, int], batch_size: int) -> TrainingMemory:
    """The memory of a training step with Adam and cross-entropy, for images of `input_shape` (C, H, W)."""
    outline = _outline(model).train()
    weights = [*outline.parameters(), *outline.buffers()]
    trained = sum(parameter.nbytes for parameter in outline.parameters() if parameter.requires_grad)
    images = torch.empty((batch_size, *input_shape), device="meta")
    labels = torch.empty(batch_size, dtype=torch.int64, device="meta")
    # Storages, not tensors: a layer that works in place shares its storage with the one before it.
    saved: set[torch.UntypedStorage] = set()

    def keep(tensor: Tensor) -> Tensor:
        saved.add(tensor.untyped_storage())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        F.cross_entropy(outline(images), labels)
    saved -= {tensor.untyped_storage() for tensor in weights}  # saved as well, but there in any case
    return TrainingMemory(
        batch_size=batch_size,
        weights=sum(tensor.nbytes for tensor in weights),
        gradients=trained,
        optimizer_state=2 * trained,
        activations=sum(storage.nbytes() for storage in saved),
    )


def _outline(model: nn.Module) -> nn.Module:
    """A copy of the network with shapes for weights: its tensors lie on the meta device."""
    # deepcopy takes from its memo what it finds there, so no weight is copied and tied weights stay tied.
    outlines: dict[int, Tensor] = {}
    for parameter in model.parameters():
        outline = parameter.detach().to("meta")
        outlines[id(parameter)] = nn.Parameter(outline, requires_grad=parameter.requires_grad)
    for buffer in model.buffers():
        outlines[id(buffer)] = buffer.to("meta")
    return copy.deepcopy(model, outlines)


def _formula(layer: nn.Module) -> str:
    """PyTorch's weights are (out, in, height, width); backwards, that is how people write the product."""
    return " + ".join("·".join(map(str, reversed(weights.shape))) for weights in layer.parameters())


def _multiply_adds(layer: nn.Module, output: Tensor) -> int:
    """Every value that comes out took one multiply-add for each weight of its channel or unit."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        return layer.weight[0].numel() * output[0].numel()
    return 0


def _field_after(layer: nn.Module, field: Field | None, *, whole_image: Pair) -> Field | None:
    """The field of a layer's output from that of its input.

    A kernel of k values reaches k - 1 steps beyond the first, and a step is as wide as the strides before
    it have made it (Araujo, Norris, Sim, Computing receptive fields of convolutional neural networks,
    Distill 2019).
    """
    match layer:
        case nn.Linear():
            return Field(size=whole_image, stride=(0, 0))
        case nn.ReLU() | nn.Tanh() | nn.BatchNorm2d() | nn.Dropout() | nn.Flatten():
            return field  # each value comes from one value
        case nn.Conv2d() | nn.MaxPool2d() | nn.AvgPool2d() if field is not None:
            kernel, stride = _pair(layer.kernel_size), _pair(layer.stride)
            reach = [(k - 1) * d for k, d in zip(kernel, _pair(getattr(layer, "dilation", 1)), strict=True)]
            (height, width), (down, across) = field.size, field.stride
            return Field(
                size=(height + reach[0] * down, width + reach[1] * across),
                stride=(down * stride[0], across * stride[1]),
            )
    return None


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    """PyTorch's pools keep one number where height and width are alike."""
    return (value, value) if isinstance(value, int) else value
