"""Every way in which a file from outside is read: where the file lies, and what reads it."""

import hashlib
import io
import json
import shutil
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import samples

from convscope.cli.main import main
from convscope.config import Config
from convscope.data import Preprocessing, load_splits, read_idx
from convscope.data.arrays import ImageArray
from convscope.data.cifar import read_cifar10
from convscope.data.decoding import read_square
from convscope.data.unpacking import unpack
from convscope.engines.auto import choose_engine
from convscope.engines.finished import Finished
from convscope.errors import ConvscopeError
from convscope.experiment.weights import find_source
from convscope.models.pretrained import fit_weights, read_weights
from convscope.predict import Predictor
from convscope.recipes import load_config
from convscope.report.answers import answers_of
from convscope.report.network import layers_of
from convscope.report.words import data_words
from convscope.runs import Run
from convscope.search.plan import SearchPlan
from convscope.search.reading import load_space
from convscope.search.study import Study
from convscope.serving.questions import Limits, read_question
from convscope.training.checkpoint import load_state, load_weights, save_weights


def _alone(folder: Path) -> Path:
    return folder / "file"


@dataclass(frozen=True)
class Reader:
    """One way into the program."""

    name: str
    read: Callable[[Path], object]
    """Takes the path of the hostile file."""
    contents: Callable[[], list[bytes]] = list
    """Intact files; where there are none, what `prepare` leaves in the file's place."""
    prepare: Callable[[Path], Path] = _alone
    """Makes in a folder what belongs around the file, and says where that lies."""
    seal: Callable[[bytes], bytes] = bytes
    """Puts right what would give every change away at once, such as a checksum."""
    json: bool = False
    """Whether the file is JSON."""


@dataclass
class Trial:
    """A reader in a folder of its own."""

    reader: Reader
    folder: Path
    path: Path = field(init=False)
    contents: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.path = self.reader.prepare(self.folder)
        self.contents = self.reader.contents() or [self.path.read_bytes()]

    def put(self, contents: bytes) -> None:
        """Write the hostile file."""
        self.path.write_bytes(self.reader.seal(contents))

    def accepts(self) -> bool:
        """Whether the file is read.

        Refusing it takes one of our own errors, on one line; any other exception is a finding.
        """
        try:
            with redirect_stdout(io.StringIO()):
                self.reader.read(self.path)
        except ConvscopeError as error:
            assert str(error) and "\n" not in str(error), f"not one line: {str(error)!r}"
            return False
        return True


# Data sets


def _read_cifar(path: Path) -> None:
    read_cifar10(path.parent)


def _cifar_folder(folder: Path) -> Path:
    for number in range(1, 6):
        (folder / f"data_batch_{number}").write_bytes(samples.cifar_batch())
    (folder / "test_batch").write_bytes(samples.cifar_batch())
    (folder / "batches.meta").write_bytes(samples.cifar_names())
    return folder / "data_batch_3"


def _unpack(path: Path) -> None:
    target = path.with_name("target")
    try:
        unpack(path, "wanted", target, most_bytes=100_000)
    finally:
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)


def _read_image(path: Path) -> None:
    read_square(path, size=8, resize="pad")


def _read_array(path: Path) -> None:
    array = ImageArray.open(path)
    for start in range(0, min(len(array), 64), 8):
        array.squares(start, start + 8, size=8, resize="crop")


def _table(folder: Path) -> Path:
    samples.photos(folder)
    return folder / "labels.csv"


def _load_photos(folder: Path) -> None:
    splits = load_splits(folder, size=8, data_dir=folder / ".cache")
    Preprocessing.for_training(splits.train, resize=splits.resize, statistics=splits.statistics)


def _in_cache(pattern: str) -> Callable[[Path], Path]:
    def prepare(folder: Path) -> Path:
        samples.photos(folder)
        _load_photos(folder)
        return next((folder / ".cache" / "decoded").glob(f"*/{pattern}"))

    return prepare


# Runs: one that is finished, of which one file is exchanged


def _of_run(name: str) -> Callable[[Path], Path]:
    return lambda folder: samples.run(folder).path / name


def _describe_data(path: Path) -> None:
    run = Run(path.parent)
    facts = run.data_facts()
    assert facts is not None
    data_words(facts)
    layers_of(run.config(), facts)


def _ask_again(path: Path) -> None:
    answers = answers_of(Run(path.parent), samples.CLASSES)
    assert answers is not None
    answers.cells()


def _show_run(path: Path) -> None:
    """Whatever the commands read, weights apart; with `--debug` errors come through."""
    runs_dir = next(parent.parent for parent in path.parents if parent.name == "run")
    main(["runs", "--runs-dir", str(runs_dir), "--debug"])
    main(["runs", "--runs-dir", str(runs_dir), "--group", "--show", "all", "--format", "csv", "--debug"])
    main(["runs", "show", "run", "--runs-dir", str(runs_dir), "--debug"])
    assert Run.open("latest", runs_dir).name == "run"


