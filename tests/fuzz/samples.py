"""Intact files of every kind that Convscope reads, as small as they can be."""

import io
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from convscope.config import Config
from convscope.data import Preprocessing
from convscope.engines.measured import machine
from convscope.metrics import classification_report
from convscope.models import build_model
from convscope.models.layers import Classifier
from convscope.runs import Run, create_run
from convscope.search.plan import SearchPlan
from convscope.search.reading import parse_dimension
from convscope.search.records import Outcome
from convscope.search.study import Study
from convscope.shapes import ALARM
from convscope.training.checkpoint import save_state, save_weights

CLASSES = ("cat", "dog")
SETTING = Config(data="fashion-mnist-mini", model="tinyvgg_bn", model_options={"hidden": 64}, epochs=3, lr=0.01)


def as_bytes(write: Callable[[Path], object]) -> bytes:
    """What is written to a file."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "file")
        return (Path(folder) / "file").read_bytes()


def settings() -> list[bytes]:
    short = b"# quick\nmodel: linear\nlr: 1e-3\nmodel_options: {}\nclip_norm: null\nflip: yes\ndata: 'a b'\n"
    return [SETTING.to_yaml().encode(), short]


# Images and data sets


def idx() -> list[bytes]:
    images = struct.pack(">HBB3I", 0, 8, 3, 2, 4, 4) + bytes(range(32))
    labels = struct.pack(">HBBI", 0, 8, 1, 2) + b"\1\0"
    return [images, labels, struct.pack(">HBB4I", 0, 8, 4, 1, 2, 2, 2) + bytes(8)]


def cifar_batch() -> bytes:
    """Two images with labels, as Python 2 pickled them."""
    pixels = bytes(range(256)) * 24
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x01(cnumpy\nndarray\nq\x02K\x00\x85U\x01btR"
    kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array += b"(K\x01K\x02M\x00\x0c\x86" + kind + b"\x89T" + struct.pack("<I", len(pixels)) + pixels + b"tb"
    return b"\x80\x02}q\x00(U\x04data" + array + b"U\x06labels]q\x05(K\x00K\x01eu."


def cifar_names() -> bytes:
    return b"\x80\x02}q\x00U\x0blabel_names]q\x01(U\x03catU\x03doges."


def picture(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 17, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def images() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    frames = {"save_all": True, "append_images": [picture("L"), picture("L")]}
    made: list[tuple[str, str, dict[str, Any]]] = [
        ("RGB", "PNG", {}),
        ("P", "PNG", {"transparency": 3}),
        ("LA", "PNG", {}),
        ("I;16", "PNG", {}),
        ("RGB", "JPEG", {"exif": exif}),
        ("CMYK", "JPEG", {"progressive": True}),
        ("L", "GIF", frames),
        ("RGB", "BMP", {}),
        ("RGBA", "WEBP", {"exif": exif}),
        ("RGB", "TIFF", {"compression": "tiff_lzw"}),
        ("F", "TIFF", {}),
        ("RGB", "PPM", {}),
    ]
    files = []
    for mode, kind, options in made:
        file = io.BytesIO()
        source = picture("I") if mode == "I;16" else picture(mode)
        (source.convert("I;16") if mode == "I;16" else source).save(file, kind, **options)
        files.append(file.getvalue())
    return files


def arrays() -> list[bytes]:
    """As NumPy writes them."""
    files = []
    for shape in ((2, 8, 8), (2, 5, 7, 3)):
        file = io.BytesIO()
        np.save(file, np.zeros(shape, np.uint8))
        files.append(file.getvalue())
    return files


def archives() -> list[bytes]:
    made = []
    for compression in ("", "gz", "xz", "bz2"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=f"w:{compression}") as archive:
            for name in ("wanted/one", "wanted/deep/two", "else", "wanted/" + 20 * "long name "):
                member = tarfile.TarInfo(name)
                member.size = 300
                archive.addfile(member, io.BytesIO(bytes(300)))
        made.append(file.getvalue())
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as packed:
            packed.writestr("wanted/one", bytes(300))
            packed.writestr("else", b"e")
        made.append(file.getvalue())
    return made


def photos(folder: Path) -> None:
    """Six photos with a table."""
    for number in range(6):
        picture().rotate(number).save(folder / f"{number}.png")
    lines = [f"{number}.png,{CLASSES[number % 2]}," for number in range(6)]
    (folder / "labels.csv").write_text("\n".join(["file,label,split", *lines]), encoding="utf-8")


# Runs and weights

HEADER: dict[str, Any] = {
    "model": "linear",
    "options": {},
    "data": "fashion-mnist-mini",
    "num_classes": 2,
    "in_channels": 1,
    "input_size": 8,
    "classes": list(CLASSES),
    "train_images": 4,
    "preprocessing": Preprocessing(
        size=8, channels=1, mean=(0.5,), std=(0.25,), border=0.0, decode_size=8, resize="pad"
    ).to_dict(),
}


def network() -> Classifier:
    """The one whose weights are in the files."""
    return build_model("linear", num_classes=2, input_size=8, seed=0)


def convolutions(channels: int) -> Classifier:
    """The one whose weights are published, for grey or for colour."""
    return build_model("tinyvgg_explainer", num_classes=2, in_channels=channels, input_size=16, seed=0)


def weights(header: dict[str, Any] = HEADER) -> bytes:
    return as_bytes(lambda path: save_weights(path, network().state_dict(), header))


def state() -> bytes:
    """Of a training, much shortened."""
    values = {"model": network().state_dict(), "position": {"epoch": 1, "loss": 0.5}, "history": [{"epoch": 1}]}
    return as_bytes(lambda path: save_state(path, values))


def published_weights() -> list[bytes]:
    """Both formats of PyTorch's."""
    files = []
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save(convolutions(3).state_dict(), file, _use_new_zipfile_serialization=zipped)
        files.append(file.getvalue())
    return files


