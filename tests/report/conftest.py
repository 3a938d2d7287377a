"""Run directories made by hand, and pages read as a browser reads them: parsed, then asked for texts and tables."""

from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.config import Config
from convscope.metrics import classification_report
from convscope.runs import Run, create_run

CLASSES = ("coat", "shirt", "bag")


class Page(HTMLParser):
    """Collects what the tests ask for, and notices tags that do not close."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[tuple[str | None, list[str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag == "tr":
            self.rows.append((attributes.get("class"), []))
        if tag in ("td", "th"):
            self.rows[-1][1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))  # of drawings, in which each tag may close itself

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def table(self) -> dict[str, list[str]]:
        """All rows of all tables, by their first cell."""
        return {cells[0].strip(): [" ".join(cell.split()) for cell in cells[1:]] for _, cells in self.rows}

    @property
    def changed(self) -> list[str]:
        return [cells[0] for kind, cells in self.rows if kind == "changed"]

    @property
    def images(self) -> list[dict[str, str | None]]:
        return self.attributes("img")

    @property
    def drawings(self) -> list[str | None]:
        """What the drawings show, in words."""
        return [attributes["aria-label"] for attributes in self.attributes("div") if attributes.get("role") == "img"]

    @property
    def headings(self) -> list[str]:
        return [tag for tag, _ in self.tags if tag in ("h1", "h2", "h3", "h4")]

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def read() -> Callable[[Path], Page]:
    return lambda path: Page(path.read_text(encoding="utf-8"))


def history(epochs: int) -> list[dict[str, float]]:
    return [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "train_accuracy": 0.5,
            "val_loss": 1.5 / epoch,
            "val_accuracy": 0.4,
            "lr": 0.001,
            "grad_norm": 1.0,
            "images_per_second": 51234.5,
            "seconds": 41.6,
        }
        for epoch in range(1, epochs + 1)
    ]


def final_figures(config: Config) -> dict[str, Any]:
    return {
        "status": "finished",
        "model": config.model,
        "data": config.data,
        "parameters": 7850,
        "epochs": 2,
        "best_epoch": 2,
        "train_seconds": 83.2,
        "train_images_per_second": 51234.5,
    }


def data_facts(classes: Sequence[str], size: int = 28) -> dict[str, Any]:
    return {
        "classes": list(classes),
        "images": {"train": 1234, "val": 56, "test": 5},
        "train_images_per_class": [412, 410, 412],
        "image_shape": [1, size, size],
        "preprocessing": {
            "size": size,
            "channels": 1,
            "mean": [0.286],
            "std": [0.353],
            "border": 0.05,
            "decode_size": size,
            "resize": "pad",
        },
    }


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., Run]:
    """Makes a run directory of what is given."""

    def make(name: str = "first", *, config: Config | None = None, metrics: Any = None, epochs: int = 0) -> Run:
        run = create_run(tmp_path / "runs", name, config or Config(model="linear"), {})
        if metrics is not None:
            run.write_metrics(metrics)
        run.write_history(history(epochs))
        return run

    return make


@pytest.fixture
def tested(new_run: Callable[..., Run]) -> Callable[..., Run]:
    """Makes a finished run that gave each test image such an answer, with some confidence, and kept all images."""

    def make(
        name: str = "first",
        *,
        labels: Sequence[int] = (0, 0, 0, 1, 2),
        answers: Sequence[int] = (0, 0, 1, 1, 1),  # a coat and a bag are taken for a shirt
        confidence: float = 0.75,
        classes: Sequence[str] = CLASSES,
        config: Config | None = None,
    ) -> Run:
        config = config or Config(model="linear")
        others = (1 - confidence) / (len(classes) - 1)
        logits = np.log(np.where(np.eye(len(classes))[list(answers)] == 1, confidence, others))
        report = classification_report(logits, labels, classes, top_k=2)
        validation = classification_report(np.eye(len(classes)), range(len(classes)), classes)
        run = new_run(
            name, config=config, metrics=final_figures(config) | {"val": validation, "test": report}, epochs=2
        )
        run.write_predictions(logits=logits.astype(np.float32), labels=np.asarray(labels))
        images = np.random.default_rng(0).integers(0, 256, (len(labels), 1, 28, 28), dtype=np.uint8)
        run.write_examples(images=images, indices=np.arange(len(labels)), random=np.arange(len(labels))[:2])
        run.write_json("data.json", data_facts(classes))
        return run

    return make
