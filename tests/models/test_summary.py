"""The per-layer table and the memory of a training step, against independent counts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from convscope.catalog import MODELS
from convscope.models import build_model
from convscope.models.summary import Field, summarise, training_memory


def test_simplenet_s_table() -> None:
    # R-D1
    summary = summarise(build_model("simplenet", in_channels=3, input_size=32), (3, 32, 32))
    rows = {layer.name: layer for layer in summary.layers}
    assert list(rows) == [
        *("body.conv1", "body.pool1", "body.relu1", "body.conv2", "body.pool2", "body.relu2"),
        *("body.flatten", "head"),
    ]
    assert rows["body.conv1"].formula == "3·3·3·16 + 16"
    assert rows["body.conv1"].parameters == 448
    assert rows["body.conv1"].multiply_adds == 3 * 3 * 3 * 16 * 32 * 32
    assert rows["body.conv1"].kind == "Conv2d"
    assert rows["body.conv2"].parameters == 4_640
    assert rows["body.conv2"].output_shape == (32, 16, 16)
    assert rows["body.relu2"].formula == ""
    assert rows["head"].formula == "2048·10 + 10"
    assert rows["head"].parameters == 20_490
    assert rows["head"].share == pytest.approx(0.80, abs=0.005)
    assert summary.total_parameters == 25_578


@pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)
def test_totals(entry) -> None:
    model = build_model(entry.name, in_channels=entry.in_channels, input_size=entry.input_size)
    shape = (entry.in_channels, entry.input_size, entry.input_size)
    summary = summarise(model, shape)
    assert summary.total_parameters == sum(layer.parameters for layer in summary.layers) == entry.parameters
    assert sum(layer.share for layer in summary.layers) == pytest.approx(1)
    for layer in summary.layers:  # the formula, calculated, is the number beside it
        assert eval(layer.formula.replace("·", "*") or "0") == layer.parameters
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *shape))
    assert 2 * summary.multiply_adds == counter.get_total_flops()  # it counts a multiply-add as two
    assert all(layer.receptive_field is not None for layer in summary.layers)


def test_tinyvgg_s_receptive_fields() -> None:
    # R-C3: two 3x3 convolutions see 5x5.
    summary = summarise(build_model("tinyvgg"), (1, 28, 28))
    fields = {layer.name: layer.receptive_field for layer in summary.layers}
    assert fields["block1.conv1"] == Field(size=(3, 3), stride=(1, 1))
    assert fields["block1.conv2"] == Field(size=(5, 5), stride=(1, 1))
    assert fields["block1.relu2"] == Field(size=(6, 6), stride=(2, 2))
    assert fields["block2.conv2"] == Field(size=(14, 14), stride=(2, 2))
    assert fields["head"] == Field(size=(28, 28), stride=(0, 0))


sides = st.tuples(st.integers(1, 3), st.integers(1, 3))
convolutions = st.builds(
    lambda kernel, stride, dilation: nn.Conv2d(1, 1, kernel, stride=stride, dilation=dilation, bias=False),
    *(sides, st.integers(1, 2), st.integers(1, 2)),
)
pools = st.builds(nn.AvgPool2d, st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=40)
@given(layers=st.lists(convolutions | pools, min_size=1, max_size=4))
def test_receptive_field_is_where_gradients_arrive(layers: list[nn.Module]) -> None:
    model = nn.Sequential(*layers)
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    images = torch.ones(1, 1, 200, 200, requires_grad=True)  # room for two neighbours of the widest field

    def seen(row: int) -> Tensor:
        """Which pixels, as (rows, columns), one value of the output depends on."""
        (gradient,) = torch.autograd.grad(model(images)[0, 0, row, row], images)
        return gradient[0, 0].nonzero()

    field = summarise(model, (1, 200, 200)).layers[-1].receptive_field
    assert field is not None
    first, second = seen(0), seen(1)
    assert tuple((first.amax(0) - first.amin(0) + 1).tolist()) == field.size
    assert tuple((second.amin(0) - first.amin(0)).tolist()) == field.stride


def test_after_a_junction_the_field_is_unknown_rather_than_wrong() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.narrow = nn.Conv2d(1, 2, 1)
            self.wide = nn.Conv2d(1, 2, 5, padding=2)
            self.after = nn.Conv2d(4, 2, 3)

        def forward(self, images: Tensor) -> Tensor:
            both = torch.cat([self.narrow(images), self.wide(images)], dim=1)
            return self.after(both).flatten(1)

    fields = [layer.receptive_field for layer in summarise(Branches(), (1, 9, 9)).layers]
    assert fields == [Field(size=(1, 1), stride=(1, 1)), Field(size=(5, 5), stride=(1, 1)), None]


def test_training_memory_by_hand() -> None:
    # R-C6. TinyVGG, values kept of one image: the image, each convolution's output (its ReLU works in
    # place), each pool's output (likewise) with the places of its maxima, the hidden layer, the
    # log-probabilities.
    kept = 28 * 28 + 2 * 32 * 28 * 28 + 32 * 14 * 14 + 2 * 64 * 14 * 14 + 64 * 7 * 7 + 128 + 10
    places = 32 * 14 * 14 + 64 * 7 * 7
    label = 1
    memory = training_memory(build_model("tinyvgg"), (1, 28, 28), 128)
    assert memory.activations == 128 * (4 * kept + 8 * places + 8 * label) + 4  # and the sum of class weights
    assert memory.weights == memory.gradients == 4 * 467_818
    assert memory.optimizer_state == 2 * memory.gradients
    assert memory.total == 4 * memory.weights + memory.activations


def test_training_memory_of_norms_and_frozen_layers() -> None:
    model = build_model("tinyvgg_bn")
    statistics = 2 * (2 * 32 + 2 * 64 + 2 * 128)  # a mean and a variance for each channel
    assert training_memory(model, (1, 28, 28), 1).weights == 4 * (435_754 + statistics) + 8 * 6  # six step counts
    whole = training_memory(model, (1, 28, 28), 64)
    for block in (model.block1, model.block2, model.block3, model.hidden):
        block.requires_grad_(False)
    frozen = training_memory(model, (1, 28, 28), 64)
    assert frozen.weights == whole.weights
    assert frozen.gradients == 4 * (128 * 10 + 10)
    assert frozen.activations < whole.activations / 50


def test_training_memory_is_that_of_training_in_whatever_mode_the_network_is() -> None:
    model = build_model("tinyvgg_bn")
    assert training_memory(model.eval(), (1, 28, 28), 8) == training_memory(model.train(), (1, 28, 28), 8)
    dropout = training_memory(build_model("tinyvgg", dropout=0.5), (1, 28, 28), 8)
    assert dropout.activations > training_memory(build_model("tinyvgg"), (1, 28, 28), 8).activations


def test_the_largest_batch_takes_neither_time_nor_memory() -> None:
    one, many = (training_memory(build_model("tinyvgg_bn"), (1, 28, 28), size) for size in (1_000, 10**9))
    assert many.activations / one.activations == pytest.approx(10**6, rel=1e-3)


def test_the_network_itself_is_left_alone() -> None:
    model = build_model("tinyvgg_bn", seed=0).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    summarise(model, (1, 28, 28))
    training_memory(model, (1, 28, 28), 8)
    assert all(module.training and not module._forward_hooks for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
