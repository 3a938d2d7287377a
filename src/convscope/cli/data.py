"""`convscope data list|show|fetch`: the data sets, what they look like, and how they come here."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from convscope.catalog import DATA, data_entry
from convscope.cli.flags import read_flags
from convscope.data.sources import fetch, locate
from convscope.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from convscope.data import ImageSet
    from convscope.data.photos import Photos


@dataclass(frozen=True)
class Data:
    """List the data sets, show one in figures and pictures, or fetch one.

    $ convscope data
    $ convscope data show fashion-mnist-mini
    $ convscope data show photos/ --size 160
    $ convscope data fetch mnist
    """

    command: Annotated[
        Literal["list", "show", "fetch"], tyro.conf.Positional, tyro.conf.arg(metavar="[list|show|fetch]")
    ] = "list"
    """What to do."""
    data: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = None
    """With show and fetch: a name of the list; with show also a folder of photos, or of data files."""
    output: Path | None = None
    """With show: directory for the pictures; `pictures/DATA` by default."""
    size: int = 128
    """With show: side in pixels to which photos are brought."""
    resize: Literal["crop", "squash", "pad"] = "crop"
    """With show: how a photo becomes a square: the middle of it, all of it out of shape, or all of it with a border."""
    data_dir: Path | None = None
    """Directory of the data sets; CONVSCOPE_DATA or the user's cache directory by default."""
    json: bool = False
    """Print JSON instead of tables."""


def main(argv: list[str]) -> int:
    """Do what the command says; 0."""
    flags = read_flags(Data, argv, verb="data")
    if flags.command == "list":
        _list(flags)
        return 0
    if flags.data is None:
        raise UserError(f"which data set? Name one: convscope data {flags.command} DATA, of {', '.join(DATA)}.")
    if flags.command == "fetch":
        from convscope.cli.progress import Preparation

        with Preparation() as preparation:
            folder = fetch(data_entry(flags.data), flags.data_dir, preparation)
        print(f"{flags.data} is in {folder}")
        return 0
    _show(flags.data, flags)
    return 0


def _list(flags: Data) -> None:
    places = {name: locate(entry, flags.data_dir) for name, entry in DATA.items()}
    if flags.json:
        facts = [
            {"name": name, "summary": entry.summary, "classes": entry.classes, "place": str(places[name] or "")}
            for name, entry in DATA.items()
        ]
        print(json.dumps(facts, indent=1))
        return
    from convscope.cli.console import console, plain_table

    table = plain_table("data")
    for name in ("train", "test", "size", "classes"):
        table.add_column(name, justify="right")
    table.add_column("what")
    table.add_column("licence")
    table.add_column("here")
    for name, entry in DATA.items():
        table.add_row(
            name,
            f"{entry.train_images:,}",
            "none" if entry.test_images is None else f"{entry.test_images:,}",
            "photos" if entry.input_size is None else f"{entry.in_channels}x{entry.input_size}x{entry.input_size}",
            str(len(entry.classes)),
            entry.summary,
            entry.licence,
            "yes" if places[name] else "no: convscope data fetch",
        )
    console().print(table)


def _show(name: str, flags: Data) -> None:
    from convscope.cli.progress import Preparation
    from convscope.data import is_photos, load_photos, load_train_test

    photos = None
    with Preparation() as preparation:
        if is_photos(name):
            photos = load_photos(
                name, size=flags.size, resize=flags.resize, data_dir=flags.data_dir, progress=preparation
            )
            splits = photos.splits(name)
            parts = {"train": splits.train, "val": splits.val, "test": splits.test}
        else:
            train, test = load_train_test(name, data_dir=flags.data_dir, progress=preparation)
            parts = {"train": train, "test": test}
    pictures = _draw(parts["train"], photos, flags.size)
    paths = _save(pictures, flags.output or Path("pictures") / Path(name).name)
    facts = _facts(name, parts, photos) | {"pictures": {picture: str(path) for picture, path in paths.items()}}
    if flags.json:
        print(json.dumps(facts, indent=1))
        return
    for line in _lines(facts, flags.resize):
        print(line)


