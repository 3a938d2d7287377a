"""Exercises of the chapter on transfer learning."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_stage_rates(answer: Callable[..., Any]) -> None:
    for lr, decay, stages in ((0.02, 0.5, 4), (0.1, 0.7, 3)):
        wanted = [lr * decay ** (stages - 1 - stage) for stage in range(stages)]
        expect_equal(
            answer(lr, decay=decay, stages=stages),
            wanted,
            call=f"stage_rates({lr}, decay={decay}, stages={stages})",
            hints={
                tuple(reversed(wanted)): "the order is the other way round: the first stage is the one at the image, "
                "and it learns slowest",
                tuple(rate * decay for rate in wanted): "the head's rate is lr itself, so the exponent begins at 0",
                tuple(lr * decay * stage for stage in range(stages)): "the factors multiply from stage to stage: a "
                "power, not a product with the number of the stage",
                tuple(lr * decay * (stages - stage) for stage in range(stages)): "the factors multiply from stage to "
                "stage: a power, not a product with the number of the stage",
                tuple(rate * decay for rate in reversed(wanted)): "the order is the other way round, and the head's "
                "rate is lr itself",
                tuple(lr / decay ** (stages - 1 - stage) for stage in range(stages)): "the stages before the head "
                "learn more slowly: multiply by decay, do not divide",
                (lr,) * stages: "all stages have the same rate",
            },
        )
    expect_equal(answer(0.3, decay=1.0, stages=2), [0.3, 0.3], call="stage_rates(0.3, decay=1.0, stages=2)")


def _check_rest_all_but_head(answer: Callable[..., Any]) -> None:
    import torch
    from torch import nn

    def network() -> tuple[nn.Sequential, nn.Sequential]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            head = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2))
            body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1))
            return nn.Sequential(body, nn.Flatten(), head), head

    # The head once as it was drawn, and once as a freeze before this one may have left it.
    for frozen in (False, True):
        whole, head = network()
        if frozen:
            whole.requires_grad_(False).eval()
        answer(whole, head)
        _check_state(whole, head, frozen=frozen)


def _check_state(whole: Any, head: Any, *, frozen: bool) -> None:
    import torch

    call = "rest_all_but_head(model, head)"
    body = whole[0]
    if not all(parameter.requires_grad for parameter in head.parameters()):
        also = ", which a freeze before had stopped," if frozen else ""
        raise Wrong(
            f"After {call} parameters of the head{also} have requires_grad False, so nothing learns: "
            "freeze the whole model first, then let the head learn again."
        )
    if any(parameter.requires_grad for parameter in body.parameters()):
        raise Wrong(
            f"After {call} parameters outside of the head have requires_grad True, so the optimizer would change them."
        )
    before = body[1].running_mean.clone()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        whole(torch.rand(5, 1, 6, 6) + 1)
    if not torch.equal(body[1].running_mean, before):
        raise Wrong(
            f"After {call} a batch moved the running mean of the batch norm from {before[0]:.3f} to "
            f"{body[1].running_mean[0]:.3f}: it is in training mode. Frozen weights are not enough; it needs eval()."
        )
    if body[2].training:
        raise Wrong(f"After {call} a dropout outside of the head is in training mode, and drops what should rest.")
    if not head.training or not head[0].training:
        raise Wrong(
            f"After {call} the head is in evaluation mode, so its dropout does nothing while it learns: call "
            "head.train() after model.eval()."
        )


def _check_grey_kernels(answer: Callable[..., Any]) -> None:
    import torch

    weight = torch.tensor([3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4]).reshape(
        2, 3, 2, 2
    )
    given = weight.clone()
    wanted = weight.sum(dim=1, keepdim=True)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    mean = (
        "that is the mean. A grey pixel stands for red, green and blue at once, and a convolution adds its channels "
        "up, so the answers would be a third of what they were"
    )
    hints = {
        weight.mean(dim=1, keepdim=True): mean,
        weight.mean(dim=1): mean,
        weight.sum(dim=1): "the channels are summed, but the dimension is gone: a convolution's weight has four, so "
        "keep it (keepdim=True)",
        weight.sum(dim=1)[None]: "the channels are summed, but the dimension is back at the wrong place: it is dim=1",
        wanted.expand(-1, 3, -1, -1): "the kernels are summed, but a grey image has one channel, not three",
        weight.sum(dim=0, keepdim=True): "that is a sum over the output channels; the input channels are dim=1",
        weight.amax(dim=1, keepdim=True): "that is the largest of the three; a convolution adds its channels up",
        (weight * luma).sum(dim=1, keepdim=True): "those are the shares by which colour becomes grey; here grey takes "
        "the place of three equal channels",
    }
    for place, colour in enumerate(("red", "green", "blue")):
        hints[weight[:, place : place + 1]] = f"that is {colour} alone; the other two saw something too"
    got = answer(given)
    if not torch.equal(given, weight):
        raise Wrong("grey_kernels(weight) changed the weight it was given: compute a new tensor.")
    expect_equal(got, wanted, call="grey_kernels(weight) with weight of shape (2, 3, 2, 2)", hints=hints)


EXERCISES = (
    Exercise(
        name="stage_rates",
        task="The learning rate of each of the `stages` of a network, as a list from the image to the head. The head, "
        "which is the last stage, has `lr`; each stage before it has `decay` times the rate of the one behind it. "
        "stage_rates(0.02, decay=0.5, stages=3) is [0.005, 0.01, 0.02].",
        stub="def stage_rates(lr: float, *, decay: float, stages: int) -> list[float]:",
        check=_check_stage_rates,
    ),
    Exercise(
        name="rest_all_but_head",
        task="Prepare a network for a training in which nothing but its head changes; `head` is a part of `model`. "
        "Outside of the head no parameter may get a gradient, no batch norm may move its statistics, and no dropout "
        "may drop anything. The head itself learns, and is in training mode. Nothing is returned.",
        stub="def rest_all_but_head(model: nn.Module, head: nn.Module) -> None:",
        check=_check_rest_all_but_head,
    ),
    Exercise(
        name="grey_kernels",
        task="The weight of a first convolution for grey images, (out, 1, k, k), out of one for colour, "
        "(out, 3, k, k): a grey image must get the answer that the old weight gives to three equal channels.",
        stub="def grey_kernels(weight: Tensor) -> Tensor:",
        check=_check_grey_kernels,
    ),
)
