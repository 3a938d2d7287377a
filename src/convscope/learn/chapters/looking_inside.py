"""Exercises of the chapter on looking inside a trained network."""

from collections.abc import Callable
from typing import Any

from convscope.learn.exercise import Exercise, Wrong, expect_equal


def _check_without_channel(answer: Callable[..., Any]) -> None:
    import torch

    maps = torch.arange(1.0, 13.0).view(2, 3, 1, 2)  # (N, K, h, w)
    wanted, image, column, rest = maps.clone(), maps.clone(), maps.clone(), torch.zeros_like(maps)
    wanted[:, 1] = 0
    image[1] = 0
    column[..., 1] = 0
    rest[:, 1] = maps[:, 1]
    given = maps.clone()
    got = answer(given, 1)
    call = "without_channel(maps of shape (2, 3, 1, 2), 1)"
    if not torch.equal(given, maps):
        raise Wrong(f"{call} changed the maps that it was given: work on a copy, maps.clone().")
    shorter = "the channel is gone, and the next layer would not fit: it stays, and all its values are 0"
    if isinstance(got, torch.Tensor) and got.shape == (2, 2, 1, 2):
        raise Wrong(f"{call} gave a tensor of shape (2, 2, 1, 2), not (2, 3, 1, 2): {shorter}.")
    expect_equal(
        got,
        wanted,
        call=call,
        hints={
            image: "that is an image switched off: channels are the second axis, maps[:, channel]",
            column: "that is a column of pixels: channels are the second axis, maps[:, channel]",
            rest: "the other way round: this channel becomes 0, and the others stay",
            maps: "nothing was switched off",
        },
    )
    first = maps.clone()
    first[:, 0] = 0
    expect_equal(answer(maps.clone(), 0), first, call="without_channel(the same maps, 0)")


def _check_grad_cam_map(answer: Callable[..., Any]) -> None:
    import torch

    maps = torch.tensor([[[[1.0, 0], [2, 1]], [[0, 3], [1, 0]]]])
    gradients = torch.tensor([[[[2.0, 0], [1, 1]], [[-1, 0], [0, -1]]]])
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    summed, before_sum = (weights * maps).sum(dim=1), (weights * maps).relu().sum(dim=1)
    strong = maps.mean(dim=(2, 3), keepdim=True)
    expect_equal(
        answer(maps.clone(), gradients.clone()),
        summed.relu(),
        call="grad_cam_map of the chapter's two maps and gradients",
        hints={
            summed: "the ReLU is missing: only what speaks for the class is kept",
            before_sum: "the ReLU comes after the sum, and neither weights nor single maps have one: a map that speaks "
            "against the class takes away from the others",
            4 * summed.relu(): "a map's weight is the mean of its gradient, not the sum",
            (gradients * maps).sum(dim=1).relu(): "each place has its own gradient as weight: take the mean of the "
            "gradient over the whole map",
            (weights * maps).mean(dim=1).relu(): "the weighted maps are added up, not averaged",
            summed.relu()[:, None]: "the sum over the channels leaves one map for each image: (N, h, w)",
            (strong * gradients).sum(dim=1).relu(): "maps and gradients are exchanged",
            (weights[..., 0, 0] * maps)
            .sum(dim=1)
            .relu(): "the weights, of shape (N, K), were laid along the columns of "
            "the maps: they belong to the channels, as (N, K, 1, 1), which keepdim=True leaves",
            summed.abs(): "what is negative becomes 0, and not positive",
            summed.relu() / summed.max(): "it was divided by its largest value: that is for drawing, and not asked for",
        },
    )
    maps = torch.stack([torch.eye(2).expand(2, 2, 2), 2 * torch.ones(2, 2, 2)])  # (2, 2, 2, 2): two images
    gradients = torch.stack([torch.ones(2, 2, 2), torch.stack([torch.ones(2, 2), torch.zeros(2, 2)])])
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    expect_equal(
        answer(maps.clone(), gradients.clone()),
        (weights * maps).sum(dim=1).relu(),
        call="grad_cam_map of two images",
        hints={
            (gradients.mean(dim=(0, 2, 3))[:, None, None] * maps).sum(dim=1).relu(): "each image has weights of its "
            "own: take no mean over the batch",
        },
    )


