"""From a run to a file that was compared with it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convscope.catalog import DATA
from convscope.data import ImageSet, Preprocessing
from convscope.downloads import Progress
from convscope.engines.deployable import Deployable
from convscope.engines.folding import folded
from convscope.engines.int8 import quantised
from convscope.engines.square import ToSquare
from convscope.errors import ConvscopeError, UserError, is_out_of_memory, unknown
from convscope.experiment.session import model_options
from convscope.export.check import Check, ask_both, check_other_shapes, compare
from convscope.export.formats import FORMATS, Files, Format, FormatName
from convscope.files import atomic_path
from convscope.predict import Predictor, splits_of
from convscope.runs import Run
from convscope.training.environment import version

TEST_IMAGES = 256
"""Images that answers in float32 are compared on; in 8 bits, on all."""
TRAINING_IMAGES = 256
"""Images from which the ranges of 8-bit numbers are taken."""
SHAPED = 8
"""Test images that are also cut to other shapes."""
BATCH = 32
"""Images at a time."""


@dataclass(frozen=True)
class Exported:
    """A file that answers as the run does."""

    files: tuple[Path, ...]
    """The first is the one to give to a reader; OpenVINO wants the second beside it."""
    channels: int
    """Of the images it takes: 1 for grey, 3 for red, green and blue."""
    classes: int
    """Of its answers."""
    output: str
    """Name of its output: logits or probabilities."""
    check: Check
    accuracy: tuple[float, float] | None
    """In 8 bits: share of the test images that the run gets right, and that the file does."""


def export_run(
    run: Run,
    to: FormatName,
    output: Path | None = None,
    *,
    softmax: bool = False,
    int8: bool = False,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write a run's network, with its preprocessing, as a file, once it is known to answer as the run does.  R-F4.

    Args:
        run: a run with weights.
        to: the format.
        output: the file, in the run directory's folder `export` by default.
        softmax: write probabilities instead of logits.
        int8: compute in 8 bits, calibrated on training images; for onnx and openvino.
        data_dir: where the run's data set is.
        progress: is told about the steps.

    Raises:
        UserError: no such format, no weights, the data set or a library is not to be had, or the file's name ends
            otherwise than the format's do.
        ConvscopeError: the exported network does not answer as the run does, or cannot be written.
    """
    form, path = _checked(run, to, output, int8=int8)
    predictor = Predictor.from_run(run, device="cpu")
    splits = splits_of(run, predictor, data_dir=data_dir, progress=progress)
    known, say = predictor.preprocessing, progress or (lambda name, done, total: None)
    model = folded(predictor.model, channels=known.channels, size=known.size)
    deployable = Deployable(model, known, softmax=softmax, any_size=True)
    facts = _facts(run, predictor, deployable)
    with _taken(to):
        say(f"convert to {to}", 0, 1)
        converted = form.convert(deployable)
        say(f"convert to {to}", 1, 1)
        if int8:
            converted = quantised(converted, _batches(splits.train, known, TRAINING_IMAGES, "calibrate", say))
        files = form.pack(converted, facts)
        export = form.read(files)

    test = _batches(splits.test, known, len(splits.test) if int8 else TEST_IMAGES, "compare with the run", say)
    expected, answers = ask_both(test, predictor.probabilities if softmax else predictor.engine, export)
    check = compare(expected, answers, int8=int8)
    accuracy = None
    if int8:
        before, after = accuracy = (_top1(expected, splits.test.labels), _top1(answers, splits.test.labels))
        facts["accuracy"] = {"split": "test", "images": len(answers), "top1": after, "top1_in_float32": before}
        files = form.pack(converted, facts)
    else:
        shaped = torch.cat([*_batches(splits.test, known, SHAPED, "compare other shapes", say)])
        check_other_shapes(shaped, export, deployable)
    return Exported(_write(files, path), known.channels, len(predictor.classes), deployable.output, check, accuracy)


def _checked(run: Run, to: FormatName, output: Path | None, *, int8: bool) -> tuple[Format, Path]:
    """The format and the file to write; complains of what cannot be before anything takes time."""
    if to not in FORMATS:
        raise unknown("format", to, FORMATS)
    form = FORMATS[to]
    if int8 and to not in ("onnx", "openvino"):
        raise UserError(f"int8 is for onnx and openvino, not for {to}: leave int8 out, or choose another format.")
    for library in form.libraries:
        if find_spec(library) is None:
            raise UserError(
                f'an export to {to} needs {library}, which is not installed: run `pip install "convscope[export]"`.'
            )
    suffix = form.suffixes[0]
    path = output or run.path / "export" / f"{run.name}{'-int8' if int8 else ''}{suffix}"
    if path.suffix != suffix:
        raise UserError(f"{path} is no name for a file of {to}: give one that ends in {suffix}.")
    return form, path


@contextmanager
def _taken(to: FormatName) -> Iterator[None]:
    """Turn what a library raises at a network into one sentence; it raises whatever it likes."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ConvscopeError | OSError) or is_out_of_memory(error):
            raise
        reason = next(reversed(str(error).strip().splitlines()), type(error).__name__)
        raise ConvscopeError(f"{to} cannot take this network ({reason}): choose another format.") from error


def _top1(answers: Tensor, labels: Tensor) -> float:
    return (answers.argmax(dim=1) == labels).float().mean().item()


def _batches(image_set: ImageSet, known: Preprocessing, count: int, name: str, say: Progress) -> Iterator[Tensor]:
    """At most `count` images of a set, as squares uint8 (B, channels, decode_size, decode_size).

    All of them in their order, or else some at random; the first one alone, so that batches of one are tried too.
    """
    total = min(count, len(image_set))
    order = torch.randperm(len(image_set), generator=torch.Generator().manual_seed(0))
    rows = order[:total] if total < len(image_set) else torch.arange(total)
    square = ToSquare(known.decode_size, "squash")  # as training stretches what is no square; squares stay as they are
    done = 0
    for batch in filter(len, (rows[:1], *torch.split(rows[1:], BATCH))):
        say(name, done, total)
        squares = square(image_set.take(batch)).round().to(torch.uint8)
        yield known.to_channels(squares)
        done += len(batch)
    say(name, done, total)


def _facts(run: Run, predictor: Predictor, deployable: Deployable) -> dict[str, Any]:
    """What a stranger should know of the file; nothing of this machine or of who works on it."""
    config, test = run.config(), run.reports().get("test")
    pixels = "grey" if deployable.channels == 1 else "red, green and blue"
    facts: dict[str, Any] = {
        "classes": list(predictor.classes),
        "input": f"images: uint8 (batch, {deployable.channels}, height, width), {pixels}, of any height and width",
        "output": f"{deployable.output}: float32 (batch, {len(predictor.classes)}), in the order of the classes",
        "preprocessing": predictor.preprocessing.to_dict(),
        "model": config.model,
        "options": model_options(config),
        "run": run.name,
        "convscope": version("convscope"),
    }
    if config.data in DATA:  # else it is a path
        facts["data"] = config.data
    if test is not None:
        facts["accuracy"] = {"split": "test", "images": test["images"], "top1": test["top1"]}
    return facts


def _write(files: Files, path: Path) -> tuple[Path, ...]:
    """Write all files, the one that a reader is given last: it never lies there without the others."""
    paths = tuple(path.with_suffix(suffix) for suffix in files)
    with ExitStack() as stack:
        for target, content in zip(paths, files.values(), strict=True):
            stack.enter_context(atomic_path(target)).write_bytes(content)
    return paths
