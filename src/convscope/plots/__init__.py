"""The pictures: how training went, what a data set holds, what a network gets right and wrong, what is inside of it,
and how a search went.

Every function returns a `matplotlib.figure.Figure`, which a notebook shows and `save_figure` writes. Pyplot,
with its windows and its global list of open figures, is not used. Matplotlib is imported with the first picture.

Shapes: N images, C channels (1 or 3), H, W pixels, K classes. Arrays are numpy or whatever numpy can read.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "data": ("class_distribution", "image_sizes", "mean_images", "sample_strip"),
    "doctor": ("loss_over_rate", "one_batch", "through_depth"),
    "interpret": ("activation_maps", "attributions", "channel_effects", "embedding", "exciting_patches", "filters"),
    "predictions": ("confusion_matrix", "prediction_grid", "reliability"),
    "search": ("Scale", "importances", "parallel_coordinates", "slices", "trial_history"),
    "style": ("save_figure", "svg"),
    "training": ("curves",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
