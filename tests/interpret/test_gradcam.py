"""Grad-CAM and Grad-CAM++ against their definitions."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convscope.errors import UserError
from convscope.interpret import default_layer, record
from convscope.interpret.gradcam import grad_cam
from convscope.models import build_model
from convscope.models.layers import named


def images_of(channels: int, size: int, count: int = 2) -> Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def test_by_hand() -> None:
    # Two maps of 2x2: the image, and its negative shifted by 3. The class sums them with these weights.
    model = named(maps=nn.Conv2d(1, 2, 1), flatten=nn.Flatten(), output=nn.Linear(8, 2, bias=False))
    with torch.no_grad():
        model.maps.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
        model.maps.bias.copy_(torch.tensor([0.0, 3.0]))
        model.output.weight.copy_(torch.tensor([[4.0, 0, 0, 0, -2, -2, 0, 0], [0.0] * 8]))
    images = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    # Means of the gradients are 1 and -1, so the sum is x - (3 - x) = 2x - 3, and its negative part is cut.
    chosen = torch.tensor([0])
    assert grad_cam(model, images, layer="maps", classes=chosen).tolist() == [[[0.0, 1.0], [3.0, 5.0]]]
    # Grad-CAM++: the first map sums to 10 and has one gradient of 4: 4 / (2 + 40). The second has none above 0.
    cam = grad_cam(model, images, layer="maps", classes=chosen, plus_plus=True)
    torch.testing.assert_close(cam, images[:, 0] * 4 / 42)


@pytest.mark.parametrize("name", ["resnet18_small", "densenet121_small", "googlenet"])
def test_before_an_average_it_is_cam(name: str) -> None:
    # Selvaraju and others, §3.1: with one fully connected layer after the average, Grad-CAM is CAM over the places.
    model, images = build_model(name, in_channels=3, input_size=32, seed=0), images_of(3, 64)
    layer, classes = default_layer(model, images), torch.tensor([3, 7])
    maps = record(model, images, [layer])[layer]
    weights = model.head.weight[classes].detach()
    cam = torch.einsum("nk,nkhw->nhw", weights, maps).relu() / maps[0, 0].numel()
    wanted = F.interpolate(cam[:, None], size=(64, 64), mode="bilinear")[:, 0]
    assert wanted.max() > 0
    torch.testing.assert_close(grad_cam(model, images, layer=layer, classes=classes), wanted, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(grad_cam(model, images, classes=classes), wanted, rtol=1e-3, atol=1e-6)


def test_plus_plus_by_derivatives_of_the_exponential() -> None:
    # Equation 10 with Y = exp(logit), whose derivatives autograd takes here one after the other.
    torch.manual_seed(0)
    model = named(
        conv=nn.Conv2d(1, 3, 3, bias=False), act=nn.ReLU(), flatten=nn.Flatten(), output=nn.Linear(3 * 16, 2)
    ).double()
    images = images_of(1, 6).double()
    maps = model.act(model.conv(images)).detach().requires_grad_()
    y = model.output(model.flatten(maps))[:, 1].exp()

    def derivative(values: Tensor) -> Tensor:
        """Of each value with respect to its own place."""
        flat = [torch.autograd.grad(value, maps, create_graph=True)[0].flatten() for value in values.flatten()]
        return torch.stack([row[index] for index, row in enumerate(flat)]).view(maps.shape)

    first = torch.autograd.grad(y.sum(), maps, create_graph=True)[0]
    second = derivative(first)
    third = derivative(second)
    alpha = second / (2 * second + maps.sum(dim=(2, 3), keepdim=True) * third)
    weights = (alpha * first.relu()).sum(dim=(2, 3), keepdim=True) / y[:, None, None, None]  # ours leaves exp out
    wanted = F.interpolate((weights * maps).sum(dim=1, keepdim=True).relu(), size=(6, 6), mode="bilinear")[:, 0]
    found = grad_cam(model, images, layer="act", classes=torch.tensor([1, 1]), plus_plus=True)
    torch.testing.assert_close(found, wanted.detach())


@pytest.mark.parametrize("plus_plus", [False, True])
@pytest.mark.parametrize("name", ["tinyvgg", "googlenet", "resnet18_small"])
def test_a_layer_that_writes_over_the_maps_changes_nothing(name: str, plus_plus: bool) -> None:
    model, images = build_model(name, in_channels=1, input_size=32, seed=0), images_of(1, 32)
    layer = {"tinyvgg": "block2.conv1", "googlenet": "inception4a.branch2.1.conv", "resnet18_small": "layer3.0"}[name]
    found = grad_cam(model, images, layer=layer, plus_plus=plus_plus)
    overwriting = [module for module in model.modules() if getattr(module, "inplace", False)]
    for module in overwriting:
        module.inplace = False
    assert overwriting and found.max() > 0
    assert torch.equal(found, grad_cam(model, images, layer=layer, plus_plus=plus_plus))


def test_classes_are_those_predicted_and_images_do_not_mix() -> None:
    model, images = build_model("tinyvgg", seed=0).eval().requires_grad_(False), images_of(1, 28, 4)
    together = grad_cam(model, images)
    torch.testing.assert_close(together, grad_cam(model, images, classes=model(images).argmax(dim=1)))
    torch.testing.assert_close(together, torch.cat([grad_cam(model, image[None]) for image in images]))
    with torch.no_grad():
        assert torch.equal(together, grad_cam(model, images))


@pytest.mark.parametrize(
    ("name", "size", "layer"),
    [
        ("tinyvgg", 28, "block2.act"),
        ("vgg11", 32, "features.18"),  # the last pool leaves one value, and the average stretches it to 7x7
        ("vgg11", 64, "features.20"),
        ("lenet5", 28, "body.s4"),
        ("googlenet", 64, "inception5b"),
        ("se_resnet18_small", 32, "layer4.1.act2"),
    ],
)
def test_default_layer(name: str, size: int, layer: str) -> None:
    with torch.device("meta"):
        model = build_model(name, in_channels=1, input_size=size)
    assert default_layer(model, torch.zeros(1, 1, size, size)) == layer


def test_what_cannot_be_explained() -> None:
    linear, tiny, images = build_model("linear"), build_model("tinyvgg"), images_of(1, 28)
    with pytest.raises(UserError, match=r"no layer of this network has maps.*'occlusion'"):
        grad_cam(linear, images)
    with pytest.raises(UserError, match=r"'hidden\.linear' has 128 values without places"):
        grad_cam(tiny, images, layer="hidden.linear")
    with pytest.raises(UserError, match=r"unknown layer 'block2.akt': did you mean 'block2.act"):
        grad_cam(tiny, images, layer="block2.akt")
    for classes in ([0], [0, 10], [-1, 0]):
        with pytest.raises(UserError, match="one for each of the 2 images, from 0 to 9"):
            grad_cam(tiny, images, classes=torch.tensor(classes))
