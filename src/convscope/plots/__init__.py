"""The pictures: how training went, what a data set holds, what a network gets right and wrong, what is inside of it,
and how a search went.

Every function returns a `matplotlib.figure.Figure`, which a notebook shows and `save_figure` writes. Pyplot,
with its windows and its global list of open figures, is not used.

Shapes: N images, C channels (1 or 3), H, W pixels, K classes. Arrays are numpy or whatever numpy can read.
"""

from convscope.plots.data import class_distribution, image_sizes, mean_images, sample_strip
from convscope.plots.doctor import loss_over_rate, one_batch, through_depth
from convscope.plots.interpret import (
    activation_maps,
    attributions,
    channel_effects,
    embedding,
    exciting_patches,
    filters,
)
from convscope.plots.predictions import confusion_matrix, prediction_grid, reliability
from convscope.plots.search import Scale, importances, parallel_coordinates, slices, trial_history
from convscope.plots.style import save_figure, svg
from convscope.plots.training import curves

__all__ = [
    "Scale",
    "activation_maps",
    "attributions",
    "channel_effects",
    "class_distribution",
    "confusion_matrix",
    "curves",
    "embedding",
    "exciting_patches",
    "filters",
    "image_sizes",
    "importances",
    "loss_over_rate",
    "mean_images",
    "one_batch",
    "parallel_coordinates",
    "prediction_grid",
    "reliability",
    "sample_strip",
    "save_figure",
    "slices",
    "svg",
    "through_depth",
    "trial_history",
]
