"""What is measured in each layer, against the same thing computed by hand."""

import pytest
import torch
from torch import Tensor, nn

from convscope.doctor.training.depth import LayerHealth, examine_layers
from convscope.doctor.training.layer_faults import find_wrong_layers
from convscope.training.lr_finder import Trial
from convscope.training.optimizers import build_optimizer
from convscope.training.runtime import Runtime


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=3),
        nn.ReLU(inplace=True),
        nn.Dropout(0.9),
        nn.Flatten(),
        nn.Linear(6 * 16, 5),
        nn.Tanh(),
        nn.Linear(5, 3),
    )


def batches() -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    return [(torch.randn(8, 1, 6, 6), torch.arange(8) % 3) for _ in range(2)]


def examined(model: nn.Module, optimizer: str = "sgd", lr: float = 0.1, **options: float) -> dict[str, LayerHealth]:
    trial = Trial(model, build_optimizer(optimizer, model, lr=1.0, **options), Runtime(torch.device("cpu")))
    return {layer.name: layer for layer in examine_layers(trial, batches(), lr=lr)}


def test_outputs() -> None:
    model = network()
    with torch.no_grad():
        model[0].bias[2] = -100.0
    before = torch.cat([model[0](images) for images, _ in batches()]).detach()
    layers = examined(model)
    assert list(layers) == ["0", "1", "4", "5", "6"]
    assert layers["0"].mean == pytest.approx(before.mean().item(), rel=1e-4)  # not what the ReLU made of it
    assert layers["0"].std == pytest.approx(before.std(correction=0).item(), rel=1e-4)
    assert layers["1"].mean == pytest.approx(before.relu().mean().item(), rel=1e-4)
    assert layers["1"].dead == pytest.approx(1 / 6)
    assert layers["0"].dead is None and layers["5"].dead is None
    assert layers["5"].saturated == 0.0 and layers["1"].saturated is None


def test_ends_of_a_tanh() -> None:
    model = network()
    with torch.no_grad():
        model[4].bias[:4] = 50.0
    assert examined(model)["5"].saturated == pytest.approx(0.8, abs=0.01)


def test_how_much_outputs_vary() -> None:
    model = network()
    nn.init.zeros_(model[0].weight)
    nn.init.ones_(model[0].bias)
    layers = examined(model)
    assert layers["0"].mean == 1.0 and layers["0"].varies == 0.0 and layers["6"].varies == pytest.approx(0, abs=1e-6)
    assert examined(network())["0"].varies > 0.5


def test_gradients_and_the_step() -> None:
    model = network()
    model[2].p = 0.0
    images, labels = (torch.cat(parts) for parts in zip(*batches(), strict=True))
    nn.functional.cross_entropy(model(images), labels).backward()
    expected = {name: parameter.grad.norm().item() for name, parameter in model.named_parameters()}  # type: ignore[union-attr]
    layers = examined(network(), momentum=0.0, weight_decay=0.5)
    for name in ("0", "4", "6"):
        layer = layers[name]
        assert layer.grad_norm is not None and layer.weight_norm is not None and layer.decay is not None
        weight = network().get_parameter(f"{name}.weight")
        assert layer.weight_norm == pytest.approx(weight.norm().item())
        assert layer.decay == pytest.approx(0.5 * layer.weight_norm / expected[f"{name}.weight"], rel=1e-4)
        assert layer.learns
        assert (
            layer.update is not None
            and layer.update < 0.1 * (0.5 + expected[f"{name}.weight"] / layer.weight_norm) + 1e-6
        )
    assert layers["0"].grad_norm == pytest.approx(expected["0.weight"], rel=0.01)
    assert layers["1"].grad_norm is None and layers["1"].learns is None


def test_decoupled_decay_stands_beside_adams_step() -> None:
    layer = examined(network(), "adamw", weight_decay=2.0)["4"]
    assert layer.weight_norm is not None
    assert layer.decay == pytest.approx(2.0 * layer.weight_norm / (6 * 16 * 5) ** 0.5)


def faults(
    model: nn.Module, *, resting: frozenset[str] = frozenset(), still: frozenset[str] | None = None
) -> list[str]:
    layers = list(examined(model).values())
    unmoved = frozenset(layer.name for layer in layers) if still is None else still
    return [finding.kind for finding in find_wrong_layers(layers, resting=resting, still=unmoved)]


def test_a_healthy_network() -> None:
    assert faults(network()) == []


def test_a_layer_of_zeros_that_will_move_is_no_fault() -> None:
    """A last layer of zeros keeps the gradient from the layers before it, but only until it has moved itself."""
    model = network()
    nn.init.zeros_(model[6].weight)
    assert faults(model, still=frozenset()) == []


def test_what_is_frozen_on_purpose_is_no_fault() -> None:
    model = network()
    model[0].requires_grad_(False)
    assert faults(model) == ["frozen by mistake"]
    assert faults(model, resting=frozenset({"0"})) == []


def test_gradients_that_explode_or_vanish_and_units_at_their_ends() -> None:
    model = network()
    with torch.no_grad():
        model[4].weight *= 0.01
        model[6].weight *= 1e7
    assert "exploding gradients" in faults(model)
    model = network()
    with torch.no_grad():
        model[4].weight *= 1e-8
    assert faults(model) == ["vanishing gradients"]
    model = network()
    nn.init.constant_(model[4].bias, 9.0)
    assert "saturated units" in faults(model)
