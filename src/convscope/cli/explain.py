"""`convscope explain MODEL`: a network layer by layer and branch by branch, and the memory that training it takes."""

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from convscope.catalog import DATA, ModelEntry, model_entry
from convscope.cli.flags import option_values, read_flags
from convscope.config import Config, Option
from convscope.errors import UserError
from convscope.numbers import short

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from torch import nn

    from convscope.cli.lanes import Line
    from convscope.models.memory import TrainingMemory
    from convscope.models.summary import Field, Summary


@dataclass(frozen=True)
class Explain:
    """Show a network layer by layer, and the memory that training it takes; no data is read.

    $ convscope explain tinyvgg_bn
    $ convscope explain resnet50 --all
    $ convscope explain vgg11 --in-channels 1 --num-classes 10 --batch-size 32 --optimizer sgd
    """

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Name of the network; `convscope models` lists them."""
    input_size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """Height and width of the images; those the network was made for if not given."""
    in_channels: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Channels of the images, 1 for grey and 3 for colour; those the network was made for if not given."""
    num_classes: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Classes to tell apart; those the network was made for if not given."""
    options: Annotated[dict[str, Option], tyro.conf.arg(metavar="KEY VALUE...")] = field(default_factory=dict)
    """The network's own options, such as `--options hidden 256 block2_convs 1`."""
    all: bool = False
    """Show all layers of a long network, also of blocks that are built like one before."""
    batch_size: int = 128
    """Images in the training step whose memory is told."""
    micro_batch: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Images that go through the network at a time; the whole batch if not given."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of that training; auto takes bfloat16 where this CPU is faster in it."""
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    """What it turns gradients into steps with."""
    json: bool = False
    """Print JSON instead of tables: the whole graph, and bytes."""


def main(argv: list[str]) -> int:
    """Print the tables of one network; always 0.

    Raises:
        UserError: there is no such network, or not with these options or for these images.
    """
    options = read_flags(Explain, argv, verb="explain")
    for name, value in (("batch size", options.batch_size), ("micro-batch", options.micro_batch)):
        if value is not None and value < 1:
            raise UserError(f"the {name} is {value}, but it is a number of images: give 1 or more.")
    entry = model_entry(options.model)
    # Importing torch takes a second: only after --help and after mistakes in the command line.
    from convscope.models.summary import summarise

    model, input_shape = _build(entry, options)
    summary = summarise(model, input_shape)
    if options.json:
        precision, memory, largest = _memory_of(model, input_shape, options)
        facts = {"model": entry.name, "family": entry.family, "paper": entry.paper, "year": entry.year}
        needs = {"precision": precision, "optimizer": options.optimizer} | memory | {"largest_batch_size": largest}
        print(json.dumps(facts | {"options": options.options} | asdict(summary) | {"training_memory": needs}, indent=1))
        return 0

    from convscope.cli.console import console

    screen = console()
    screen.print(f"{entry.name}, {entry.family} ({entry.year}): {entry.summary}")
    screen.print(f"{entry.paper}\n")
    for part in _layers(summary, screen, everything=options.all):
        screen.print(part)
    precision, memory, largest = _memory_of(model, input_shape, options)  # takes seconds for hundreds of layers
    at_once = f", {options.micro_batch:,} at a time" if options.micro_batch else ""
    screen.print(_memory(memory, f"training on {options.batch_size:,} images a batch{at_once}, in {precision}"))
    screen.print(_verdict(largest))
    return 0


def _build(entry: ModelEntry, options: Explain) -> tuple["nn.Module", tuple[int, int, int]]:
    """The network, with shapes for weights, so that one of any size is there at once; and the shape of its images."""
    import torch

    from convscope.models import build_model, check_options

    size = entry.input_size if options.input_size is None else options.input_size
    channels = entry.in_channels if options.in_channels is None else options.in_channels
    classes = entry.num_classes if options.num_classes is None else options.num_classes
    network_options: dict[str, Any] = option_values(options.options)
    check_options(entry.name, network_options)  # before they stand beside the arguments that every network takes
    with torch.device("meta"):
        model = build_model(entry.name, num_classes=classes, in_channels=channels, input_size=size, **network_options)
    return model, (channels, size, size)


def _memory_of(
    model: "nn.Module", input_shape: tuple[int, int, int], options: Explain
) -> tuple[str, dict[str, int], int | None]:
    """The arithmetic, the parts of the memory in bytes with their `total`, and the largest power of two that fits.

    The last is 0 where not even one image fits, and None where nobody can tell how much memory there is.
    """
    import torch

    from convscope.models.memory import process_memory, training_memory
    from convscope.training.environment import environment
    from convscope.training.runtime import choose_precision

    precision = str(choose_precision(options.precision, torch.device("cpu"))).removeprefix("torch.")

    def needs(batch_size: int) -> "TrainingMemory":
        return training_memory(
            model,
            input_shape,
            batch_size,
            micro_batch=options.micro_batch,
            precision=precision,  # type: ignore[arg-type]
            optimizer=options.optimizer,
        )

    memory, more = needs(options.batch_size), needs(2 * options.batch_size)
    data = DATA[Config().data]
    assert data.test_images is not None and data.input_size is not None  # not so where photos are of many sizes
    besides = {
        "process": process_memory(),
        "data_set": (data.train_images + data.test_images) * (data.in_channels * data.input_size**2 + 8),
    }
    total = sum(besides.values()) + memory.total
    parts = besides | asdict(memory) | {"total": total}
    an_image = (more.total - memory.total) / options.batch_size
    gibibytes = environment()["memory_gib"]
    if gibibytes is None:
        return precision, parts, None
    room = (gibibytes * 2**30 - total) / an_image + options.batch_size
    return precision, parts, 2 ** int(math.log2(room)) if room >= 1 else 0


