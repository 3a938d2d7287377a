"""The moving average of weights, against a plain one in NumPy."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convscope.training.averaging import MovingAverage, NoAverage, build_averaging


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, kernel_size=3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))


def step(model: nn.Module, seed: int) -> None:
    """Change every weight and every statistic, as a step of training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value += torch.randn(value.shape, generator=generator)
            else:
                value += 1


def snapshot(model: nn.Module) -> dict[str, Any]:
    return {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_against_numpy(decay: float) -> None:
    model = network()
    averaging = build_averaging(model, decay=decay)
    expected = snapshot(model)
    for number in range(1, 31):
        step(model, number)
        averaging.update(model)
        # Few steps are averaged with equal weights, so that the random first weights do not linger.
        now = min(decay, (1 + number) / (10 + number))
        current = snapshot(model)
        expected = {name: now * value + (1 - now) * current[name] for name, value in expected.items()}
    average = snapshot(averaging.model)
    for name, value in current.items():
        if name.endswith("num_batches_tracked"):
            assert average[name] == value  # a count is taken over, not averaged
        else:
            np.testing.assert_allclose(average[name], expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_statistics_of_batch_normalisation_are_averaged_too() -> None:
    model = network()
    averaging = build_averaging(model, decay=0.9)
    before = snapshot(averaging.model)
    step(model, 1)
    averaging.update(model)
    changed = {name for name, value in snapshot(averaging.model).items() if not np.array_equal(value, before[name])}
    assert changed == set(before)


def test_the_average_leaves_the_trained_model_alone_and_takes_no_gradient() -> None:
    model = network()
    averaging = build_averaging(model, decay=0.9)
    before = snapshot(model)
    averaging.update(model)
    assert all(np.array_equal(value, before[name]) for name, value in snapshot(model).items())
    assert model.training
    assert not averaging.model.training
    assert not any(parameter.requires_grad for parameter in averaging.model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_it_goes_on_from_a_saved_state() -> None:
    model = network()
    whole, first, second = (MovingAverage(model, decay=0.95) for _ in range(3))
    for number in range(6):
        step(model, number)
        whole.update(model)
        if number < 3:
            first.update(model)
        else:
            if number == 3:
                second.load_state_dict(first.state_dict())
            second.update(model)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_without_decay_the_model_itself_is_the_average() -> None:
    model = network()
    averaging = build_averaging(model, decay=0.0)
    assert isinstance(averaging, NoAverage)
    averaging.update(model)
    averaging.load_state_dict(averaging.state_dict())
    assert averaging.model is model
