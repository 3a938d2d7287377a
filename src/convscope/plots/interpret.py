"""What is inside of a network: filters, activation maps, attribution maps, and what its features and channels do."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib import patheffects, style
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from convscope.plots.sheet import Tile, draw_sheet, picture_of
from convscope.plots.style import INK, LOOK, MUTED, PALETTE, short_name, tick_size

DIVERGING = "RdBu_r"
"""Red above zero, white at zero, blue below: distinct under every common colour blindness."""
HEAT = "inferno"

ExcitingPatch = tuple[ArrayLike, tuple[int, int, int, int], float]
"""An image (C, H, W), uint8 or in [0, 1], a box in it (x0, y0, x1, y1), and the channel's value there."""


@style.context(["default", LOOK])
def filters(pictures: ArrayLike, largest: float, layer: str) -> Figure:
    """Filters (O, C, h, w) in [0, 1], where 0.5 is a weight of zero and 1 a weight of `largest`.

    Those of three channels in their colours, those of one from blue over white to red.
    """
    shown = np.asarray(pictures)
    count, channels, height, width = shown.shape
    if channels == 3:
        tiles = [Tile(picture_of(picture), str(number)) for number, picture in enumerate(shown)]
    else:
        tiles = [Tile(_signed(2 * picture[0] - 1, 1), str(number)) for number, picture in enumerate(shown)]
    rows = [tiles[start : start + 16] for start in range(0, count, 16)]
    title = f"{layer}: {count} filters of {channels} x {height} x {width}"
    figure = draw_sheet(rows, title=title, side=0.62, spare=0.0 if channels == 3 else 1.0)
    if channels != 3:
        place = figure.axes[0].get_position()
        inch = 1 / figure.get_figwidth()
        axes = figure.add_axes((place.x1 + 0.1 * inch, place.y0 + 0.1, 0.12 * inch, place.height - 0.15))
        bar = figure.colorbar(ScalarMappable(Normalize(-largest, largest), DIVERGING), cax=axes, label="weight")
        bar.outline.set_visible(False)
    return figure


@style.context(["default", LOOK])
def activation_maps(image: ArrayLike, layers: Mapping[str, tuple[Sequence[int], ArrayLike]]) -> Figure:
    """An image (C, H, W), uint8 or in [0, 1], and a row for each layer: numbers of channels, and their maps (k, h, w).

    Each map has a scale of its own, on which its value furthest from zero is fully red (above) or blue (below).
    """
    rows, names = [[Tile(picture_of(image))]], ["the image"]
    for name, (channels, maps) in layers.items():
        values = np.asarray(maps)
        rows.append([Tile(_signed(each, np.abs(each).max()), str(c)) for c, each in zip(channels, values, strict=True)])
        names.append(f"{name}\n{values.shape[1]} x {values.shape[2]}")
    return draw_sheet(rows, names=names, title="activation maps, channel by channel")


@style.context(["default", LOOK])
def exciting_patches(layer: str, channels: Mapping[int, Sequence[ExcitingPatch]]) -> Figure:
    """Of each channel the patches that excite it most; where the images they are from show more, these too."""
    rows: list[list[Tile]] = []
    names = []
    for channel, patches in channels.items():
        images = [picture_of(image) for image, _, _ in patches]
        boxes = [box for _, box, _ in patches]
        crops = [image[y0:y1, x0:x1] for image, (x0, y0, x1, y1) in zip(images, boxes, strict=True)]
        rows.append([Tile(crop, f"{value:.3g}") for crop, (_, _, value) in zip(crops, patches, strict=True)])
        names.append(f"channel {channel}")
        if any(crop.shape != image.shape for crop, image in zip(crops, images, strict=True)):
            rows.append([Tile(image, box=box) for image, box in zip(images, boxes, strict=True)])
            names.append("from")
    return draw_sheet(rows, names=names, title=f"{layer}: what excites its channels most, with the values")


@style.context(["default", LOOK])
def attributions(
    images: ArrayLike, maps: Mapping[str, ArrayLike], captions: Sequence[str], right: Sequence[bool]
) -> Figure:
    """Images (N, C, H, W), uint8 or in [0, 1], with captions, and for each method its maps (N, H, W) laid over them.

    Captions of images that are not `right` are red. Each map is scaled by its own largest value.
    """
    pictures = [picture_of(image) for image in np.asarray(images)]
    rows = [[Tile(*tile) for tile in zip(pictures, captions, (not r for r in right), strict=True)]]
    for method, values in maps.items():
        overlays = [_overlay(*pair) for pair in zip(pictures, np.asarray(values), strict=True)]
        rows.append([Tile(overlay, method if len(pictures) == 1 else "") for overlay in overlays])
    if len(pictures) == 1:  # side by side
        return draw_sheet([[tile for [tile] in rows]], side=1.5)
    return draw_sheet(rows, names=["the image", *maps], side=1.25)


