"""`convscope models`: the networks there are."""

import json
from dataclasses import asdict, dataclass
from itertools import groupby

from convscope.catalog import MODELS, WEIGHTS, ModelEntry
from convscope.cli.flags import read_flags
from convscope.numbers import short


@dataclass(frozen=True)
class Models:
    """List the networks by their papers: parameters, arithmetic, the images each was made for, published weights."""

    json: bool = False
    """Print JSON instead of a table."""


def main(argv: list[str]) -> int:
    """List the networks of the catalogue; always 0."""
    options = read_flags(Models, argv, verb="models")
    if options.json:
        print(json.dumps([asdict(entry) for entry in MODELS.values()], indent=1))
        return 0
    print(_line("", "parameters", "mult-adds", "images", "classes", "least", "ImageNet", "what it is"))
    for (family, year, paper), entries in groupby(
        MODELS.values(), lambda entry: (entry.family, entry.year, entry.paper)
    ):
        print(f"\n{family} ({year})  {paper}")
        for entry in entries:
            print(_row(entry))
    print(
        "\nimages: channels, height and width that the network was made for; least: the smallest height and width it "
        "takes.\nParameters and multiply-adds are for those images and classes; ImageNet: published top-1 accuracy of "
        "the weights\nthat --pretrained imagenet starts from. `convscope explain MODEL` shows one layer by layer."
    )
    return 0


def _row(entry: ModelEntry) -> str:
    weights = (entry.name, "imagenet")
    images = f"{entry.in_channels}×{entry.input_size}×{entry.input_size}"
    return _line(
        entry.name,
        f"{entry.parameters:,}",
        short(entry.multiply_adds),
        images,
        str(entry.num_classes),
        str(entry.least_size),
        f"{WEIGHTS[weights].top1:.2f}%" if weights in WEIGHTS else "",
        entry.summary,
    )


def _line(name: str, *cells: str) -> str:
    *numbers, summary = cells
    widths = (12, 11, 11, 9, 7, 10)
    return (
        f"  {name:<18}"
        + "".join(f"{cell:>{width}}" for cell, width in zip(numbers, widths, strict=True))
        + f"  {summary}"
    )
