"""`convscope explain MODEL`: a network layer by layer, and the memory that training it takes."""

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from convscope.catalog import model_entry
from convscope.cli.flags import read_flags
from convscope.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from convscope.models.summary import Summary, TrainingMemory


@dataclass(frozen=True)
class Explain:
    """Show a network layer by layer, and the memory that training it takes; no data is read.

    $ convscope explain tinyvgg_bn
    $ convscope explain tinyvgg --options hidden 256 --input-size 32 --in-channels 3
    """

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Name of the network; `convscope models` lists them."""
    input_size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """Height and width of the images; those the network was made for if not given."""
    in_channels: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Channels of the images, 1 for grey and 3 for colour; those the network was made for if not given."""
    num_classes: int = 10
    """Classes to tell apart."""
    batch_size: int = 128
    """Images in the training step whose memory is told."""
    options: Annotated[dict[str, int | float | str], tyro.conf.arg(metavar="KEY VALUE...")] = field(
        default_factory=dict
    )
    """The network's own options, such as `--options hidden 256 block2_convs 1`."""
    json: bool = False
    """Print JSON instead of tables."""


def main(argv: list[str]) -> int:
    """Print the tables of one network; always 0.

    Raises:
        UserError: there is no such network, or not with these options or for these images.
    """
    options = read_flags(Explain, argv, verb="explain")
    if options.batch_size < 1:
        raise UserError(f"the batch size is {options.batch_size}, but a batch has images: give 1 or more.")
    entry = model_entry(options.model)
    size = entry.input_size if options.input_size is None else options.input_size
    channels = entry.in_channels if options.in_channels is None else options.in_channels
    # Importing torch takes a second: only after --help and after mistakes in the command line.
    import torch

    from convscope.models import build_model, check_options
    from convscope.models.summary import summarise, training_memory

    network_options: dict[str, Any] = dict(options.options)
    check_options(entry.name, network_options)
    with torch.device("meta"):  # shapes without values: a network of any size is there at once
        model = build_model(
            entry.name,
            num_classes=options.num_classes,
            in_channels=channels,
            input_size=size,
            **network_options,
        )
    summary = summarise(model, (channels, size, size))
    memory = training_memory(model, summary.input_shape, options.batch_size)
    if options.json:
        facts = {"model": entry.name, "options": options.options} | asdict(summary)
        print(json.dumps(facts | {"training_memory": asdict(memory) | {"total": memory.total}}, indent=1))
        return 0

    from convscope.cli.console import console

    screen = console()
    screen.print(f"{entry.name} ({entry.year}): {entry.summary}")
    screen.print(f"{entry.paper}\n")
    screen.print(_layers(summary))
    screen.print(
        "\nFor one image. sees: height and width, in pixels, of the part of the image that one value depends on; "
        "step: how many pixels further its neighbour looks.\n"
    )
    screen.print(_memory(memory))
    return 0


def _layers(summary: "Summary") -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    # Eighty columns are enough: where they are tight, formulas alone go on in a second line.
    table = Table(box=SIMPLE, show_edge=False, padding=0, show_footer=True)
    table.add_column("layer", "total", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    table.add_column("output", justify="right", no_wrap=True)
    table.add_column("parameters", justify="right")
    table.add_column("sum", f"{summary.total_parameters:,}", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("multiply\nadds", _short(summary.multiply_adds), justify="right", no_wrap=True)
    table.add_column("sees", justify="right", no_wrap=True)
    table.add_column("step", justify="right", no_wrap=True)
    for layer in summary.layers:
        field = layer.receptive_field
        table.add_row(
            layer.name,
            layer.kind,
            _times(layer.output_shape),
            layer.formula,
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.share:.1%}" if layer.parameters else "",
            _short(layer.multiply_adds) if layer.multiply_adds else "",
            _side(field.size) if field else "?",
            _side(field.stride) if field else "?",
        )
    return table


def _memory(memory: "TrainingMemory") -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, show_edge=False, padding=0, show_footer=True)
    table.add_column(f"training on {memory.batch_size:,} images at a time, in float32", "total")
    table.add_column("MiB", _mebibytes(memory.total), justify="right")
    table.add_row("weights", _mebibytes(memory.weights))
    table.add_row("gradients", _mebibytes(memory.gradients))
    table.add_row("Adam's two averages of each gradient", _mebibytes(memory.optimizer_state))
    table.add_row("activations kept for the backward pass", _mebibytes(memory.activations))
    return table


def _times(sizes: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in sizes)


def _side(pair: tuple[int, int]) -> str:
    """One number where height and width agree, and nothing for the stride of what sees everything."""
    height, width = pair
    if height != width:
        return _times(pair)
    return str(height) if height else ""


def _short(count: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return str(count)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.2f}"
