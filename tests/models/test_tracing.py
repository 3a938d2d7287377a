"""Names for what a network does, and changes on the way through it."""

import weakref

import pytest
import torch
from torch import Tensor, nn

from convscope.models import build_model
from convscope.models.summary import summarise
from convscope.models.tracing import Step, Trace


class Twice(nn.Module):
    """A layer used twice, a function, a branch that works in place, and an identity."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.same = nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        y = self.conv(images)
        y += self.conv(torch.tanh(y))
        return self.act(self.same(y[:, :, 1:]))


def names_of(model: nn.Module, images: Tensor, calls: int = 1) -> list[str]:
    names: list[str] = []
    with Trace(model, lambda step: names.append(step.name)):
        for _ in range(calls):
            model(images)
    return names


def test_steps_in_the_order_of_the_summary() -> None:
    model, images = Twice(), torch.randn(2, 1, 8, 8)
    names = names_of(model, images)
    assert names == ["conv", "network", "conv:2", "network:2", "network:3", "same", "act"]
    assert names == [row.name for row in summarise(model, (1, 8, 8)).layers]
    assert names_of(model, images, calls=2) == 2 * names  # every call of the network begins anew


def test_a_step_knows_what_it_read_and_made() -> None:
    steps: dict[str, Step] = {}
    model, images = Twice(), torch.randn(2, 1, 8, 8)
    with torch.no_grad(), Trace(model, lambda step: steps.setdefault(step.name, step) and None) as trace:
        answer = model(images)
        assert trace.source(images) == "image"
        assert trace.source(answer) == "act"
        assert trace.source(torch.zeros(1)) is None
        assert trace.source(answer * answer) is None  # outside of the network nothing is a step
    kinds = ["Conv2d", "tanh", "Conv2d", "sum", "getitem", "Identity", "ReLU"]
    assert [step.kind for step in steps.values()] == kinds
    assert steps["conv:2"].layer is model.conv and steps["network"].layer is None
    assert steps["conv"].inputs[0] is images
    assert steps["network:2"].sources == ("conv", "conv:2")


def test_what_is_given_back_goes_on() -> None:
    model, images = build_model("tinyvgg", seed=0).eval(), torch.randn(2, 1, 28, 28)
    with torch.no_grad():
        maps = torch.randn_like(model.block2(model.block1(images)))
        wanted = model.output(model.hidden(maps))
        with Trace(model, lambda step: maps if step.name == "block2.act" else None):
            assert torch.equal(model(images), wanted)
        sums = torch.randn(2, 1, 8, 8)
        twice = Twice().eval()
        with Trace(twice, lambda step: sums.clone() if step.name == "network:2" else None):
            assert torch.equal(twice(images[..., :8, :8]), sums[:, :, 1:].relu())


def test_values_live_no_longer_than_without() -> None:
    outputs: list[weakref.ref[Tensor]] = []
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3))
    with torch.no_grad(), Trace(model, lambda step: outputs.append(weakref.ref(step.output))):
        model(torch.randn(1, 1, 9, 9))
        assert [output() for output in outputs] == [None, None, None]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_no_hook_stays_and_the_next_trace_begins_afresh(error: type[BaseException]) -> None:
    model, images = Twice(), torch.randn(2, 1, 8, 8)

    def stop(step: Step) -> None:
        if step.name == "conv:2":
            raise error

    with pytest.raises(error), Trace(model, stop):
        model(images)
    hooks = [(module._forward_hooks, module._forward_pre_hooks) for module in model.modules()]
    assert not any(first or second for first, second in hooks)
    assert names_of(model, images)[-1] == "act"
