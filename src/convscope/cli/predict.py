"""`convscope predict RUN IMAGE...`: what a trained network sees in the user's own images."""

import glob
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from convscope.cli.flags import read_flags
from convscope.errors import UserError, on_one_line
from convscope.numbers import duration

if TYPE_CHECKING:
    from rich.progress import Progress

    from convscope.predict import Prediction


_MANY = 128
"""Images from which on it is said how fast they were answered."""
_TOGETHER = 64
"""Images whose lines are printed together, because a terminal takes its time for each print."""


@dataclass(frozen=True)
class Predict:
    """Name what is on images.

    The network answers in the fastest engine that agrees with PyTorch in float32: after `convscope bench inference RUN`
    by what that measured; without it, in PyTorch, where many images are left also in a faster engine that gives the
    same answers to the first of them.

    $ convscope predict latest shirt.jpg --invert
    $ convscope predict first photos/ --json
    $ convscope predict latest photos/ --engine pytorch-float32
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Name or path of the run whose network answers, or `latest`."""
    images: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="IMAGE...", help_behavior_hint="(at least one)"),
    ]
    """Image files of any size and kind, folders with all below them, or quoted patterns such as 'photos/*.jpg'; .npy
    files of many images, uint8 (images, height, width) or (images, height, width, 3), which need no decoding."""
    top_k: int = 5
    """How many of the likeliest classes to name."""
    invert: bool = False
    """Exchange light and dark first: for photos on white and a network that knows light things on black."""
    engine: str = "auto"
    """What answers: auto, or by name pytorch-float32, pytorch-bfloat16, onnxruntime-float32, onnxruntime-int8,
    openvino-float32, openvino-bfloat16, openvino-int8."""
    device: str = "auto"
    """auto (cuda, else mps, else cpu), or a device such as cuda:1."""
    runs_dir: Path = Path("runs")
    """Directory in which a run is looked for by its name."""
    json: bool = False
    """Print JSON instead of a table."""


def main(argv: list[str]) -> int:
    """Predict every image that can be read; 2 when there was another one, which is then named, else 0."""
    began = time.perf_counter()
    options = read_flags(Predict, argv, verb="predict")
    if not options.images:
        raise UserError("there is nothing to predict: name at least one image, folder or pattern.")
    # Importing torch takes a second: only after --help and after mistakes in the command line.
    from rich.console import Console
    from rich.progress import Progress

    from convscope.predict import Predictor
    from convscope.runs import Run

    # Names of files and classes are no markup, whatever brackets they hold.
    messages = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    run = Run.open(options.run, options.runs_dir)
    predictor = Predictor.from_run(run, device=options.device)
    errors: list[UserError] = []
    paths = list(_find_images(options.images, errors))
    counts = {path: _count(path) for path in paths}
    total = sum(counts[path] for path in paths)
    with messages.status("preparing the engine"):  # seconds, where the network is converted for the first time
        predictor.use_engine(options.engine, run=run, images=total)
    output = Console(markup=False, highlight=False)
    screen = output if output.is_terminal else messages  # both may be the same terminal
    bar = Progress(console=screen, transient=True, disable=not screen.is_terminal)
    predictions = predictor.stream(paths, top_k=options.top_k, invert=options.invert, on_error=errors.append)
    ready = time.perf_counter()
    tally = _Tally()
    counted_ones = tally.count(predictions)
    if options.json:
        print(f'{{"run": {json.dumps(run.name)},\n"predictions": [', end="")
        _print_all(_as_json(counted_ones), bar, total=total)
    else:
        _print_all(_as_table(counted_ones, counts, predictor.classes), bar, total=total)
    seconds = time.perf_counter() - ready
    facts = {
        "engine": predictor.engine.name,
        "start_seconds": round(ready - began, 3),
        "seconds": round(seconds, 3),
        "images_per_second": round(tally.images / seconds, 1),
    }
    if options.json:
        rest = {"errors": [str(error) for error in errors], **facts}
        print("\n],\n" + json.dumps(rest, indent=1)[2:])
    elif tally.images > _MANY:
        messages.print(
            f"{tally.images:,} images by {predictor.engine.name} in {duration(seconds)}, "
            f"{tally.images / seconds:,.0f} images/s, after {duration(ready - began)} to start"
        )
    for warning, (source, count) in tally.warnings.items():
        more = "" if count == 1 else f" and {count - 1} more"
        messages.print(f"convscope: warning: {source}{more}: {warning}")
    for error in errors:
        messages.print(f"convscope: {error}")
    return UserError.exit_status if errors else 0


@dataclass
class _Tally:
    """What is known of the predictions in the end, when they themselves are forgotten."""

    images: int = 0
    warnings: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Of each warning the first image and how many: a hundred photos on white deserve one, not a hundred."""

    def count(self, predictions: Iterable["Prediction"]) -> Iterator["Prediction"]:
        for prediction in predictions:
            self.images += 1
            if prediction.warning:
                first, count = self.warnings.get(prediction.warning, (prediction.source, 0))
                self.warnings[prediction.warning] = first, count + 1
            yield prediction


def _count(path: Path) -> int:
    """How many images there are in a file, if it can be read."""
    from convscope.data.arrays import ImageArray, is_array

    if not is_array(path):
        return 1
    with suppress(UserError):  # it is told when the file is read
        return len(ImageArray.open(path))
    return 0


def _width(path: Path, count: int) -> int:
    """Of the longest name of an image in a file, on a terminal."""
    from rich.cells import cell_len

    return cell_len(on_one_line(str(path))) + (0 if count == 1 else len(f"[{count}]"))


def _print_all(texts: Iterator[str], bar: "Progress", *, total: int) -> None:
    """Print the texts of the predictions as they come, above a bar if there is a terminal."""
    with bar:
        task = bar.add_task("predicting", total=total)
        while some := list(islice(texts, _TOGETHER)):
            print("".join(some), end="")
            bar.update(task, advance=len(some))


def _as_json(predictions: Iterable["Prediction"]) -> Iterator[str]:
    """The items of a list, an image a line."""
    separator = "\n"
    for prediction in predictions:
        yield separator + json.dumps(vars(prediction))
        separator = ",\n"


def _as_table(predictions: Iterable["Prediction"], counts: Mapping[Path, int], classes: Sequence[str]) -> Iterator[str]:
    """Lines as wide as the longest path and class, which are known before anything is answered."""
    from rich.cells import cell_len

    def cell(text: str, width: int) -> str:
        taken = len(text) if text.isascii() else cell_len(text)  # letters of some scripts take two places
        return text + " " * (width - taken)

    names = {name: on_one_line(name) for name in classes}
    source_width = max([cell_len("image"), *(_width(path, count) for path, count in counts.items())])
    name_width = max(map(cell_len, ["class", *names.values()]))
    names = {name: cell(shown, name_width) for name, shown in names.items()}
    head = f"{cell('image', source_width)}  {cell('class', name_width)}  probability\n"
    below = "\n" + cell("", source_width)  # the source stands before the first of its classes
    for prediction in predictions:
        lines = [f"  {names[name]}  {probability:>11.1%}" for name, probability in prediction.classes]
        yield f"{head}{cell(on_one_line(prediction.source), source_width)}{below.join(lines)}\n"
        head = ""


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
