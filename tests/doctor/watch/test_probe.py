"""What is read off a step of a network, held against what it must be."""

import gc
import weakref

import pytest
import torch
from torch import nn, optim

from convscope.doctor.watch.probe import Probe
from convscope.models import build_model


class Tiny(nn.Module):
    """Two layers and a ReLU, of which half the channels are silent."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, kernel_size=3)
        self.relu = nn.ReLU(inplace=True)
        self.output = nn.Linear(4 * 36, 3)
        with torch.no_grad():
            assert self.conv.bias is not None
            self.conv.bias[:] = torch.tensor([-100.0, -100.0, 5.0, 5.0])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.output(self.relu(self.conv(images)).flatten(1))
        return logits


def step(model: nn.Module, images: torch.Tensor, *, lr: float = 0.1, parts: int = 1) -> None:
    optimizer = optim.SGD(model.parameters(), lr=lr)
    for part in images.chunk(parts):
        model(part).square().sum().backward()
    optimizer.step()


def test_figures_are_those_of_the_step() -> None:
    torch.manual_seed(0)
    model, images = Tiny(), torch.randn(6, 1, 8, 8) * 3 + 1
    before = model.output.weight.detach().clone()
    answers = model(images).detach()
    probe = Probe(model)
    step(model, images, lr=1e-3)
    measures = probe.read(model, lr=1e-3)

    conv, output = measures.weights
    assert (conv.layer, output.layer) == ("conv", "output")
    assert output.norm == pytest.approx(model.output.weight.norm().item())
    assert model.output.weight.grad is not None
    assert output.gradient == pytest.approx(model.output.weight.grad.norm().item())
    assert output.moved == pytest.approx(((model.output.weight - before).norm() / before.norm()).item(), rel=1e-4)
    assert measures.norm == pytest.approx((conv.norm**2 + output.norm**2) ** 0.5)
    assert measures.silent == {"relu": 0.5}
    assert measures.cut_off == ()
    passed = measures.passed
    assert passed.pixel_mean == pytest.approx(images.mean().item())
    assert passed.pixel_std == pytest.approx(images.std(correction=0).item())
    assert passed.least == pytest.approx(answers.min().item())
    assert passed.odd_sum == pytest.approx((answers.sum(dim=1) - 1).abs().max().item())
    assert passed.spread == pytest.approx(answers.std(dim=0, correction=0).mean().item())


def test_a_channel_that_speaks_in_any_part_of_a_batch_is_not_silent() -> None:
    model, images = Tiny(), torch.zeros(4, 1, 8, 8)
    with torch.no_grad():
        assert model.conv.bias is not None
        model.conv.weight[:] = 1
        model.conv.bias[:] = torch.tensor([-1.0, 1.0, -1.0, -1000.0])
    images[3] = 9.0
    probe = Probe(model)
    step(model, images, parts=2)
    assert probe.read(model, lr=0.1).silent == {"relu": 0.25}


def test_what_gets_no_gradient_is_named_unless_it_is_to_rest() -> None:
    model, images = Tiny(), torch.randn(2, 1, 8, 8)
    model.conv.requires_grad_(False)
    probe = Probe(model)
    step(model, images)
    assert probe.read(model, lr=0.1).cut_off == ("conv",)
    probe = Probe(model)
    step(model, images)
    measures = probe.read(model, lr=0.1, resting=[model.conv])
    assert measures.cut_off == ()
    assert [weights.layer for weights in measures.weights] == ["output"]


def test_an_evaluation_between_two_steps_is_not_looked_at() -> None:
    model, images = Tiny(), torch.randn(2, 1, 8, 8)
    probe = Probe(model)
    with torch.inference_mode():
        model(images + 1000)
    step(model, images)
    measures = probe.read(model, lr=0.1)
    assert abs(measures.passed.pixel_mean) < 10
    assert measures.silent == {"relu": 0.5}


def test_nothing_is_left_on_the_network() -> None:
    model = Tiny()
    probe = Probe(model)
    step(model, torch.randn(2, 1, 8, 8))
    probe.read(model, lr=0.1)
    assert not any(module._forward_hooks for module in model.modules())
    probe, alive = Probe(model), weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None  # though the probe is still there
    assert probe


@pytest.mark.parametrize(
    ("name", "options"), [("googlenet", {"auxiliary": True}), ("se_resnet18_small", {"width": 0.125})]
)
def test_networks_with_auxiliary_classifiers_or_gates_are_read_too(name: str, options: dict[str, float]) -> None:
    model = build_model(name, num_classes=4, in_channels=1, input_size=32, seed=0, **options)
    images = torch.randn(4, 1, 32, 32).contiguous(memory_format=torch.channels_last)
    model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    probe = Probe(model)
    output = model(images)
    logits = getattr(output, "logits", output)
    (logits.sum() + sum(part.sum() for part in getattr(output, "auxiliary", ()))).backward()
    measures = probe.read(model, lr=0.1)
    assert measures.cut_off == ()
    assert all(weights.norm > 0 and weights.moved == 0 for weights in measures.weights)
    assert measures.silent and all(0 <= share <= 1 for share in measures.silent.values())
