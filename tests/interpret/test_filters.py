"""The weights of the first layer."""

import pytest
import torch
from torch import nn

from convscope.errors import UserError
from convscope.interpret import filter_pictures, first_filters
from convscope.models import build_model


def test_the_first_convolutions_weights():  # R-A9
    model = build_model("tinyvgg", in_channels=3, input_size=32, seed=0)
    name, weights = first_filters(model, (3, 32, 32))
    assert name == "block1.conv1"
    assert weights.shape == (32, 3, 3, 3)
    assert torch.equal(weights, model.get_parameter("block1.conv1.weight"))


def test_a_linear_model_has_a_template_of_each_class():
    model = build_model("linear", seed=0)
    name, templates = first_filters(model, (1, 28, 28))
    assert templates.shape == (10, 1, 28, 28)
    image = torch.rand(1, 1, 28, 28)
    by_hand = (templates * image).sum(dim=(1, 2, 3)) + model.get_parameter(f"{name}.bias")
    torch.testing.assert_close(by_hand, model(image)[0])


def test_a_network_without_weights_on_the_image_has_no_filters():
    pooled = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(UserError, match="does not look at the image itself"):
        first_filters(pooled, (1, 8, 8))
    with pytest.raises(UserError, match="no convolution"):
        first_filters(nn.Sequential(nn.AvgPool2d(2)), (1, 8, 8))


def test_all_filters_are_on_one_scale_with_zero_in_its_middle():
    weights = torch.tensor([[[[0.0, -4.0]]], [[[2.0, 1.0]]]])
    pictures, largest = filter_pictures(weights)
    assert largest == 4
    assert pictures.flatten().tolist() == [0.5, 0.0, 0.75, 0.625]


def test_filters_of_nothing_but_zeros_can_be_drawn():
    pictures, largest = filter_pictures(torch.zeros(2, 1, 3, 3))
    assert largest == 0
    assert pictures.eq(0.5).all()