def _check_occlusion_map(answer: Callable[..., Any]) -> None:
    import torch
    from torch import nn

    class Corner(nn.Module):
        """Two classes; the first one's logit is the sum of the upper left 2x2 pixels, the second one's is 0."""

        def __init__(self) -> None:
            super().__init__()
            self.dropout = nn.Dropout(0.5)

        def __repr__(self) -> str:
            return "a network"

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.ndim != 4:
                raise ValueError(f"the network takes images (N, C, H, W), and not {tuple(images.shape)}: image[None]")
            corner = self.dropout(images[:, 0, :2, :2].flatten(1)).sum(dim=1)
            return torch.stack([corner, torch.zeros_like(corner)], dim=1)

    image = torch.ones(1, 4, 4)
    image[0, 3, 3] = 5.0  # which the network does not look at
    before, half = torch.tensor([4.0, 0.0]).softmax(dim=0), 0.5
    wanted = torch.zeros(2, 2)
    wanted[0, 0] = before[0] - half
    call = "occlusion_map(a network that looks at the upper left 2x2 pixels, a 4x4 image, label=0, patch=2)"
    model, given = Corner().eval(), image.clone()
    got = answer(model, given, label=0, patch=2)
    if not torch.equal(given, image):
        raise Wrong(f"{call} changed the image that it was given: cover the square in a copy, image.clone().")
    logits, covered = torch.zeros(2, 2), torch.full((2, 2), float(before[0]))
    logits[0, 0], covered[0, 0] = 4.0, half
    relative, growing = wanted / before[0], torch.full((2, 2), float(before[0]) - half)
    left = torch.tensor([[0.0, 2.0], [2.0, 3.0]])  # of the logit, where squares begin one pixel apart
    dense = before[0] - left.sigmoid()
    expect_equal(
        got,
        wanted,
        call=call,
        hints={
            -wanted: "the sign: it is the probability before, less the one with the square covered",
            logits: "that is how far the logit falls: take the softmax first",
            covered: "these are the probabilities with the square covered: subtract them from the one before",
            relative: "that is the fall as a share of the probability before; asked for is the fall itself",
            growing: "squares that were covered once stay covered: begin anew with a copy of the image for each",
            dense: "the squares lie one pixel apart: the one in row i, column j begins at i * patch, j * patch",
            wanted.repeat_interleave(2, 0).repeat_interleave(2, 1): "one value for each square, (H/patch, W/patch)",
            wanted.flip(0): "the first row of the result belongs to the upper squares",
            wanted.flip(1): "the first column of the result belongs to the left squares",
        },
    )
    other = torch.zeros(2, 2)
    other[0, 0] = before[1] - half
    expect_equal(
        answer(model, image.clone(), label=1, patch=2),
        other,
        call=call.replace("label=0", "label=1"),
        hints={wanted: "that is the other class: explain the class `label`, whichever is predicted"},
    )
    wide = torch.zeros(2, 3)
    wide[0, 0] = before[0] - half
    expect_equal(
        answer(model, torch.ones(1, 4, 6), label=0, patch=2),
        wide,
        call="occlusion_map(the same network, an image of 4 rows and 6 columns, label=0, patch=2)",
        hints={wide.T: "rows come first: (H/patch, W/patch)", wanted: "images need not be square"},
    )


EXERCISES = (
    Exercise(
        name="without_channel",
        task="The `maps` of a layer, float32 (N, K, h, w), with one channel switched off: all values of that channel, "
        "in every image, are 0, and the others stay; so does the shape. The maps that are given are not changed. Of "
        "maps [[[[1, 2]], [[3, 4]]]] without channel 0 there remain [[[[0, 0]], [[3, 4]]]].",
        stub="def without_channel(maps: Tensor, channel: int) -> Tensor:",
        check=_check_without_channel,
    ),
    Exercise(
        name="grad_cam_map",
        task="Grad-CAM of a batch, float32 (N, h, w), from the `maps` of a layer and the `gradients` of the class's "
        "logit, both (N, K, h, w). Each image's map k is weighed by the mean of its gradient over all places; the "
        "weighted maps are added up over the channels, and what is negative becomes 0. Of a single map [[1, 2]] "
        "with gradient [[1, 0]] it is [[0.5, 1]].",
        stub="def grad_cam_map(maps: Tensor, gradients: Tensor) -> Tensor:",
        check=_check_grad_cam_map,
    ),
    Exercise(
        name="occlusion_map",
        task="By how much the probability of the class `label` falls when a square of `patch` x `patch` pixels of "
        "`image`, float32 (C, H, W), is set to 0: the probability before, less that with the square covered. The "
        "squares lie side by side, and H and W are multiples of `patch`: the result is float32 (H/patch, W/patch). "
        "`model` takes (N, C, H, W) and gives logits; it is in evaluation mode. The image stays as it is.",
        stub="def occlusion_map(model: nn.Module, image: Tensor, *, label: int, patch: int) -> Tensor:",
        check=_check_occlusion_map,
    ),
)
