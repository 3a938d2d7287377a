"""What several tests need: a small slice of real FashionMNIST, a server, and how properties are searched."""

import gc
import io
import os
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image

from convscope.catalog import WEIGHTS
from convscope.config import Config, Option
from convscope.data import ImageSet, Preprocessing, Splits, load_splits, load_train_test, stratified_split, write_idx
from convscope.kernels import build
from convscope.metrics import classification_report
from convscope.models import build_model
from convscope.runs import Run, create_run
from convscope.training.checkpoint import save_weights

# A busy machine is no fault of the code. Continuous integration tries the same examples each time, people new ones.
settings.register_profile(
    "convscope", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("convscope")

# Side by side, two processes of several threads each wait for one another at every operation, and take many times as
# long as with a thread each; so do the commands that they start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


# What is computed with AMX is tested where there is none, too.
CAPABILITIES = torch.cpu.get_capabilities()
if CAPABILITIES.get("avx512_bf16", False) and not CAPABILITIES.get("amx_bf16", False):
    os.environ["CONVSCOPE_SOFTWARE_TILES"] = "1"


def pytest_configure(config: pytest.Config) -> None:
    """Build the kernels before there are several processes and clocks that run."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        build.load()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests live to the end; to look for garbage among them takes a third of the time of gathering them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Thousands of small files would each be waited for, which guards against a power failure alone.

    Commands in processes of their own do wait; that they are asked to is seen in tests/test_files.py.
    """
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(os, "fsync", lambda descriptor: None)
        yield


def part(image_set: ImageSet, share: float) -> ImageSet:
    """A stratified part of a set."""
    return image_set.select(stratified_split(image_set.labels, share=share, seed=1)[1])


@pytest.fixture(scope="session")
def fashion_slice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four IDX files: 600 images to train and 200 to test, cut from the set that Convscope ships."""
    folder = tmp_path_factory.mktemp("data") / "fashion-slice"
    folder.mkdir()
    train, test = load_train_test("fashion-mnist-mini")
    for prefix, image_set in (("train", part(train, 0.06)), ("t10k", part(test, 0.1))):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", image_set.take(torch.arange(len(image_set)))[:, 0])
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", image_set.labels.to(torch.uint8))
    (folder / "classes.txt").write_text("\n".join(train.classes), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def fashion_splits(fashion_slice: Path) -> Splits:
    """The slice, loaded: 540 images to train, 60 to validate, 200 to test."""
    return load_splits(fashion_slice)


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 90 photos of many sizes in three classes, told apart by colour, and two files that are none."""
    folder = tmp_path_factory.mktemp("photos") / "fruits"
    random = np.random.default_rng(0)
    for name, colour in (("apple", (200, 40, 40)), ("lemon", (220, 210, 60)), ("plum", (70, 40, 120))):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            height, width = random.integers(40, 90, 2)
            pixels = np.asarray(colour) + random.integers(-40, 40, (height, width, 3))
            suffix = ("jpg", "png", "webp")[number % 3]
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number}.{suffix}")
    (folder / "plum" / "cut short.jpg").write_bytes((folder / "plum" / "0.jpg").read_bytes()[:200])
    (folder / "lemon" / "notes.txt").write_text("yellow", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def make_run(
    fashion_slice: Path, fashion_splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Run]:
    """Makes a run as a training on the slice leaves it behind, but with weights that were never trained.

    `make_run("lenet5", input_size=32)`; keywords that are not named here are options of the network. It was tested if
    `tested`, and kept snapshots of the epochs in `snapshots`.
    """

    def run(
        model: str,
        *,
        name: str | None = None,
        in_channels: int = 1,
        input_size: int = 28,
        seed: int = 0,
        tested: bool = False,
        snapshots: Sequence[int] = (),
        **options: Option,
    ) -> Run:
        config = Config(
            data=str(fashion_slice), model=model, input_size=input_size, seed=seed, model_options=options, epochs=1
        )
        made = create_run(tmp_path_factory.mktemp("runs"), name or model, config, {"started": ""})
        test, classes = fashion_splits.test, fashion_splits.test.classes
        preprocessing = Preprocessing.for_training(fashion_splits.train, size=input_size, channels=in_channels)
        shape = {"num_classes": len(classes), "in_channels": in_channels, "input_size": input_size}
        header = {
            "model": model,
            "options": options,
            "data": config.data,
            **shape,
            "classes": list(classes),
            "train_images": len(fashion_splits.train),
            "preprocessing": preprocessing.to_dict(),
        }
        for epoch in snapshots:
            network = build_model(model, **shape, seed=seed + 1 + epoch, **options)
            path = made.best_weights.with_name(f"epoch-{epoch:04}.safetensors")
            save_weights(path, network.state_dict(), header)
        network = build_model(model, **shape, seed=seed, **options).eval()
        save_weights(made.best_weights, network.state_dict(), header)
        metrics: dict[str, object] = {"status": "finished"}
        if tested:
            with torch.no_grad():
                logits = torch.cat([network(preprocessing(images)) for images in test.pieces(50)]).numpy()
            made.write_predictions(logits=logits, labels=test.labels.numpy())
            metrics["test"] = classification_report(logits, test.labels.numpy(), classes)
        made.write_metrics(metrics)
        return made

    return run


@dataclass
class Mirror:
    """A server of files on this machine; what it does wrong can be changed while it runs."""

    files: dict[str, bytes]
    address: str = ""
    cut: set[str] = field(default_factory=set)
    """Files whose connection is closed half way."""
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, bytes]], Mirror]]:
    """Starts a server of the files given, which is stopped at the end of the test."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def start(files: dict[str, bytes]) -> Mirror:
        mirror = Mirror(dict(files))
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(mirror))
        mirror.address = f"http://127.0.0.1:{server.server_address[1]}/"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return mirror

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _handler(mirror: Mirror) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            mirror.asked.append(name)
            if name not in mirror.files:
                self.send_error(404)
                return
            body = mirror.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if name in mirror.cut else body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing to the terminal."""

    return Handler


@pytest.fixture
def publish(serve: Callable[[dict[str, bytes]], Mirror], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Mirror]:
    """Puts a file of ImageNet weights for a model on a server, and its name into the catalogue.

    The content is bytes, or what `torch.save` is to write: as today's archive, or, not `zipped`, in the format
    before PyTorch 1.6, which many published files have.
    """

    def run(name: str, content: object, *, zipped: bool = True) -> Mirror:
        file = io.BytesIO()
        torch.save(content, file, _use_new_zipfile_serialization=zipped)
        data = content if isinstance(content, bytes) else file.getvalue()
        row = replace(WEIGHTS[name, "imagenet"], file=f"{name}-{sha256(data).hexdigest()[:8]}.pth")
        monkeypatch.setitem(WEIGHTS, (name, "imagenet"), row)
        mirror = serve({row.file: data})
        monkeypatch.setenv("CONVSCOPE_WEIGHTS_ADDRESS", mirror.address)
        return mirror

    return run


@pytest.fixture
def refusing_address(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address nothing listens at."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, which takes most of the time of a small command."""
    from convscope import plots
    from convscope.files import write_text

    monkeypatch.setattr(plots, "save_figure", lambda figure, path: write_text(path, "a picture"))
    monkeypatch.setattr(plots, "svg", lambda figure: "<svg></svg>")
    names = ("curves", "confusion_matrix", "prediction_grid", "sample_strip", "class_distribution", "mean_images")
    for name in (*names, "trial_history", "importances", "slices", "parallel_coordinates"):
        monkeypatch.setattr(plots, name, lambda *arguments, **keywords: None)
