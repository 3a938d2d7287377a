"""What single networks promise beyond the contract: pools before ReLUs, and where weights start."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from convscope.models import build_model
from convscope.models.initialisation import glorot, kaiming
from convscope.models.tinyvgg import norm_block, plain_block


def test_pool_before_relu_is_the_paper_s_order_bit_for_bit() -> None:
    block = plain_block(3, 8)
    images = torch.randn(4, 3, 12, 12)
    gradients = []
    for output in (
        block(images),
        F.max_pool2d(F.relu(block.conv2(F.relu(block.conv1(images)))), 2),  # as VGG has it
    ):
        block.zero_grad()
        output.square().sum().backward()
        gradients.append((output, [parameter.grad.clone() for parameter in block.parameters()]))
    (ours, our_gradients), (theirs, their_gradients) = gradients
    assert torch.equal(ours, theirs)
    assert all(map(torch.equal, our_gradients, their_gradients))


def test_norm_block_is_convolution_norm_relu_twice_and_pool() -> None:
    # R-B4
    block = norm_block(3, 8).eval()
    images = torch.randn(4, 3, 12, 12)
    x = F.relu(block.norm1(block.conv1(images)))
    x = F.relu(block.norm2(block.conv2(x)))
    assert torch.equal(block(images), F.max_pool2d(x, 2))
    assert block.conv1.bias is None and block.conv2.bias is None


def test_linear_is_one_matrix_on_the_pixels() -> None:
    # R-B6
    model, images = build_model("linear"), torch.randn(3, 1, 28, 28)
    torch.testing.assert_close(model(images), images.flatten(1) @ model.head.weight.T + model.head.bias)


def test_kaiming_keeps_the_size_of_gradients() -> None:
    # R-C2
    conv = kaiming(nn.Conv2d(64, 128, kernel_size=3))
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (128 * 9)), rel=0.02)
    assert torch.count_nonzero(conv.bias) == 0
    linear = kaiming(nn.Linear(400, 400))
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert torch.count_nonzero(linear.bias) == 0


def test_glorot_depends_on_both_sides() -> None:
    linear = glorot(nn.Linear(300, 500))
    assert linear.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 800), rel=0.01)
    assert linear.weight.var().item() == pytest.approx(2 / 800, rel=0.02)
    assert torch.count_nonzero(linear.bias) == 0
