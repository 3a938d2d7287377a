"""`convscope models`: the networks there are."""

import json
from dataclasses import asdict, dataclass

from convscope.catalog import MODELS
from convscope.cli.flags import read_flags


@dataclass(frozen=True)
class Models:
    """List the networks: the images each was made for, its parameters for ten classes, and what it is."""

    json: bool = False
    """Print JSON instead of a table."""


def main(argv: list[str]) -> int:
    """List the networks of the catalogue; always 0."""
    options = read_flags(Models, argv, verb="models")
    if options.json:
        print(json.dumps([asdict(entry) for entry in MODELS.values()], indent=1))
        return 0

    from rich.table import Table

    from convscope.cli.console import console

    table = Table("model", "year", "images", "parameters", "what it is")
    table.columns[0].no_wrap = True
    for column in table.columns[2:4]:
        column.justify = "right"
        column.no_wrap = True
    for entry in MODELS.values():
        images = f"{entry.in_channels}×{entry.input_size}×{entry.input_size}"
        table.add_row(entry.name, str(entry.year), images, f"{entry.parameters:,}", entry.summary)
    console().print(table)
    print("`convscope explain MODEL` shows one of them layer by layer.")
    return 0
