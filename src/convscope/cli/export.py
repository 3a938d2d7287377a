"""`convscope export RUN`: the network as a file for programs that know nothing of Convscope."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from convscope.cli.flags import read_flags
from convscope.runs import Run


@dataclass(frozen=True)
class Export:
    """Write a run's network as a file for other programs, and prove that it answers as the run does.

    What goes in are pixels as an image has them: bytes, uint8 (batch, channels, height, width), of any height and
    width, grey (Pillow's mode L) where the network sees grey, else red, green and blue (RGB). Resizing, scaling and
    normalisation are inside. What comes out is a row for each image with a number for each class. The file tells the
    names of the classes, and how it was made: in ONNX as metadata, `session.get_modelmeta().custom_metadata_map`, in
    OpenVINO as `model.get_rt_info(["convscope", "classes"])`, in PyTorch's formats as the extra file `convscope.json`.

    Before anything is written, the file answers about images of the test split, one alone and several together, and
    about some cut to other shapes: if it does not answer as the run does, the command fails.

    From strangers take ONNX or OpenVINO, which hold numbers and a graph: a .pt is a program, and a .pt2 may hold
    pickles, which run when they are loaded.

    $ convscope export latest
    $ convscope export latest --to openvino --int8 --output shirts.xml
    $ convscope export latest --to torchscript --softmax
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Name of the run, its path, or `latest`."""
    to: Literal["onnx", "torchscript", "torch-export", "openvino"] = "onnx"
    """Format: onnx (.onnx) for the most readers; torchscript (.pt), PyTorch's older one, for programs in C++ and on
    telephones; torch-export (.pt2), its newer one; openvino (.xml, with its weights beside it in a .bin), often the
    fastest on a CPU."""
    output: Path | None = None
    """File to write; by default RUN, with int8 RUN-int8, and the format's ending, in the run directory's `export`."""
    softmax: bool = False
    """Give probabilities, which add up to 1, instead of logits."""
    int8: bool = False
    """Compute in 8 bits: a quarter of the memory, and often faster, at a cost in accuracy, which is measured on the
    test split. Calibrated on training images. For onnx and openvino."""
    runs_dir: Path = Path("runs")
    """Directory of the run directories."""
    data_dir: Path | None = None
    """Directory of the data sets; CONVSCOPE_DATA or the user's cache directory by default."""


def main(argv: list[str]) -> int:
    """Export, and say what was written and how near it comes to the run; 0."""
    flags = read_flags(Export, argv, verb="export")
    run = Run.open(flags.run, flags.runs_dir)
    # Importing torch takes a second: only after --help and after mistakes in the command line.
    from convscope.cli.progress import Examination
    from convscope.export import export_run
    from convscope.numbers import percent

    with Examination() as progress:
        exported = export_run(
            run,
            flags.to,
            flags.output,
            softmax=flags.softmax,
            int8=flags.int8,
            data_dir=flags.data_dir,
            progress=progress,
        )
    check = exported.check
    for path in exported.files:
        print(f"wrote {path} ({path.stat().st_size / 1e6:,.1f} MB)")
    print(
        f"images: uint8 (batch, {exported.channels}, height, width) of any height and width\n"
        f"{exported.output}: float32 (batch, {exported.classes}), in the order of the classes named in the file"
    )
    allowed = "" if check.tolerance is None else f", of {check.tolerance:.1g} allowed"
    print(
        f"compared with the run on {check.images:,} test images: the same class for {percent(check.agreement)}, "
        f"largest difference of {exported.output} {check.largest_difference:.2g}{allowed}"
    )
    if exported.accuracy is not None:
        before, after = exported.accuracy
        print(f"test accuracy: {percent(before)} in float32, {percent(after)} in int8")
    return 0
