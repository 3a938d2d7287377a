"""Attribution maps must depend on what the network has learnt, and find what decides.

After Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim, Sanity checks for saliency maps, NeurIPS 2018, arXiv 1810.03292.
"""

from collections.abc import Callable
from functools import cache
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convscope.catalog import MODELS
from convscope.errors import UserError
from convscope.interpret import Method, explain, gradcam, record
from convscope.models import build_model
from convscope.models.layers import Classifier, named
from convscope.models.tracing import Trace

SIZE, SIDE = 24, 7
METHODS: tuple[Method, ...] = get_args(Method)


def planted(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, in which a square decides the class: none (0), upright stripes (1) or level ones (2).

    Returns:
        images (N, 1, 24, 24), labels (N,), and where the squares of 7x7 begin: rows and columns (N, 2).
    """
    generator = torch.Generator().manual_seed(seed)
    images = 0.7 * torch.randn(count, 1, SIZE, SIZE, generator=generator)
    labels = torch.randint(3, (count,), generator=generator)
    corners = torch.randint(SIZE - SIDE + 1, (count, 2), generator=generator)
    upright = torch.tensor([1.0, -1.0]).repeat(SIDE)[:SIDE].expand(SIDE, SIDE)
    for image, label, (top, left) in zip(images, labels.tolist(), corners.tolist(), strict=True):
        if label:
            image[0, top : top + SIDE, left : left + SIDE] = upright if label == 1 else upright.T
    return images, labels, corners


def untrained(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return named(
        conv1=nn.Conv2d(1, 8, 3, padding=1),
        act1=nn.ReLU(inplace=True),
        conv2=nn.Conv2d(8, 16, 3, padding=1),
        pool=nn.MaxPool2d(2),
        act2=nn.ReLU(inplace=True),
        average=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        output=nn.Linear(16, 3),
    )


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    model = untrained(0)
    images, labels, _ = planted(1200, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(6):
        for batch in torch.randperm(len(images)).split(50):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    model.zero_grad()
    return model


@pytest.fixture(scope="module")
def striped(trained: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """About 80 images with a square, none of which the network has seen: images, labels, corners."""
    images, labels, corners = planted(120, seed=1)
    with torch.no_grad():
        assert (trained(images).argmax(dim=1) == labels).float().mean() > 0.95
    there = labels > 0
    return images[there], labels[there], corners[there]


def ranks(maps: Tensor) -> Tensor:
    """(N, H, W) -> (N, H·W) of mean 0 and length 1, so that products of rows are Spearman's correlation."""
    order = maps.flatten(1).argsort(dim=1).argsort(dim=1).float()
    return F.normalize(order - order.mean(dim=1, keepdim=True), dim=1)


@pytest.mark.parametrize(
    ("method", "share"),
    # A square takes 9% of the image. Guided backpropagation tells little from where: see its module.
    [("grad-cam", 0.95), ("grad-cam++", 0.95), ("guided", 0.7), ("guided-grad-cam", 0.95), ("occlusion", 0.9)],
)
def test_a_planted_square_is_found(
    method: Method, share: float, trained: nn.Module, striped: tuple[Tensor, Tensor, Tensor]
) -> None:
    images, labels, corners = striped
    peaks = explain(trained, images, method=method, classes=labels).flatten(1).argmax(dim=1)
    from_corner = torch.stack([peaks // SIZE, peaks % SIZE], dim=1) - corners
    assert ((from_corner >= 0) & (from_corner < SIDE)).all(dim=1).float().mean() >= share


@pytest.mark.parametrize(
    ("method", "most"),
    # Weights of Grad-CAM++ are never negative, so that part of its map is there whatever the network has learnt.
    [("grad-cam", 0.2), ("grad-cam++", 0.5), ("guided", 0.3), ("guided-grad-cam", 0.2), ("occlusion", 0.2)],
)
def test_random_weights_change_the_map(
    method: Method, most: float, trained: nn.Module, striped: tuple[Tensor, Tensor, Tensor]
) -> None:
    images, labels, _ = striped
    learnt = ranks(explain(trained, images, method=method, classes=labels))
    drawn = ranks(explain(untrained(7), images, method=method, classes=labels))
    assert (learnt * drawn).sum(dim=1).mean() < most
    again = ranks(explain(trained, images + 0.01 * torch.randn_like(images), method=method, classes=labels))
    assert (learnt * again).sum(dim=1).mean() > 0.9  # what changed it was not chance


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "guided-grad-cam", "occlusion"])
def test_another_class_has_another_map(
    method: Method, trained: nn.Module, striped: tuple[Tensor, Tensor, Tensor]
) -> None:
    images, labels, _ = striped
    upright, level = (explain(trained, images, method=method, classes=torch.full_like(labels, k)) for k in (1, 2))
    assert (ranks(upright) * ranks(level)).sum(dim=1).mean() < 0


@pytest.mark.parametrize("name", MODELS)
def test_every_network(
    name: str, small: Callable[..., tuple[Classifier, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, images = small(name)
    monkeypatch.setattr(gradcam, "default_layer", cache(gradcam.default_layer))  # the table of layers takes a second
    for method in METHODS:
        if name == "linear" and "cam" in method:
            with pytest.raises(UserError, match="no layer of this network has maps"):
                explain(model, images, method=method)
            continue
        maps = explain(model, images, method=method)
        assert maps.shape == (len(images), *images.shape[2:]) and maps.dtype == torch.float32
        assert maps.isfinite().all() and not maps.requires_grad
        assert method == "occlusion" or maps.amin() >= 0
        assert method != "guided" or maps.any()  # the others may find nothing that speaks for a class, without training


def test_unknown_method() -> None:
    with pytest.raises(UserError, match=r"unknown method 'gradcam': did you mean 'grad-cam'"):
        explain(untrained(0), torch.zeros(1, 1, 8, 8), method="gradcam")  # type: ignore[arg-type]


class Fails(nn.Module):
    """A layer at which something ends the forward pass."""

    def __init__(self, error: type[BaseException] | None) -> None:
        super().__init__()
        self.error = error

    def forward(self, maps: Tensor) -> Tensor:
        if self.error:
            raise self.error
        return maps * 1


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("method", [*METHODS, "record"])
def test_the_network_is_left_as_it_was(method: str, error: type[BaseException] | None) -> None:
    model = build_model("tinyvgg_bn", seed=0)
    model.block3.add_module("fails", Fails(error))
    model.train()
    model.block2.eval()  # modes may differ
    model.block1.conv1.weight.requires_grad_(False)
    images = torch.randn(2, 1, 28, 28)
    kept = images.clone()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    explanation = record if method == "record" else lambda *inputs: explain(*inputs, method=method)
    if error is None:
        explanation(model, images)
    else:
        with pytest.raises(error):
            explanation(model, images)
    assert torch.equal(images, kept) and not images.requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [parameter.requires_grad for parameter in model.parameters()].count(False) == 1
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    assert not any(getattr(module, name) for module in model.modules() for name in hooks)
    assert torch._C._len_torch_function_stack() == 0 and torch.is_grad_enabled()


@pytest.mark.parametrize("layer", ["layer1.0", "layer2.0.bn1", "layer4.0.downsample.1"])
def test_inside_another_trace(layer: str) -> None:
    model, images = build_model("resnet18_small", width=1 / 8, seed=0).eval(), torch.randn(1, 1, 28, 28)
    names: list[str] = []
    with Trace(model, lambda step: names.append(step.name)):
        model(images)
        alone = names.copy()
        for explanation in (
            lambda: explain(model, images, method="grad-cam", layer=layer),
            lambda: record(model, images),
        ):
            names.clear()
            explanation()
            assert names == alone