def _choose_engine(path: Path) -> None:
    predictor = Predictor.from_run(Run(path.parent), "cpu")
    finished = Finished(predictor.model, predictor.preprocessing, "a digest", path.parent)
    for images in (None, 3):
        assert choose_engine(finished, predictor.device, images=images).name == "pytorch-float32"


def _of_search(name: str) -> Callable[[Path], Path]:
    return lambda folder: samples.search(folder) / name


def _show_search(path: Path) -> None:
    study = Study.open(path.parent)
    study.tried()
    study.importances()


# Weights


def _use_weights(path: Path) -> None:
    Predictor.from_weights(path, "cpu").predict(samples.picture())


def _start_from(path: Path) -> None:
    find_source(Config(model="linear", pretrained=str(path)), {}).give(samples.network(), samples.CLASSES)


def _forged(contents: bytes) -> bytes:
    """Changed weights with the checksum that fits them."""
    try:
        tensors = safetensors.torch.load(contents)
        length = int.from_bytes(contents[:8], "little")
        header = json.loads(json.loads(contents[8 : 8 + length])["__metadata__"]["convscope"])
        header.pop("sha256")
        return samples.as_bytes(lambda path: save_weights(path, tensors, header))
    except Exception:  # too much is broken
        return contents


def _with_header(contents: bytes) -> bytes:
    """Weights with a header of this JSON."""
    try:
        return samples.weights(json.loads(contents))
    except Exception:
        return contents


def _fit_published(path: Path) -> None:
    for channels, same_classes in ((1, True), (3, False)):
        fit_weights(samples.convolutions(channels), read_weights(path), path, same_classes=same_classes)


# Requests for predictions


def _read_request(kind: str) -> Callable[[Path], object]:
    return lambda path: read_question(kind, [], path.read_bytes(), Limits())


READERS = {
    reader.name: reader
    for reader in (
        Reader("setting", load_config, samples.settings),
        Reader("IDX", read_idx, samples.idx),
        Reader("CIFAR-10", _read_cifar, prepare=_cifar_folder),
        Reader("archive", _unpack, samples.archives),
        Reader("image", _read_image, samples.images),
        Reader("array of images", _read_array, samples.arrays),
        Reader("labels.csv", lambda path: _load_photos(path.parent), prepare=_table),
        Reader(
            "index of photos", lambda path: _load_photos(path.parents[3]), prepare=_in_cache("index.json"), json=True
        ),
        Reader(
            "statistics of photos",
            lambda path: _load_photos(path.parents[3]),
            prepare=_in_cache("statistics-*.json"),
            json=True,
        ),
        Reader("config.yaml", _show_run, prepare=_of_run("config.yaml")),
        Reader("metrics.json", _show_run, prepare=_of_run("metrics.json"), json=True),
        Reader("environment.json", _show_run, prepare=_of_run("environment.json"), json=True),
        Reader("alarms.json", _show_run, prepare=_of_run("alarms.json"), json=True),
        Reader("history.csv", _show_run, prepare=_of_run("history.csv")),
        Reader("data.json", _describe_data, prepare=_of_run("data.json"), json=True),
        Reader("inference.json", _choose_engine, prepare=_of_run("inference.json"), json=True),
        Reader("predictions.npz", _ask_again, prepare=_of_run("predictions.npz")),
        Reader("examples.npz", _ask_again, prepare=_of_run("examples.npz")),
        Reader("search.yaml", lambda path: SearchPlan.read(path.parent).digest(), prepare=_of_search("search.yaml")),
        Reader("space.yaml", load_space, prepare=_of_search("space.yaml")),
        Reader("study.db", _show_search, prepare=_of_search("study.db")),
        Reader("weights", load_weights, lambda: [samples.weights()]),
        Reader("weights, forged", _use_weights, lambda: [samples.weights()], seal=_forged),
        Reader(
            "header of weights",
            _use_weights,
            lambda: [json.dumps(samples.HEADER).encode()],
            seal=_with_header,
            json=True,
        ),
        Reader(
            "header of weights to start from",
            _start_from,
            lambda: [json.dumps(samples.HEADER).encode()],
            prepare=lambda folder: folder / "file.safetensors",
            seal=_with_header,
            json=True,
        ),
        Reader("last.pt", load_state, lambda: [samples.state()]),
        Reader(
            "last.pt, forged",
            load_state,
            lambda: [samples.state()[:-32]],
            seal=lambda contents: contents + hashlib.sha256(contents).digest(),
        ),
        Reader("published weights", _fit_published, samples.published_weights),
        Reader("form of a request", _read_request("multipart/form-data; boundary=edge"), samples.forms),
        Reader("JSON of a request", _read_request("application/json"), samples.questions, json=True),
    )
}


def trial_of(name: str, folder: Path) -> Trial:
    """A reader that has read its intact files, so that no module is left to import."""
    trial = Trial(READERS[name], folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for contents in trial.contents:
            trial.put(contents)
            assert trial.accepts(), f"{name}: an intact file was refused"
    return trial
