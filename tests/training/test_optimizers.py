"""Optimizers: the rules asked for, and weight decay where it belongs."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from convscope.models import build_model
from convscope.training.optimizers import build_optimizer

KINDS = {"sgd": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW}


def network() -> nn.Module:
    return build_model("tinyvgg_bn", hidden=4, seed=0)


def after_steps(optimizer: optim.Optimizer, parameter: Tensor, gradients: list[float]) -> float:
    for gradient in gradients:
        parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
    return parameter.detach().flatten()[0].item()


def one_weight(value: float) -> nn.Module:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


@pytest.mark.parametrize("name", KINDS)
def test_the_optimizer_is_the_one_asked_for_over_all_parameters(name: str) -> None:
    # R-A3
    model = network()
    optimizer = build_optimizer(name, model, lr=0.1)
    assert type(optimizer) is KINDS[name]
    assert optimizer.defaults["lr"] == 0.1
    given = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(given) == sorted(id(parameter) for parameter in model.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_weight_decay_spares_norms_and_biases(name: str) -> None:
    # R-A5
    model = network()
    optimizer = build_optimizer(name, model, lr=0.1, weight_decay=0.01)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    spared = {name for name, parameter in model.named_parameters() if decay[id(parameter)] == 0}
    norms = {n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    expected = {n for n, _ in model.named_parameters() if n.endswith("bias") or n.rpartition(".")[0] in norms}
    assert norms
    assert spared == expected
    assert set(decay.values()) == {0.0, 0.01}


@pytest.mark.parametrize("name", KINDS)
def test_weight_decay_acts_on_all_if_asked(name: str) -> None:
    optimizer = build_optimizer(name, network(), lr=0.1, weight_decay=0.01, decay_norms_and_biases=True)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01]


def test_decay_moves_weights_and_leaves_biases_when_nothing_else_does() -> None:
    model = build_model("linear", seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = build_optimizer("adamw", model, lr=0.1, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, value in model.state_dict().items():
        factor = 1.0 if name.endswith("bias") else 1 - 0.1 * 0.5
        torch.testing.assert_close(value, factor * before[name])


def test_decay_is_a_penalty_in_sgd_and_adam_and_apart_in_adamw() -> None:
    """With Adam's first step, always of length lr, a penalty only turns the direction; AdamW shrinks the weight."""
    options: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.5}
    for name, expected in (
        ("sgd", 2 - 0.1 * (1 + 0.5 * 2)),
        ("adam", 2 - 0.1),
        ("adamw", 2 * (1 - 0.1 * 0.5) - 0.1),
    ):
        model = one_weight(2.0)
        optimizer = build_optimizer(name, model, **options)
        assert after_steps(optimizer, next(model.parameters()), [1.0]) == pytest.approx(expected, rel=1e-5), name


@pytest.mark.parametrize(("nesterov", "expected"), [(False, -(1 + 1.9)), (True, -(1.9 + 2.71))])
def test_momentum_and_nesterov(nesterov: bool, expected: float) -> None:
    """Velocity 1 then 1.9; Nesterov looks ahead: 1 + 0.9 * 1, then 1 + 0.9 * 1.9."""
    model = one_weight(0.0)
    optimizer = build_optimizer("sgd", model, lr=1.0, momentum=0.9, nesterov=nesterov)
    assert after_steps(optimizer, next(model.parameters()), [1.0, 1.0]) == pytest.approx(expected)


def test_an_unknown_optimizer() -> None:
    with pytest.raises(ValueError, match="unknown optimizer 'lion'"):
        build_optimizer("lion", network(), lr=0.1)


@pytest.mark.parametrize("name", KINDS)
def test_each_stage_learns_slower_than_the_one_after_it(name: str) -> None:
    # R-A12: Howard & Ruder's discriminative fine-tuning.
    model = build_model("tinyvgg_bn", hidden=4, seed=0)
    optimizer = build_optimizer(name, model, lr=0.1, weight_decay=0.01, stage_lr_decay=0.5)
    scales = {id(p): group["lr_scale"] for group in optimizer.param_groups for p in group["params"]}
    assert len(scales) == sum(len(group["params"]) for group in optimizer.param_groups) == len([*model.parameters()])
    for stage, expected in (("block1", 1 / 16), ("block2", 1 / 8), ("block3", 1 / 4), ("hidden", 1 / 2), ("output", 1)):
        assert {scales[id(parameter)] for parameter in model.get_submodule(stage).parameters()} == {expected}
    decayed = {id(p) for group in optimizer.param_groups for p in group["params"] if group["weight_decay"]}
    assert decayed == {id(parameter) for parameter in model.parameters() if parameter.ndim > 1}


def test_without_it_the_groups_are_two_and_in_the_networks_order() -> None:
    """What runs that were stopped have saved must fit the optimizer that is to go on."""
    model = network()
    optimizer = build_optimizer("adamw", model, lr=0.1)
    weights, others = optimizer.param_groups
    assert [id(p) for p in weights["params"]] == [id(p) for p in model.parameters() if p.ndim > 1]
    assert [id(p) for p in others["params"]] == [id(p) for p in model.parameters() if p.ndim == 1]
    assert (weights["lr_scale"], others["lr_scale"]) == (1, 1)