def search(folder: Path) -> Path:
    """A search with two trials on record."""
    words = ("lr=1e-3..1e-1:log", "shift=0..4", "rotation=0..10:2.5", "optimizer=sgd,adamw")
    study = Study.create(folder / "search", SearchPlan(Config(model="linear"), dict(map(parse_dimension, words))))
    with study.worker() as worker:
        for outcome in (Outcome("finished", 0.5, 0.75, 2, 1.5), Outcome("failed", reason="too large")):
            claim = study.claim(worker, trials=2)
            assert claim is not None
            study.settle(claim.number, outcome)
    return study.path


def run(runs_dir: Path) -> Run:
    """A finished run, without its pictures."""
    environment = {"started": "2026", "versions": {"torch": "2", "tyro": None}, "threads": 1, "cpu": {"cores": [1]}}
    made = create_run(runs_dir, "run", replace(SETTING, model="linear", model_options={}), environment)
    row = dict.fromkeys(("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "grad_norm"), 0.5)
    made.write_history([{"epoch": epoch, **row, "images_per_second": 100.0, "seconds": 1.0} for epoch in (1, 2)])
    report = classification_report([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]], [0, 1, 1], CLASSES)
    made.write_metrics(
        {
            **{"status": "finished", "model": "linear", "data": "fashion-mnist-mini", "parameters": 130, "epochs": 2},
            **{"best_epoch": 2, "train_seconds": 1.5, "train_images_per_second": 1000.0, "val": report, "test": report},
        }
    )
    kinds = {str: "text", int: 1, float: 0.5, bool: True, dict: {}}
    made.write_alarms([{key: kinds.get(kind, 1) for key, kind in ALARM.items()}])
    made.write_predictions(logits=np.zeros((3, 2), np.float32), labels=np.zeros(3, np.int64))
    made.write_examples(images=np.zeros((2, 1, 4, 4), np.uint8), indices=np.arange(2), random=np.arange(1))
    made.write_json(
        "data.json",
        {
            **{"classes": list(CLASSES), "images": {"train": 5, "val": 2, "test": 3}, "image_shape": [1, 8, 8]},
            **{"train_images_per_class": [2, 3], "preprocessing": HEADER["preprocessing"]},
        },
    )
    speeds = [{"batch_size": 1, "seconds": 0.5, "images_per_second": 2.0}]
    row = {"name": "pytorch-float32", "convert_seconds": 0.0, "load_seconds": 0.5, "speeds": speeds}
    row |= {"top1_agreement": 1.0, "largest_difference": 0.0}
    made.write_json(
        "inference.json",
        {"weights": "a digest", "machine": machine(torch.device("cpu")), "images": 10, "engines": [row]},
    )
    made.best_weights.parent.mkdir()
    made.best_weights.write_bytes(weights())
    return made


# Requests for predictions


def forms() -> list[bytes]:
    """The body of a form with two files and a field."""
    head = b"--edge\r\nContent-Disposition: form-data; name="
    files = b"".join(head + b'"image"; filename="%d.png"\r\n\r\n' % number + b"\x89PNG\r\n" for number in range(2))
    return [files + head + b'"top_k"\r\n\r\n3\r\n--edge--\r\n']


def questions() -> list[bytes]:
    return [b'{"images": ["iVBORw0KGgo=", "eA=="], "top_k": 3, "invert": true}']
