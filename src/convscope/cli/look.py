"""`convscope look RUN [IMAGE...]`: pictures of the inside of a trained network, or of what it makes of images."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from convscope.cli.flags import read_flags
from convscope.errors import UserError
from convscope.runs import Run

if TYPE_CHECKING:
    from convscope.report.look.images import Answer


@dataclass(frozen=True)
class Look:
    """See inside of a run's network: pictures and one page with all of them, in the run's folder `look`.

    Without an image: the filters of the first layer, activation maps, what excites channels most, what right and wrong
    answers rest on, how the network orders the test images, and what changes when a channel is switched off. With
    images: what the network makes of each, and what its answer rests on.

    $ convscope look latest
    $ convscope look latest --layer block2.conv2 --channels 3 17
    $ convscope look latest test/12 shirt.jpg
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Name of the run, its path, or `latest`."""
    images: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE...")] = ()
    """Image files, or images of the run's data by split and number, such as test/12."""
    layer: str | None = None
    """Layer to look at, by its name in `convscope explain MODEL`; by default the deepest ones."""
    channels: tuple[int, ...] = ()
    """Channels of that layer to look at, counted from 0; by default the most active ones."""
    method: Literal["grad-cam", "grad-cam++", "guided", "guided-grad-cam", "occlusion"] = "grad-cam"
    """How to find what an answer rests on; of single images all methods are shown."""
    embedding: Literal["pca", "tsne"] = "pca"
    """How to lay the test images out in a plane: by principal components, or by t-SNE, which keeps neighbours near."""
    limit: int = 1000
    """Images of a split to look through, at most."""
    invert: bool = False
    """Exchange light and dark of the images first: for photos on white and a network that knows light on black."""
    output: Path | None = None
    """Folder to write to; `look` in the run directory by default."""
    device: str = "auto"
    """auto (cuda, else mps, else cpu), or a device such as cuda:1."""
    runs_dir: Path = Path("runs")
    """Directory of the run directories."""
    data_dir: Path | None = None
    """Directory of the data sets; CONVSCOPE_DATA or the user's cache directory by default."""


def main(argv: list[str]) -> int:
    """Draw, and say where the page is; 2 when an image could not be read, which is then named, else 0."""
    flags = read_flags(Look, argv, verb="look")
    run = Run.open(flags.run, flags.runs_dir)
    # Importing torch takes a second: only after --help and after mistakes in the command line.
    from convscope.cli.progress import Examination

    if flags.images:
        return _look_at_images(run, flags)
    from convscope.report.look.network import look

    with Examination() as progress:
        page = look(
            run,
            layer=flags.layer,
            channels=flags.channels or None,
            method=flags.method,
            embedding=flags.embedding,
            limit=flags.limit,
            output=flags.output,
            device=flags.device,
            data_dir=flags.data_dir,
            progress=progress,
        )
    print(f"wrote {page}, and its pictures beside it")
    return 0


def _look_at_images(run: Run, flags: Look) -> int:
    from convscope.cli.console import console
    from convscope.cli.progress import Examination
    from convscope.report.look.images import look_at_images

    errors: list[UserError] = []
    with Examination() as progress:
        page, answers = look_at_images(
            run,
            flags.images,
            layer=flags.layer,
            channels=flags.channels or None,
            invert=flags.invert,
            output=flags.output,
            device=flags.device,
            data_dir=flags.data_dir,
            progress=progress,
            on_error=errors.append,
        )
    for answer in answers:
        console().print(_in_words(answer))
    if page is not None:
        print(f"wrote {page}, and its pictures beside it")
    for error in errors:
        print(f"convscope: {error}", file=sys.stderr)
    return UserError.exit_status if errors else 0


def _in_words(answer: "Answer") -> str:
    likeliest = ", ".join(f"{name} {probability:.1%}" for name, probability in answer.classes[:3])
    truth = "" if answer.label is None else f" (it is {answer.label})"
    doubt = "; light and dark seem exchanged: --invert exchanges them" if answer.exchanged else ""
    return f"{answer.source}: {likeliest}{truth}{doubt}"
