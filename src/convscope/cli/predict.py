"""`convscope predict RUN IMAGE...`: what a trained network sees in the user's own images."""

import glob
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from convscope.cli.flags import read_flags
from convscope.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from convscope.predict import Prediction


@dataclass(frozen=True)
class Predict:
    """Name what is on images.

    $ convscope predict latest shirt.jpg --invert
    $ convscope predict first photos/ --json
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Name or path of the run whose network answers, or `latest`."""
    images: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="IMAGE...", help_behavior_hint="(at least one)"),
    ]
    """Image files of any size and kind, folders with all below them, or quoted patterns such as 'photos/*.jpg'."""
    top_k: int = 5
    """How many of the likeliest classes to name."""
    invert: bool = False
    """Exchange light and dark first: for photos on white and a network that knows light things on black."""
    device: str = "auto"
    """auto (cuda, else mps, else cpu), or a device such as cuda:1."""
    runs_dir: Path = Path("runs")
    """Directory in which a run is looked for by its name."""
    json: bool = False
    """Print JSON instead of a table."""


def main(argv: list[str]) -> int:
    """Predict every image that can be read; 2 when there was another one, which is then named, else 0."""
    options = read_flags(Predict, argv, verb="predict")
    if not options.images:
        raise UserError("there is nothing to predict: name at least one image, folder or pattern.")
    # Importing torch takes a second: only after --help and after mistakes in the command line.
    from rich.console import Console
    from rich.progress import track

    from convscope.predict import Predictor
    from convscope.runs import Run

    # Names of files and classes are no markup, whatever brackets they hold.
    output = Console(markup=False, highlight=False)
    messages = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    run = Run.open(options.run, options.runs_dir)
    predictor = Predictor.from_run(run, device=options.device)
    errors: list[UserError] = []
    paths = list(_find_images(options.images, errors))
    predictions = predictor.predict(
        track(paths, "reading", console=messages, transient=True, disable=not messages.is_terminal),
        top_k=options.top_k,
        invert=options.invert,
        on_error=errors.append,
    )
    if options.json:
        report = {
            "run": run.name,
            "predictions": [asdict(prediction) for prediction in predictions],
            "errors": [str(error) for error in errors],
        }
        print(json.dumps(report, indent=1))
    elif predictions:
        output.print(_table(predictions))
    for warning, sources in _sources_by_warning(predictions).items():
        messages.print(f"convscope: warning: {_first_of(sources)}: {warning}")
    for error in errors:
        messages.print(f"convscope: {error}")
    return UserError.exit_status if errors else 0


def _find_images(arguments: Sequence[str], errors: list[UserError]) -> Iterator[Path]:
    """Yield the files that the user's words stand for; words that stand for none become errors."""
    from convscope.data.decoding import SUFFIXES

    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES]
            if not found:
                kinds = ", ".join(sorted(SUFFIXES))
                errors.append(UserError(f"the folder {path} holds no image ({kinds}): name another."))
            yield from found
        elif path.exists() or not glob.has_magic(argument):
            yield path
        else:
            # Unlike Path.glob, this takes absolute patterns.
            matches = sorted(Path(match) for match in glob.iglob(argument, recursive=True))  # noqa: PTH207
            found = [match for match in matches if match.is_file()]
            if not found:
                errors.append(UserError(f"no file matches {argument}: check the pattern and the folder."))
            yield from found


def _table(predictions: Sequence["Prediction"]) -> "Table":
    from rich.table import Table

    table = Table("image", "class", "probability")
    table.columns[0].overflow = "fold"
    table.columns[2].justify = "right"
    for prediction in predictions:
        for place, (name, probability) in enumerate(prediction.classes):
            table.add_row("" if place else prediction.source, name, f"{probability:.1%}")
        table.add_section()
    return table


def _sources_by_warning(predictions: Sequence["Prediction"]) -> dict[str, list[str]]:
    """A hundred photos on white deserve one warning, not a hundred."""
    sources = defaultdict(list)
    for prediction in predictions:
        if prediction.warning:
            sources[prediction.warning].append(prediction.source)
    return sources


def _first_of(sources: Sequence[str]) -> str:
    return sources[0] if len(sources) == 1 else f"{sources[0]} and {len(sources) - 1} more"