def _layers(summary: "Summary", screen: "Console", *, everything: bool) -> list["str | Table"]:
    """The table and what its signs mean."""
    from rich.measure import Measurement

    from convscope.cli.lanes import MOST_ROWS, draw, fold

    folded = not everything and len(summary.layers) > MOST_ROWS
    rows = fold(summary) if folded else summary.layers
    lines = draw(summary, rows)
    # What a narrow window has no room for can be computed from the rest.
    for without in ((), ("share",), ("formula",), ("formula", "share")):
        table = _table(summary, lines, without)
        if Measurement.get(screen, screen.options.update(max_width=10**4), table).maximum <= screen.width:
            break
    fields = [layer.receptive_field for layer in summary.layers]
    remarks = [
        "For one image. sees: height and width, in pixels, of the part of the image that one value depends on; "
        "step: how many pixels further its neighbour looks.",
        "*: and, through factors such as those of squeeze-and-excitation, on the whole image."
        if any(f and f.everything and not f.one_for_all for f in fields)
        else "",
        "°: for training only, and not among the multiply-adds."
        if any(layer.training_only for layer in summary.layers)
        else "",
        "A block built like one above it has a single line; --all shows its layers." if len(rows) < len(fields) else "",
        f"Left out for want of room: {' and '.join(without)}." if without else "",
    ]
    return [table, "\n" + "\n".join(filter(None, remarks)) + "\n"]


def _table(summary: "Summary", lines: "list[Line]", without: tuple[str, ...]) -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    totals = {
        "layer": "total",
        "parameters": f"{summary.total_parameters:,}",
        "multiply\nadds": short(summary.multiply_adds),
    }
    cells = [_cells(line) for line in lines]
    table = Table(box=SIMPLE, show_edge=False, padding=0, show_footer=True)
    names = [name for name in cells[0] if name not in without]
    for name in names:
        left = name in ("layer", "kind")
        table.add_column(name, totals.get(name, ""), justify="left" if left else "right", no_wrap=name != "kind")
    for line in cells:
        table.add_row(*(line[name] for name in names))
    return table


def _cells(line: "Line") -> dict[str, str]:
    layer = line.layer
    field = layer.receptive_field
    return {
        "layer": line.label + ("°" if layer.training_only else ""),
        "kind": line.kind,
        "output": _times(layer.output_shape),
        "formula": layer.formula,
        "parameters": f"{layer.parameters:,}" if layer.parameters else "",
        "share": f"{layer.share:.1%}" if layer.parameters else "",
        "multiply\nadds": short(layer.multiply_adds) if layer.multiply_adds else "",
        "sees": _sees(field) if field else "?",
        "step": _side(field.stride) if field else "?",
    }


_PARTS = {
    "process": "Python, PyTorch and its kernels, as measured here",
    "data_set": f"a data set such as {Config().data}, a byte for each value",
    "weights": "weights",
    "gradients": "gradients",
    "optimizer_state": "what the optimizer remembers of them",
    "activations": "activations and all else of a step",
    "gaps": "gaps between them, freed but too small for what comes next",
    "best_weights": "the best weights, read back at the end",
}


def _memory(memory: dict[str, int], title: str) -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, show_edge=False, padding=0, show_footer=True)
    table.add_column(title, "at the peak, on the CPU")
    table.add_column("MiB", _mebibytes(memory["total"]), justify="right")
    for part, words in _PARTS.items():
        table.add_row(words, _mebibytes(memory[part]))
    return table


def _verdict(largest: int | None) -> str:
    if largest is None:
        return "\nHow much memory this machine has cannot be told, so neither can the largest batch that fits."
    if largest == 0:
        return (
            "\nThis machine's memory will not do, whatever the batch size: take smaller images with --input-size, "
            "or a smaller network."
        )
    return f"\nThis machine's memory is enough for batches of about {largest:,} images (the largest power of two)."


def _times(sizes: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in sizes)


def _sees(field: "Field") -> str:
    return _side(field.size) + ("*" if field.everything and not field.one_for_all else "")


def _side(pair: tuple[int, int]) -> str:
    """One number where height and width agree, and nothing for the stride of what sees everything."""
    height, width = pair
    if height != width:
        return _times(pair)
    return str(height) if height else ""


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f}"
