"""The patches that excite a channel most."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from convscope.data import ImageSet, Preprocessing
from convscope.errors import UserError
from convscope.interpret import exciting, record
from convscope.interpret.patches import field_box
from convscope.interpret.sampling import spread
from convscope.models import build_model
from convscope.models.summary import summarise

SIZE = 32


def plain(size=SIZE):
    """Pixels in [0, 1] and nothing else."""
    return Preprocessing(size=size, channels=1, mean=(0.0,), std=(1.0,), border=0.0, decode_size=size, resize="pad")


def grey(images):
    return ImageSet(images, torch.zeros(len(images), dtype=torch.int64), ("thing",))


def windows():
    """Arguments of a convolution or pool that leaves something of 32 pixels three times over."""
    return st.builds(
        lambda kernel, stride, padding, dilation: {
            "kernel_size": kernel,
            "stride": stride,
            "padding": min(padding, kernel // 2),
            "dilation": dilation,
        },
        kernel=st.integers(1, 3),
        stride=st.integers(1, 2),
        padding=st.integers(0, 2),
        dilation=st.integers(1, 2),
    )


def network(first, second, pool):
    """Two convolutions with weights above zero and no bias, and a max pool between them."""
    pool = pool | {"dilation": 1}
    model = nn.Sequential(
        nn.Conv2d(1, 2, bias=False, **first), nn.MaxPool2d(**pool), nn.Conv2d(2, 3, bias=False, **second)
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.1 + torch.rand(parameter.shape, generator=generator))
    return model


@settings(max_examples=40)
@given(windows(), windows(), windows(), st.integers(0, SIZE - 1), st.integers(0, SIZE - 1), st.integers(0, 4))
def test_a_bright_spot_is_found_at_its_place(first, second, pool, row, column, which):
    model = network(first, second, pool)
    images = torch.zeros(5, 1, SIZE, SIZE, dtype=torch.uint8)
    images[which, 0, row, column] = 255
    maps = record(model, images / 255, ["2"])["2"]
    assume(maps.max() > 0)  # windows that step over pixels do not see each of them
    found = exciting(model, plain(), grey(images), "2", k=2, batch_size=2)
    assert sorted(found) == [0, 1, 2]
    for channel, (best, second_best) in found.items():
        assert best.image == which
        assert best.value == pytest.approx(maps[which, channel].max().item())
        assert second_best.value == 0
        x0, y0, x1, y1 = best.box
        assert x0 <= column < x1 and y0 <= row < y1


@settings(max_examples=40)
@given(windows(), windows(), windows(), st.data())
def test_a_box_holds_all_that_a_value_depends_on(first, second, pool, data):
    model = network(first, second, pool)
    field = summarise(model, (1, SIZE, SIZE)).layers[-1].receptive_field
    image = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    maps = model(image)
    place = (data.draw(st.integers(0, maps.shape[2] - 1)), data.draw(st.integers(0, maps.shape[3] - 1)))
    x0, y0, x1, y1 = field_box(field, place, SIZE)
    other = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    other[:, :, y0:y1, x0:x1] = image[:, :, y0:y1, x0:x1]
    torch.testing.assert_close(model(other)[0, :, *place], maps[0, :, *place])


def test_a_box_holds_no_more_than_that():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.AvgPool2d(3, stride=2), nn.Conv2d(1, 1, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1)
    field = summarise(model, (1, SIZE, SIZE)).layers[-1].receptive_field
    image = torch.zeros(1, 1, SIZE, SIZE, requires_grad=True)
    maps = model(image)
    for row in range(maps.shape[2]):
        for column in range(maps.shape[3]):
            (gradient,) = torch.autograd.grad(maps[0, 0, row, column], image, retain_graph=True)
            rows, columns = (gradient[0, 0].amax(dim=dim).nonzero().flatten().tolist() for dim in (1, 0))
            box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            assert field_box(field, (row, column), SIZE) == box


def test_patches_of_a_real_network_have_the_values_that_it_gives(fashion_splits):
    model = build_model("tinyvgg", seed=0).train()
    preprocessing = Preprocessing.for_training(fashion_splits.train)
    few = fashion_splits.test.select(torch.arange(50))
    found = exciting(model, preprocessing, few, "block2.conv1", channels=[5, 0], k=3)
    maps = record(model, preprocessing(few.take(torch.arange(50))), ["block2.conv1"])["block2.conv1"]
    assert list(found) == [5, 0]
    assert model.training
    for channel, patches in found.items():
        best = maps[:, channel].amax(dim=(1, 2)).topk(3)
        assert [patch.image for patch in patches] == best.indices.tolist()
        for patch in patches:
            assert patch.value == pytest.approx(maps[patch.image, channel, *patch.place].item())


def test_layers_without_maps_and_limits(fashion_splits):
    model = build_model("linear", seed=0)
    preprocessing = Preprocessing.for_training(fashion_splits.train)
    told = []
    found = exciting(
        *(model, preprocessing, fashion_splits.test, "output"),
        limit=10,
        batch_size=4,
        progress=lambda name, done, total: told.append((name, done, total)),
    )
    assert told == [("searching images for output", done, 10) for done in (4, 8, 10)]
    for patches in found.values():
        assert len(patches) == 9
        assert {patch.image for patch in patches} <= set(spread(200, 10).tolist())
        assert {(patch.place, patch.box) for patch in patches} == {((0, 0), (0, 0, 28, 28))}


def test_what_cannot_be_searched_is_refused(fashion_splits):
    model = build_model("tinyvgg", seed=0)
    preprocessing = Preprocessing.for_training(fashion_splits.train)
    with pytest.raises(UserError, match=r"unknown layer 'block2\.con1': did you mean 'block2\.conv1'"):
        exciting(model, preprocessing, fashion_splits.test, "block2.con1")
    for channel in (64, -1):
        with pytest.raises(UserError, match=f"has 64 channels and no channel {channel}:"):
            exciting(model, preprocessing, fashion_splits.test, "block2.conv1", channels=[channel])
    with pytest.raises(UserError, match=r"no channel of 'block2\.conv1' is chosen"):
        exciting(model, preprocessing, fashion_splits.test, "block2.conv1", channels=[])
    with pytest.raises(UserError, match="at least 1 of each"):
        exciting(model, preprocessing, fashion_splits.test, "block2.conv1", k=0)


@given(st.integers(1, 500), st.integers(1, 600))
def test_images_are_spread_evenly(count, limit):
    chosen = spread(count, limit)
    assert len(chosen) == min(count, limit)
    assert chosen[0] == 0 and chosen[-1] < count
    if len(chosen) > 1:
        steps = chosen.diff()
        assert steps.min() >= 1 and steps.max() - steps.min() <= 1
