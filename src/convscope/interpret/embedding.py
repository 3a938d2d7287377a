"""What a network sees of many images, laid out in a plane: images that are alike to it lie near each other.

Two ways. Principal components (Pearson 1901) are a shadow of the points in the direction that shows most of their
spread: distances in it are those of the space, as far as two dimensions can keep them. t-SNE (van der Maaten & Hinton,
Visualizing data using t-SNE, JMLR 9, 2008) gives up far distances to keep neighbours: groups are to be trusted, the
space between them and their sizes are not.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from convscope.downloads import Progress
from convscope.errors import UserError

_EXAGGERATION = 12.0
"""§3.4 of the paper calls it early exaggeration; 12 is the value of van der Maaten's later programs."""
_EXAGGERATED_STEPS = 250
_SMALLEST = 1e-12
"""Keeps logarithms of probabilities finite."""


@dataclass(frozen=True)
class Components:
    """Points in the plane of the first two principal components."""

    points: Tensor
    """float32 (N, 2)."""
    explained: tuple[float, float]
    """Share of the features' variance along each axis, 0 to 1."""


@dataclass(frozen=True)
class Neighbourhoods:
    """Points that t-SNE has laid out."""

    points: Tensor
    """float32 (N, 2)."""
    divergences: tuple[float, ...]
    """The Kullback-Leibler divergence before the first step and after every fiftieth, in nats; it is what falls."""


def principal_components(features: Tensor) -> Components:
    """Features (N, F) in the plane in which they vary most; each axis points to where its largest value lies.

    Raises:
        UserError: fewer than three images.
    """
    _check(features)
    centred = features.double() - features.double().mean(dim=0)  # (N, F)
    left, sizes, _ = torch.linalg.svd(centred, full_matrices=False)
    points = left[:, :2] * sizes[:2]  # (N, 2), or (N, 1) of one feature
    points = torch.nn.functional.pad(points, (0, 2 - points.shape[1]))
    # The decomposition leaves it open which way an axis points.
    points = points * points.gather(0, points.abs().argmax(dim=0, keepdim=True)).sign()
    variance = points.square().sum(dim=0) / centred.square().sum().clamp(min=_SMALLEST)
    return Components(points.float(), (variance[0].item(), variance[1].item()))


def tsne(
    features: Tensor, *, perplexity: float = 30.0, steps: int = 750, progress: Progress | None = None
) -> Neighbourhoods:
    """Features (N, F) laid out so that near ones stay near; for two thousand images at most, as it looks at every pair.

    An image has `perplexity` neighbours, more or less; a third of the images at most. The descent takes so many `steps`
    with momentum (§3.4), and `progress` is told of every fiftieth. It starts from the principal components (Kobak &
    Berens, The art of using t-SNE for single-cell transcriptomics, Nature Communications 10, 2019), which leaves
    nothing to chance: the same features give the same points.

    Raises:
        UserError: fewer than three images, or a perplexity below 1.
    """
    _check(features)
    if perplexity < 1:
        raise UserError(f"the perplexity is {perplexity}, but an image has a neighbour at least: give 1 or more.")
    count = len(features)
    near = joint_probabilities(features, min(perplexity, (count - 1) / 3))  # (N, N)
    points = principal_components(features).points
    points = points / points[:, 0].std().clamp(min=_SMALLEST) * 1e-4
    # Grows with N: Belkina et al., Automated optimized parameters for t-SNE, Nature Communications 10, 2019.
    lr = max(count / _EXAGGERATION, 50.0)
    velocity, gains = torch.zeros_like(points), torch.ones_like(points)
    divergences = [divergence(near, points)]
    for step in range(steps):
        early = step < _EXAGGERATED_STEPS
        slope = gradient(near * _EXAGGERATION if early else near, points)
        # Each coordinate steps further while it keeps its direction (Jacobs 1988, as the paper's §3.4 has it).
        gains = torch.where(slope.sign() == velocity.sign(), gains * 0.8, gains + 0.2).clamp(min=0.01)
        velocity = (0.5 if early else 0.8) * velocity - lr * gains * slope
        points = points + velocity
        points = points - points.mean(dim=0)
        if (step + 1) % 50 == 0 or step + 1 == steps:
            divergences.append(divergence(near, points))
            if progress is not None:
                progress("t-SNE", step + 1, steps)
    return Neighbourhoods(points, tuple(divergences))


def joint_probabilities(features: Tensor, perplexity: float) -> Tensor:
    """How near each two of the features (N, F) are to each other: p_ij of the paper's §3.1, (N, N), with the sum 1.

    Each image has a Gaussian of its own whose width gives it `perplexity` neighbours, 2 to the power of the entropy.
    All widths are sought at once, by halving intervals of their logarithms.
    """
    distances = torch.cdist(features.double(), features.double()).square()  # (N, N)
    # Where the features are large or small as a whole, so are the widths; the probabilities do not change.
    distances /= distances.mean().clamp(min=_SMALLEST)
    distances.fill_diagonal_(torch.inf)  # nobody is a neighbour of himself
    low = torch.full((len(features), 1), -20.0, dtype=torch.double, device=features.device)  # of log precisions
    high = -low
    for _ in range(50):
        middle = (low + high) / 2
        conditional = torch.softmax(-distances * middle.exp(), dim=1)  # p_j|i, equation 1
        entropy = torch.special.entr(conditional).sum(dim=1, keepdim=True)
        wide = entropy > math.log(perplexity)
        low, high = torch.where(wide, middle, low), torch.where(wide, high, middle)
    return ((conditional + conditional.T) / (2 * len(features))).float()


def gradient(near: Tensor, points: Tensor) -> Tensor:
    """The slope of the divergence at the points (N, 2), by equation 5: (N, 2)."""
    closeness = _closeness(points)
    pulls = (near - closeness / closeness.sum()) * closeness  # (N, N), symmetric
    return 4 * (pulls.sum(dim=1, keepdim=True) * points - pulls @ points)


def divergence(near: Tensor, points: Tensor) -> float:
    """The Kullback-Leibler divergence of the points' own neighbourhoods from `near`, in nats (equation 2)."""
    closeness = _closeness(points)
    own = closeness / closeness.sum()
    terms = near * ((near + _SMALLEST) / (own + _SMALLEST)).log()
    return terms.sum().item()


def _closeness(points: Tensor) -> Tensor:
    """1 / (1 + squared distance) of each two points, 0 of a point with itself: (N, N), the numerator of equation 4."""
    squares = points.square().sum(dim=1)
    # |a - b|² = |a|² + |b|² - 2ab, in place, for the memory is what this waits for.
    closeness = torch.addmm(squares[:, None] + 1, points, points.T, alpha=-2).add_(squares)
    return closeness.clamp_(min=1).reciprocal_().fill_diagonal_(0)


def _check(features: Tensor) -> None:
    if len(features) < 3:
        raise UserError(f"{len(features)} images make no picture of how they lie: give at least three.")
