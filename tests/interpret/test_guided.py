"""Guided backpropagation against the way back through a network, taken step by step."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convscope.interpret.gradcam import grad_cam
from convscope.interpret.guided import guided_backpropagation, guided_grad_cam
from convscope.models import build_model
from convscope.models.layers import Activation, activate, named


class Functional(nn.Module):
    """The same network as a sequence, its activation a function instead of a layer."""

    def __init__(self, sequence: nn.Sequential, *, inplace: bool) -> None:
        super().__init__()
        self.conv1, _, self.conv2, _, self.flatten, self.output = sequence
        self.inplace = inplace

    def forward(self, images: Tensor) -> Tensor:
        y = F.relu(self.conv1(images), inplace=self.inplace)
        logits: Tensor = self.output(self.flatten(F.relu(self.conv2(y), inplace=self.inplace)))
        return logits


def network(activation: Activation) -> nn.Sequential:
    torch.manual_seed(0)
    return named(
        conv1=nn.Conv2d(3, 4, 3, padding=1),
        act1=activate(activation),
        conv2=nn.Conv2d(4, 4, 3, stride=2, padding=1),
        act2=activate(activation),
        flatten=nn.Flatten(),
        output=nn.Linear(4 * 16, 5),
    )


def way_back(model: nn.Sequential, images: Tensor, classes: Tensor) -> Tensor:
    """Figure 1 of the paper: R before an activation is f' · relu(R after it); (N, H, W)."""
    before1 = model.conv1(images).detach()
    before2 = model.conv2(model.act1(before1.clone())).detach()

    def back_through(act: nn.Module, before: Tensor, after: Tensor) -> Tensor:
        before = before.clone().requires_grad_()
        (slope,) = torch.autograd.grad(act(before * 1).sum(), before)
        return slope * after.relu()

    r = model.output.weight[classes].detach().view(-1, 4, 4, 4)
    r = back_through(model.act2, before2, r)
    r = F.conv_transpose2d(r, model.conv2.weight.detach(), stride=2, padding=1, output_padding=1)
    r = back_through(model.act1, before1, r)
    return F.conv_transpose2d(r, model.conv1.weight.detach(), padding=1).abs().amax(dim=1)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "silu", "gelu"])
def test_by_the_way_back(activation: Activation) -> None:
    model, images, classes = network(activation), torch.randn(3, 3, 8, 8), torch.tensor([0, 4, 2])
    wanted = way_back(model, images, classes)
    assert wanted.max() > 0
    torch.testing.assert_close(guided_backpropagation(model, images, classes=classes), wanted)
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = not module.inplace
    torch.testing.assert_close(guided_backpropagation(model, images, classes=classes), wanted)


@pytest.mark.parametrize("inplace", [False, True])
def test_activations_that_are_functions(inplace: bool) -> None:
    model, images, classes = network("relu"), torch.randn(3, 3, 8, 8), torch.tensor([0, 4, 2])
    found = guided_backpropagation(Functional(model, inplace=inplace), images, classes=classes)
    torch.testing.assert_close(found, way_back(model, images, classes))


def test_where_nothing_speaks_against_the_class_it_is_the_gradient() -> None:
    model, images = network("relu"), torch.rand(2, 3, 8, 8)
    for parameter in model.parameters():
        parameter.data.abs_()
    pixels = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(pixels)[:, 1].sum(), pixels)
    found = guided_backpropagation(model, images, classes=torch.tensor([1, 1]))
    torch.testing.assert_close(found, gradient.abs().amax(dim=1))


def test_it_is_not_the_gradient_elsewhere_and_gates_let_all_pass() -> None:
    model, images = (
        build_model("se_resnet18_small", in_channels=1, width=1 / 8, seed=0).eval(),
        torch.randn(1, 1, 28, 28),
    )
    pixels = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(pixels)[:, 1].sum(), pixels)
    found = guided_backpropagation(model, images, classes=torch.tensor([1]))
    assert not torch.allclose(found, gradient.abs().amax(dim=1), rtol=0.1)
    gated = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(2 * 26 * 26, 3))
    (gradient,) = torch.autograd.grad(gated(pixels)[:, 1].sum(), pixels)
    torch.testing.assert_close(guided_backpropagation(gated, images, classes=torch.tensor([1])), gradient.abs()[:, 0])


def test_guided_grad_cam_is_the_product() -> None:
    model, images = build_model("tinyvgg", seed=0), torch.randn(2, 1, 28, 28)
    found = guided_grad_cam(model, images, layer="block2.conv1")
    assert found.max() > 0
    assert torch.equal(found, guided_backpropagation(model, images) * grad_cam(model, images, layer="block2.conv1"))
