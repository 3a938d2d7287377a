"""Recorded activations: each row's values follow from those of the rows that it reads."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convscope.catalog import MODELS
from convscope.errors import UserError
from convscope.interpret import record
from convscope.models.layers import Classifier
from convscope.models.summary import Layer, summarise

Small = Callable[..., tuple[Classifier, Tensor]]


def rows_of(model: nn.Module, images: Tensor) -> list[Layer]:
    """The rows that evaluation passes through."""
    return [row for row in summarise(model, tuple(images.shape[1:])).layers if not row.training_only]


def replay(model: nn.Module, row: Layer, values: dict[str, Tensor]) -> Tensor:
    """What a row makes of the recorded values of those that it reads."""
    inputs = [values[name].clone() for name in row.inputs]
    match row.kind:
        case "concatenation":
            return torch.cat(inputs, dim=1)
        case "sum":
            return inputs[0] + inputs[1]
        case "product":
            return inputs[0] * inputs[1][:, :, None, None]
    layer = model.get_submodule(row.name)
    match layer:
        case nn.Conv2d():
            return F.conv2d(inputs[0], layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation)
        case nn.Linear():
            return F.linear(inputs[0], layer.weight, layer.bias)
    output: Tensor = layer(inputs[0])
    return output


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in MODELS), ("googlenet_bn", {"transform_input": True, "auxiliary": True})],
)
@torch.no_grad()
def test_every_row_of_every_network(name: str, options: dict[str, object], small: Small) -> None:
    # R-A9
    model, images = small(name, **options)
    rows = rows_of(model, images)
    values = record(model, images)
    assert list(values) == ["image", *(row.name for row in rows)]
    assert torch.equal(values["image"], images)
    model.eval()
    assert torch.equal(values[rows[-1].name], model(images))
    for row in rows:
        assert values[row.name].shape == (2, *row.output_shape)
        assert values[row.name].dtype == torch.float32 and values[row.name].is_contiguous()
        # In-place ReLUs come after convolutions and norms: had they written into what was recorded, it would show here.
        torch.testing.assert_close(values[row.name], replay(model, row, values), rtol=1e-4, atol=1e-5, msg=row.name)


def test_some_rows_only(small: Small) -> None:
    model, images = small("se_resnet18_small")
    everything = record(model, images)
    names = {"layer1.0.rescale", "layer2.0", "fc", "image"}
    some = record(model, images, names)
    assert some.keys() == names
    assert all(torch.equal(some[name], everything[name]) for name in names)
    assert "image" not in record(model, images, ["fc"])


def test_records_are_copies() -> None:
    model, images = nn.Sequential(nn.Identity(), nn.Flatten(), nn.ReLU(inplace=True)), torch.full((1, 1, 2, 2), -1.0)
    values = record(model, images)
    assert [tensor.max() for tensor in values.values()] == [-1, -1, -1, 0]
    assert not values["2"].requires_grad


def test_an_unknown_row_is_named_with_the_nearest(small: Small) -> None:
    model, images = small("tinyvgg")
    with pytest.raises(UserError, match=r"unknown layer 'block1.conv9': did you mean 'block1.conv"):
        record(model, images, ["block1.conv9"])
