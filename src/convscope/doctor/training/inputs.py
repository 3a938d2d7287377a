"""The images as a network sees them: augmented, resized and normalised."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from convscope.config import Config
from convscope.doctor.findings import Finding

LARGEST = 20.0
"""Values beyond which pixels cannot have been normalised: those of bytes go to 255, and a deviation of 0.05 of white
is the least that photos have."""
ALIKE = 1e-3
"""Deviation of the pixels below which there is nothing to see."""
OFF_CENTRE, NARROW, WIDE = 1.0, 0.4, 2.5
"""Mean, and bounds of the deviation, that standardised images keep whatever augmentation does to them."""


def describe_inputs(batches: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """`mean` and `std` of each channel, `least` and `largest` value, `differ` (deviation of a pixel from image to
    image, averaged over the pixels) and `not_finite` (share of the values), as JSON types.
    """
    images = torch.cat([images.float() for images, _ in batches])  # (N, C, H, W)
    finite = images[images.isfinite()]
    return {
        "shape": list(images.shape[1:]),
        "mean": images.mean(dim=(0, 2, 3)).tolist(),
        "std": images.std(dim=(0, 2, 3), correction=0).tolist(),
        "least": float(finite.min()) if len(finite) else None,
        "largest": float(finite.max()) if len(finite) else None,
        "differ": float(images.std(dim=0, correction=0).mean()),
        "not_finite": 1 - len(finite) / images.numel(),
    }


def find_wrong_inputs(inputs: dict[str, Any], config: Config) -> Iterator[Finding]:
    """What is wrong with images that `describe_inputs` has described; the first thing says it all."""
    least, largest, mean, std = inputs["least"], inputs["largest"], inputs["mean"], inputs["std"]
    standardised = config.scaling == "standardise" and config.pretrained is None
    remedy = (
        "Give the network pixels with mean 0 and deviation 1 over the training images: scaling standardise does that "
        "by their own statistics; `convscope doctor data` checks a mean and a deviation of yours."
    )
    if inputs["not_finite"]:
        yield Finding(
            kind="images not finite",
            severity="severe",
            what=f"{inputs['not_finite']:.2%} of the values that the network sees are infinite or not numbers.",
            why="One such value makes the loss, and after one step every weight, not a number.",
            remedy="Look for a division by zero where the images are prepared, such as by a deviation of 0.",
            share=inputs["not_finite"],
        )
    elif inputs["differ"] < ALIKE:
        yield Finding(
            kind="images all alike",
            severity="severe",
            what=f"from image to image, the values that the network sees differ by {inputs['differ']:.1g} only.",
            why="What looks alike gets the same answer.",
            remedy=f"{remedy} Look at the images themselves with `convscope data show`.",
        )
    elif max(largest, -least) > LARGEST:
        yield Finding(
            kind="images not normalised",
            severity="severe",
            what=f"the values that the network sees go from {least:.3g} to {largest:.3g}, with deviation "
            f"{max(std):.3g}.",
            why="Weights are initialised, and learning rates chosen, for values with deviation 1. Of pixels as bytes, "
            "from 0 to 255, outputs and gradients are a hundred times as large.",
            remedy=remedy,
        )
    elif standardised and (least >= 0 or max(map(abs, mean)) > OFF_CENTRE or min(std) < NARROW or max(std) > WIDE):
        yield Finding(
            kind="images not normalised",
            severity="warning",
            what=f"the values that the network sees go from {least:.3g} to {largest:.3g}, with mean "
            f"{' '.join(f'{value:.3g}' for value in mean)} and deviation {' '.join(f'{value:.3g}' for value in std)}, "
            "though the setting standardises them.",
            why="Weights are initialised for values with mean 0 and deviation 1; from others a network learns more "
            "slowly, or needs another learning rate.",
            remedy=remedy,
        )
