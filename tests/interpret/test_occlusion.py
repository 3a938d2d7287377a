"""Occlusion against covering one square after the other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from convscope.errors import UserError
from convscope.interpret import explain
from convscope.interpret.occlusion import occlusion
from convscope.models import build_model


def looks_at(row: int, column: int, *, size: int) -> nn.Module:
    """A network with two classes whose first logit is the brightness of one pixel, and the second 0."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(size * size, 2, bias=False))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[0, row * size + column] = 1
    return model


def test_by_hand() -> None:
    images = torch.full((1, 1, 3, 3), 2.0)
    model = looks_at(0, 0, size=3)
    fall = (torch.tensor(2.0).sigmoid() - 0.5).item()  # a logit of 2 becomes one of 0
    # Of the four 2x2 squares one covers the pixel; the neighbours share it with one square more, the centre with three.
    wanted = torch.tensor([[fall, fall / 2, 0], [fall / 2, fall / 4, 0], [0, 0, 0]])
    torch.testing.assert_close(occlusion(model, images, patch=2, stride=1)[0], wanted)
    torch.testing.assert_close(occlusion(model, images, patch=2, stride=1, classes=torch.tensor([1]))[0], -wanted)
    assert not occlusion(model, images, patch=2, stride=1, fill=2.0).any()  # covered by what is there anyway


@given(
    height=st.integers(3, 9),
    width=st.integers(3, 9),
    patch=st.integers(1, 3),
    stride=st.integers(1, 3),
    batch_size=st.integers(1, 9),
)
def test_by_covering_square_after_square(height: int, width: int, patch: int, stride: int, batch_size: int) -> None:
    stride = min(stride, patch)
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(2 * height * width, 3)), torch.randn(2, 2, height, width)
    classes = torch.tensor([2, 0])
    tops, lefts = ({*range(0, side - patch, stride), side - patch} for side in (height, width))
    falls: list[list[list[torch.Tensor]]] = [[[] for _ in range(width)] for _ in range(height)]
    with torch.no_grad():
        before = model(images).softmax(dim=1)[[0, 1], classes]
        for top in tops:
            for left in lefts:
                covered = images.clone()
                covered[:, :, top : top + patch, left : left + patch] = 0.5
                after = model(covered).softmax(dim=1)[[0, 1], classes]
                for row in range(top, top + patch):
                    for column in range(left, left + patch):
                        falls[row][column].append(before - after)
    wanted = torch.stack([torch.stack([torch.stack(cell).mean(dim=0) for cell in row], dim=1) for row in falls], dim=1)
    found = occlusion(model, images, classes=classes, patch=patch, stride=stride, fill=0.5, batch_size=batch_size)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_default_square_predicted_class_and_progress() -> None:
    model, images = build_model("tinyvgg", seed=0).eval(), torch.randn(3, 1, 28, 28)
    steps: list[tuple[str, int, int]] = []
    found = explain(model, images, method="occlusion", progress=lambda *step: steps.append(step))
    assert found.shape == (3, 28, 28) and found.dtype == torch.float32
    # Squares of 7x7 begin at 0, 3, 6, ..., 18 and 21.
    assert {step[2] for step in steps} == {8 * 8} and steps[-1][1] == 8 * 8
    with torch.no_grad():
        predicted = model(images).argmax(dim=1)
    torch.testing.assert_close(found, occlusion(model, images, classes=predicted, patch=7, stride=3, batch_size=1))


@pytest.mark.parametrize(("patch", "stride"), [(0, 1), (5, 1), (2, 3), (2, 0)])
def test_squares_that_do_not_fit(patch: int, stride: int) -> None:
    with pytest.raises(UserError, match="patch from 1 to 4 and a stride from 1 to the patch"):
        occlusion(looks_at(0, 0, size=4), torch.zeros(1, 1, 4, 4), patch=patch, stride=stride)