@style.context(["default", LOOK])
def embedding(
    points: ArrayLike, labels: ArrayLike, predictions: ArrayLike, classes: Sequence[str], axes_names: tuple[str, str]
) -> Figure:
    """Points (N, 2) of images in the colours of their true classes, labels (N,); those predicted wrongly are crossed.

    Each class is named in the middle of its images, so that nothing hangs on colours alone.
    """
    places, truth = np.asarray(points), np.asarray(labels)
    wrong = truth != np.asarray(predictions)
    figure = Figure(figsize=(9, 7.5))
    axes = figure.subplots()
    colours = _class_colours(len(classes))
    axes.scatter(places[:, 0], places[:, 1], c=[colours[label] for label in truth], s=14, linewidths=0, alpha=0.75)
    axes.scatter(places[wrong, 0], places[wrong, 1], marker="x", s=26, c=INK, linewidths=0.9, label="predicted wrongly")
    outline = [patheffects.withStroke(linewidth=3, foreground="white")]
    present = np.unique(truth)
    middles = np.array([np.median(places[truth == label], axis=0) for label in present])
    for label, (x, y) in zip(present, _apart(middles, places), strict=True):
        axes.text(
            *(x, y, short_name(classes[label])),
            ha="center",
            va="center",
            fontsize=11 if len(classes) <= 20 else 7,
            fontweight="bold",
            color=_darker(colours[label]),
            path_effects=outline,
        )
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1], xticks=[], yticks=[])
    axes.set_title(f"{len(truth):,} images, {int(wrong.sum()):,} of them predicted wrongly")
    if wrong.any():
        axes.legend(loc="best")
    return figure


@style.context(["default", LOOK])
def channel_effects(
    channels: Sequence[int], change: ArrayLike, by_class: ArrayLike, classes: Sequence[str], layer: str
) -> Figure:
    """The change of the own class's mean probability without each channel, (c,), and by class, (c, K).

    Above all channels, from the one whose loss hurts most; below the first of them, class by class.
    """
    values, table = np.asarray(change), np.asarray(by_class)
    order = np.argsort(values, kind="stable")
    first = order[:12]
    num_classes = len(classes)
    figure = Figure(figsize=(float(np.clip(2.5 + 0.75 * num_classes, 7, 16)), 4.2 + 0.3 * len(first)))
    above, below = figure.subplots(2, 1, height_ratios=[2.2, 1 + 0.3 * len(first)])
    above.bar(range(len(order)), values[order], color=np.where(values[order] < 0, PALETTE[1], PALETTE[0]))
    above.axhline(0, color=MUTED, linewidth=0.8)
    above.set(xlabel="channels, from the one that is missed most", xticks=[], title=f"{layer}: without one channel")
    above.yaxis.set_major_formatter("{x:+.2%}")
    furthest = float(np.nanmax(np.abs(table[first]), initial=1e-6))
    below.imshow(table[first], cmap=DIVERGING, vmin=-furthest, vmax=furthest, aspect="auto")
    below.set_yticks(range(len(first)), [f"channel {channels[place]}" for place in first], fontsize=8)
    names = [short_name(name) for name in classes]
    below.set_xticks(range(num_classes), names, fontsize=tick_size(num_classes), rotation=30, ha="right")
    below.tick_params(length=0)
    below.spines[:].set_visible(False)
    below.set_title("the change of the true class's mean probability, class by class")
    if num_classes <= 20:
        for row, column in np.argwhere(np.isfinite(table[first])):
            value = table[first][row, column]
            colour = "white" if abs(value) > 0.6 * furthest else INK
            below.text(column, row, f"{value:+.1%}", ha="center", va="center", fontsize=7.5, color=colour)
    return figure


def _signed(values: NDArray[Any], largest: float) -> NDArray[Any]:
    """Values (h, w) as colours (h, w, 3) from blue at -largest to red at largest."""
    colours: NDArray[Any] = matplotlib.colormaps[DIVERGING](0.5 + values / (2 * (largest or 1.0)))
    return colours[:, :, :3]


def _overlay(picture: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """The picture (H, W, 3) in grey below the heat of the values (H, W), scaled from zero to the largest."""
    grey = picture.mean(axis=2, keepdims=True)
    strength = np.clip(values / (values.max() or 1.0), 0, 1)
    heat = matplotlib.colormaps[HEAT](strength)[:, :, :3]
    share = 0.25 + 0.5 * strength[:, :, None]  # so that the image stays to be seen
    blend: NDArray[Any] = (1 - share) * grey + share * heat
    return blend


def _class_colours(count: int) -> list[Any]:
    """A colour for each class; classes have no order, so up to twenty are set apart by hue."""
    if count <= 20:
        palette = matplotlib.colormaps["tab10" if count <= 10 else "tab20"]
        return list(palette(np.arange(count))[:, :3])  # whole numbers are places in it
    return list(matplotlib.colormaps["nipy_spectral"](np.linspace(0.05, 0.95, count))[:, :3])


def _apart(middles: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """Where to write names (K, 2) that are meant for the `middles`: so far above each other that all can be read."""
    width, height = np.ptp(places, axis=0)
    names = middles.copy()
    order = np.argsort(middles[:, 1])
    for index, name in enumerate(order):
        for below in order[:index]:  # these have their places
            beside = abs(names[name, 0] - names[below, 0]) > 0.1 * width
            if not beside and abs(names[name, 1] - names[below, 1]) < 0.03 * height:
                names[name, 1] = names[below, 1] + 0.03 * height
    return names


def _darker(colour: Sequence[float]) -> tuple[float, ...]:
    """Readable on white."""
    return tuple(0.7 * part for part in colour[:3])
