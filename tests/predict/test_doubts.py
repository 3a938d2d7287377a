"""Doubts about a batch are those about each of its images."""

import torch

from convscope.predict.doubts import doubts, inverted


def test_each_image_of_a_batch_gets_its_own() -> None:
    dark = torch.zeros(1, 8, 8, dtype=torch.uint8)
    dark[:, 2:6, 2:6] = 200
    light = 255 - dark
    grey = torch.full((1, 8, 8), 130, dtype=torch.uint8)
    reasons = doubts(torch.stack([dark, light, grey, dark]), 0.05, exchanged=False)
    assert reasons[0] is reasons[3] is None
    assert reasons[1] is not None and "--invert exchanges" in reasons[1]
    assert reasons[2] is not None and "same brightness everywhere" in reasons[2]
    assert [inverted(image, 0.05) for image in (dark, light, grey)] == [False, True, False]
    (reason,) = doubts(light[None], 0.05, exchanged=True)
    assert reason is not None and "leave --invert out" in reason


def test_colours_count_all_alike() -> None:
    bluish = torch.zeros(3, 6, 6, dtype=torch.uint8)
    bluish[2] = 255
    bluish[0, 3, 3] = 9
    assert not inverted(bluish, 0.05), "a third of the brightness is not light"
