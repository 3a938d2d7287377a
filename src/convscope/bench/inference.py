"""Latency, throughput and agreement of every engine for one run.

The engines take turns, round after round, so that whatever else the machine does meanwhile meets all of them alike; of
their times the median counts. They are compared on images to validate, not to test: whoever chooses an engine by this
chooses by them.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles

import torch
from torch import Tensor

from convscope.bench.results import Inference, Row, Speed
from convscope.data.imageset import ImageSet
from convscope.downloads import Progress
from convscope.engines.agreement import Agreement
from convscope.engines.choice import CONVERTED, ENGINES, REFERENCE, open_engine, present
from convscope.engines.engine import Engine
from convscope.engines.finished import Finished
from convscope.engines.measured import FILE, machine
from convscope.errors import ConvscopeError, UserError
from convscope.predict import Predictor, splits_of
from convscope.runs import Run
from convscope.training.environment import version

BATCH_SIZES = (1, 32, 256)
ROUNDS = 5
IMAGES = 1000
"""Images at most that engines are compared on."""
_CALIBRATION = 256
"""Training images at most that int8 is calibrated by."""
_AT_ONCE = 32
"""Images of these that go through an engine together."""
_COMPARING = 15.0
"""Seconds that the network itself gets to answer images: the slowest networks are compared on fewer."""
_LIBRARIES = ("convscope", "torch", "onnx", "onnxruntime", "openvino")


def bench_inference(
    run: Run,
    *,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    seconds: float = 0.2,
    rounds: int = ROUNDS,
    device: str = "auto",
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Inference:
    """Measure all engines present, and write the result into the run directory.

    Args:
        run: a run with weights, whose data set is to be had.
        batch_sizes: images that an engine gets at a time.
        seconds: how long an engine works at one batch size in a round, at least one batch.
        rounds: how often the engines take turns.
        device: on another than the cpu, only PyTorch answers.
        data_dir: where named data sets are kept; see `data_directory`.
        progress: told how far it is.

    Raises:
        UserError: a number out of range, no weights, or the data set is not to be had.
    """
    _check(batch_sizes, seconds, rounds)
    tell = progress or (lambda name, done, total: None)
    predictor = Predictor.from_run(run, device)
    splits = splits_of(run, predictor, data_dir=data_dir, progress=progress)
    finished = Finished(predictor.model, predictor.preprocessing, predictor.digest, run.path)
    squares, calibration = (
        predictor.preprocessing.to_channels(_spread(image_set, count))
        for image_set, count in ((splits.val, IMAGES), (splits.train, _CALIBRATION))
    )
    engines, starts, left_out = _open_all(finished, predictor.device, squares[:1], calibration, tell)
    agreements = _compare(engines, squares, tell)
    times = _times(engines, squares, batch_sizes, seconds=seconds, rounds=rounds, tell=tell)
    rows = tuple(
        Row(
            name,
            *starts[name],
            top1_agreement=agreements[name].top1,
            largest_difference=agreements[name].largest_difference,
            suffices=agreements[name].suffices,
            speeds=tuple(_speed(size, times[name, size], times[REFERENCE, size]) for size in batch_sizes),
        )
        for name in engines
    )
    compared = agreements[REFERENCE].images
    versions = {library: version(library) for library in _LIBRARIES}
    inference = Inference(
        run.name, predictor.digest, machine(predictor.device), versions, compared, rounds, rows, left_out
    )
    run.write_json(FILE, inference.to_dict())
    return inference


def _check(batch_sizes: Sequence[int], seconds: float, rounds: int) -> None:
    if not batch_sizes or min(batch_sizes) < 1:
        raise UserError("a batch size is below 1, or there is none: give some, such as 1 32 256.")
    if not seconds > 0 or rounds < 1:
        raise UserError(f"seconds is {seconds} and rounds is {rounds}: both must be more than 0.")


def _spread(image_set: ImageSet, count: int) -> Tensor:
    """At most so many images from everywhere in a set, whose order may be that of its classes."""
    count = min(count, len(image_set))
    return image_set.take(torch.linspace(0, len(image_set) - 1, count).long())


def _open_all(
    finished: Finished, device: torch.device, image: Tensor, calibration: Tensor, tell: Progress
) -> tuple[dict[str, Engine], dict[str, tuple[float, float]], dict[str, str]]:
    """All engines that can be had; of each the seconds to convert and to load; of the others the reason."""
    engines: dict[str, Engine] = {}
    starts: dict[str, tuple[float, float]] = {}
    left_out: dict[str, str] = {}
    converting: dict[str, float] = {}  # seconds by precision, as several engines read the same model
    for done, (name, obstacle) in enumerate(present(device).items()):
        tell("preparing engines", done, len(ENGINES))
        if obstacle is not None:
            left_out[name] = obstacle
            continue
        try:
            precision = CONVERTED[name].precision if name in CONVERTED else None
            if precision is not None and precision not in converting:
                converting[precision] = _seconds(finished.convert, precision, calibration)
            started = time.perf_counter()
            engine = open_engine(name, finished, device)
            engine(image)
        except ConvscopeError as error:
            left_out[name] = str(error)
            continue
        engines[name] = engine
        starts[name] = 0.0 if precision is None else converting[precision], time.perf_counter() - started
    tell("preparing engines", len(ENGINES), len(ENGINES))
    return engines, starts, left_out


def _compare(engines: dict[str, Engine], squares: Tensor, tell: Progress) -> dict[str, Agreement]:
    """Each engine against the network itself, on as many images as that answers in a while."""
    started = time.perf_counter()
    batches, expected = [], []
    for batch in torch.split(squares, _AT_ONCE):
        batches.append(batch)
        expected.append(engines[REFERENCE](batch))
        if time.perf_counter() - started > _COMPARING:
            break
    agreements = {}
    for done, (name, engine) in enumerate(engines.items()):
        tell("comparing answers", done, len(engines))
        agreements[name] = Agreement.of(torch.cat([engine(batch) for batch in batches]), torch.cat(expected))
    tell("comparing answers", len(engines), len(engines))
    return agreements


def _times(
    engines: dict[str, Engine],
    squares: Tensor,
    batch_sizes: Sequence[int],
    *,
    seconds: float,
    rounds: int,
    tell: Progress,
) -> dict[tuple[str, int], list[float]]:
    """Seconds of every batch, by engine and batch size."""
    batches = {size: squares[torch.arange(size) % len(squares)] for size in batch_sizes}
    # The first batch of a size finds nothing prepared; but one that takes all the time there is is one like others.
    times: dict[tuple[str, int], list[float]] = {}
    for size, batch in batches.items():
        for done, (name, engine) in enumerate(engines.items()):
            tell(f"warming up with batches of {size}", done, len(engines))
            first = _seconds(engine, batch)
            times[name, size] = [first] if first > rounds * seconds else []
        tell(f"warming up with batches of {size}", len(engines), len(engines))
    for done in range(rounds):
        tell("measuring", done, rounds)
        for (name, size), taken in times.items():
            if sum(taken) > rounds * seconds:
                continue
            until = time.perf_counter() + seconds
            while not taken or time.perf_counter() < until:
                taken.append(_seconds(engines[name], batches[size]))
    tell("measuring", rounds, rounds)
    return times


def _seconds(work: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def _speed(batch_size: int, taken: Sequence[float], reference: Sequence[float]) -> Speed:
    middle = median(taken)
    return Speed(
        batch_size,
        seconds=middle,
        seconds_95=quantiles(taken, n=20, method="inclusive")[-1] if len(taken) > 1 else middle,
        images_per_second=batch_size / middle,
        ratio=median(reference) / middle,
    )