def _draw(train: "ImageSet", photos: "Photos | None", size: int) -> dict[str, "Figure"]:
    """The pictures of a data set by their names."""
    import torch

    from convscope import plots
    from convscope.data import class_counts, mean_image_per_class

    # As many images of each class as fill two rows of ten, at least two; a column a class where there are ten.
    each = max(2, 20 // len(train.classes))
    chosen = [torch.nonzero(train.labels == label).flatten()[:each] for label in range(len(train.classes))]
    strip = torch.cat([places[turn : turn + 1] for turn in range(each) for places in chosen])
    pictures = {
        "samples": plots.sample_strip(train.take(strip).numpy(), train.labels[strip].numpy(), train.classes),
        "classes": plots.class_distribution(class_counts(train), train.classes),
        "means": plots.mean_images(mean_image_per_class(train).numpy(), train.classes),
    }
    if photos is not None:
        files = photos.decoded.files
        pictures["sizes"] = plots.image_sizes([file.width for file in files], [file.height for file in files], size)
    return pictures


def _facts(name: str, parts: Mapping[str, "ImageSet"], photos: "Photos | None") -> dict[str, Any]:
    """What is known of a data set, as JSON types."""
    from convscope.data import channel_statistics, class_counts

    train = parts["train"]
    mean, std = channel_statistics(train)
    facts: dict[str, Any] = {
        "data": name,
        **{f"{part}_images": len(images) for part, images in parts.items()},
        "image_shape": list(train.shape),
        "classes": dict(zip(train.classes, class_counts(train), strict=True)),
        "mean": list(mean),
        "std": list(std),
    }
    if photos is not None:
        files = photos.decoded.files
        facts |= {
            "widths": _range(file.width for file in files),
            "heights": _range(file.height for file in files),
            "modes": dict(Counter(file.mode for file in files).most_common()),
            "skipped": [asdict(file) for file in photos.listing.skipped + photos.decoded.skipped],
        }
    return facts


def _range(sides: Iterable[int]) -> list[int]:
    """The smallest and the largest."""
    ordered = sorted(sides)
    return [ordered[0], ordered[-1]]


def _lines(facts: dict[str, Any], resize: str) -> Iterator[str]:
    """The facts for people."""
    doing = {"train": "train", "val": "validate", "test": "test"}
    counts = {doing[part]: facts[f"{part}_images"] for part in doing if f"{part}_images" in facts}
    yield f"{facts['data']}: " + ", ".join(f"{count:,} images to {verb}" for verb, count in counts.items())
    shape = f"image shape (channels, height, width): {tuple(facts['image_shape'])}, one byte a value"
    yield f"{shape}, by {resize}" if "modes" in facts else shape
    mean, std = (", ".join(f"{value:.4f}" for value in facts[name]) for name in ("mean", "std"))
    yield f"mean {mean}, std {std}"
    if "modes" in facts:
        widths, heights = (
            " to ".join(str(side) for side in sorted(set(facts[name]))) for name in ("widths", "heights")
        )
        yield f"files {widths} pixels wide, {heights} high"
        yield "kinds of pixels: " + ", ".join(f"{count:,} {mode}" for mode, count in facts["modes"].items())
    yield f"{len(facts['classes'])} classes, with training images:"
    for label, count in facts["classes"].items():
        yield f"  {label}: {count:,}"
    if facts.get("skipped"):
        yield f"left out {len(facts['skipped']):,} files:"
        for file in facts["skipped"]:
            yield f"  {file['path']}: {file['reason']}"
    yield f"wrote {', '.join(facts['pictures'].values())}"


def _save(pictures: Mapping[str, "Figure"], folder: Path) -> dict[str, Path]:
    """Write the pictures into a folder; answers the path of each."""
    from convscope import plots

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the directory {folder} ({error.strerror}): choose another with --output."
        ) from error
    paths = {name: folder / f"{name}.png" for name in pictures}
    for name, figure in pictures.items():
        plots.save_figure(figure, paths[name])
    return paths
