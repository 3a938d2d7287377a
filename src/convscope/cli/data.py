"""`convscope data list|show|fetch`: the data sets, what they look like, and how they come here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from convscope.catalog import DATA, data_entry
from convscope.cli.flags import read_flags
from convscope.data.sources import fetch, locate
from convscope.errors import UserError


@dataclass(frozen=True)
class Data:
    """List the data sets, show one in figures and pictures, or fetch one.

    $ convscope data
    $ convscope data show fashion-mnist-mini
    $ convscope data fetch mnist
    """

    command: Annotated[
        Literal["list", "show", "fetch"], tyro.conf.Positional, tyro.conf.arg(metavar="[list|show|fetch]")
    ] = "list"
    """What to do."""
    data: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = None
    """With show and fetch: a name of the list; with show also a folder of IDX files."""
    output: Path | None = None
    """With show: directory for the pictures; `pictures/DATA` by default."""
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
        from convscope.cli.progress import Download

        with Download() as download:
            folder = fetch(data_entry(flags.data), flags.data_dir, download)
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
            f"{entry.test_images:,}",
            f"{entry.in_channels}x{entry.input_size}x{entry.input_size}",
            str(len(entry.classes)),
            entry.summary,
            entry.licence,
            "yes" if places[name] else "no: convscope data fetch",
        )
    console().print(table)


def _show(name: str, flags: Data) -> None:
    import torch

    from convscope import plots
    from convscope.cli.progress import Download
    from convscope.data import channel_statistics, class_counts, load_train_test, mean_image_per_class

    folder = flags.output or Path("pictures") / Path(name).name
    with Download() as download:
        train, test = load_train_test(name, data_dir=flags.data_dir, progress=download)
    mean, std = channel_statistics(train.images)
    counts = class_counts(train)
    # Two images of each class, class after class, so that each column of the strip is one class where there are ten.
    chosen = torch.cat([torch.nonzero(train.labels == label).flatten()[:2] for label in range(len(train.classes))])
    chosen = torch.cat([chosen[::2], chosen[1::2]])
    pictures = {
        "samples": plots.sample_strip(train.images[chosen].numpy(), train.labels[chosen].numpy(), train.classes),
        "classes": plots.class_distribution(counts, train.classes),
        "means": plots.mean_images(mean_image_per_class(train).numpy(), train.classes),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the directory {folder} ({error.strerror}): choose another with --output."
        ) from error
    paths = {picture: folder / f"{picture}.png" for picture in pictures}
    for picture, figure in pictures.items():
        plots.save_figure(figure, paths[picture])
    facts: dict[str, Any] = {
        "data": name,
        "train_images": len(train),
        "test_images": len(test),
        "image_shape": list(train.images.shape[1:]),
        "classes": dict(zip(train.classes, map(int, counts), strict=True)),
        "mean": list(mean),
        "std": list(std),
        "pictures": {picture: str(path) for picture, path in paths.items()},
    }
    if flags.json:
        print(json.dumps(facts, indent=1))
        return
    print(f"{name}: {len(train):,} images to train, {len(test):,} to test")
    print(f"image shape (channels, height, width): {tuple(train.images.shape[1:])}, one byte a value")
    print(f"mean {', '.join(f'{value:.4f}' for value in mean)}, std {', '.join(f'{value:.4f}' for value in std)}")
    print(f"{len(train.classes)} classes, with training images:")
    for label, count in facts["classes"].items():
        print(f"  {label}: {count:,}")
    print(f"wrote {', '.join(map(str, paths.values()))}")
