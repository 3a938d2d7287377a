"""Data sets: where they lie, how they are read, described, preprocessed, augmented and cut into batches.

The public names are imported on first use, because most of them need torch and the lists of data sets do not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.data.augment import Augmentation
    from convscope.data.batches import Batches
    from convscope.data.datasets import is_photos, load_splits, load_train_test
    from convscope.data.idx import read_idx, write_idx
    from convscope.data.imageset import ImageSet
    from convscope.data.photos import load_photos
    from convscope.data.preprocessing import Preprocessing, Scaling
    from convscope.data.sources import fetch, locate
    from convscope.data.splits import Skipped, Splits, stratified_split
    from convscope.data.statistics import (
        Statistics,
        border_brightness,
        channel_statistics,
        class_counts,
        mean_image_per_class,
    )

_ROOMS = {
    "augment": ("Augmentation",),
    "batches": ("Batches",),
    "datasets": ("is_photos", "load_splits", "load_train_test"),
    "idx": ("read_idx", "write_idx"),
    "imageset": ("ImageSet",),
    "photos": ("load_photos",),
    "preprocessing": ("Preprocessing", "Scaling"),
    "sources": ("fetch", "locate"),
    "splits": ("Skipped", "Splits", "stratified_split"),
    "statistics": ("Statistics", "border_brightness", "channel_statistics", "class_counts", "mean_image_per_class"),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Augmentation",
    "Batches",
    "ImageSet",
    "Preprocessing",
    "Scaling",
    "Skipped",
    "Splits",
    "Statistics",
    "border_brightness",
    "channel_statistics",
    "class_counts",
    "fetch",
    "is_photos",
    "load_photos",
    "load_splits",
    "load_train_test",
    "locate",
    "mean_image_per_class",
    "read_idx",
    "stratified_split",
    "write_idx",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
