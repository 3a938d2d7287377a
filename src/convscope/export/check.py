"""Whether an exported network answers as the run does: on test images, before the file counts as done."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.engines.deployable import Deployable
from convscope.errors import ConvscopeError
from convscope.export.formats import Answer

TOLERANCE = 1e-4
"""Of answers in float32: how far off they may be, as a share of the largest one, or of 1 if that is less."""
LEAST_AGREEMENT = 0.9
"""Of answers in 8 bits: share of the images that must get the class they get from the run."""


@dataclass(frozen=True)
class Check:
    """How near an exported network comes to the run."""

    images: int
    """Test images that both answered about."""
    largest_difference: float
    """Between their answers for a class (logits, or probabilities), over all classes and images."""
    tolerance: float | None
    """What it may be; None in 8 bits, where agreement decides."""
    agreement: float
    """Share of the images that get the same likeliest class."""


@torch.inference_mode()
def ask_both(batches: Iterable[Tensor], run: Answer, export: Answer) -> tuple[Tensor, Tensor]:
    """What the run and the export answer, (N, num_classes) each, about images uint8 (N, channels, H, W) in batches."""
    pairs = [(run(batch), export(batch)) for batch in batches]
    expected, answers = zip(*pairs, strict=True)
    return torch.cat(expected), torch.cat(answers)


def compare(expected: Tensor, answers: Tensor, *, int8: bool) -> Check:
    """Compare the answers (N, num_classes) of a run and of its export.

    Raises:
        ConvscopeError: they are farther from each other than they may be.
    """
    difference = (answers - expected).abs().max().item()
    agreement = (answers.argmax(dim=1) == expected.argmax(dim=1)).float().mean().item()
    if int8:
        if not agreement >= LEAST_AGREEMENT:
            raise ConvscopeError(
                f"in int8 the network names another class than the run for {1 - agreement:.1%} of {len(answers):,} "
                f"test images, more than {1 - LEAST_AGREEMENT:.0%}, so nothing was written: leave int8 out."
            )
        return Check(len(answers), difference, None, agreement)
    tolerance = _tolerance(expected)
    if not difference <= tolerance:  # nor if it is no number
        raise ConvscopeError(
            f"the exported network disagrees with the run: its answers to {len(answers):,} test images differ by up "
            f"to {difference:.3g}, more than {tolerance:.3g}, so nothing was written: choose another format, "
            f"and report this."
        )
    return Check(len(answers), difference, tolerance, agreement)


@torch.inference_mode()
def check_other_shapes(images: Tensor, export: Answer, deployable: Deployable) -> None:
    """Compare answers about images that are no squares, cut out of these, with those of the module that was exported.

    Raises:
        ConvscopeError: they differ.
    """
    side = images.shape[2]
    for height, width in ((side, side // 2 + 1), (side // 3 + 1, side)):
        cut = images[:, :, :height, :width].contiguous()
        expected = deployable(cut)
        difference = (export(cut) - expected).abs().max().item()
        if not difference <= _tolerance(expected):
            raise ConvscopeError(
                f"the exported network disagrees with the run about images of {height}x{width} pixels, by up to "
                f"{difference:.3g}, so nothing was written: choose another format, and report this."
            )


def _tolerance(expected: Tensor) -> float:
    return TOLERANCE * max(1.0, expected.abs().max().item())
