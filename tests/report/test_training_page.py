"""The page of the doctor for a training, read as a browser reads it."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from convscope.config import Config
from convscope.doctor.findings import Finding
from convscope.doctor.training import TrainingReport
from convscope.doctor.training.depth import LayerHealth
from convscope.errors import ConvscopeError
from convscope.report import write_training_page

HOSTILE = '<script>alert("1")</script>'
LAYERS = (
    LayerHealth(
        name="conv", kind="Conv2d", mean=0.1, std=1.25, varies=0.5, weight_norm=2.0, grad_norm=0.3, update=0.01
    ),
    LayerHealth(name="act", kind="ReLU", mean=0.4, std=0.5, varies=0.5, dead=0.125),
)


def facts(**changes: object) -> dict[str, object]:
    return {
        "answers": {"first_loss": 2.31, "even_loss": 2.3026, "guessing_loss": 2.25},
        "rates": {
            "rates": [1e-6, 1e-3, 1.0],
            "losses": [2.3, 1.5, 9.0],
            "smoothed": [2.3, 1.9, 4.0],
            "crawls_below": 1e-4,
            "fails_above": 0.5,
            "suggested": 0.0123,
            "short_trainings": [{"lr": 0.002, "end": 1.5}, {"lr": 0.5, "end": None}],
        },
        "one_batch": {"images": 32, "lr": 0.0123, "losses": [2.3, 1.0, 0.1]},
        "memory": {"total": 600 * 2**20, "available": 2**30, "largest_batch": 2048, "micro_batch": None},
        "time": {"seconds_a_step": 0.05, "steps": 4220, "seconds": 230.0},
    } | changes


class Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.drawings: list[str | None] = []
        self.texts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if ("role", "img") in attributes:
            self.drawings.append(dict(attributes)["aria-label"])

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def written(folder: Path, *findings: Finding, name: str = "linear", **changes: object) -> Page:
    report = TrainingReport(config=Config(model=name), findings=findings, layers=LAYERS, facts=facts(**changes))
    return Page(write_training_page(folder / "page.html", report))


def test_everything_is_on_the_page(tmp_path: Path) -> None:  # R-F2, R-A4, R-C6
    finding = Finding(
        kind="dead ReLUs", severity="severe", what="one layer is dead.", why="It is.", remedy="Revive it."
    )
    page = written(tmp_path, finding)
    words = ["linear on fashion-mnist", "One layer is dead.", "Revive it.", "so 0.012 is suggested", "no number at 0.5"]
    words += ["3 min 50 s", "600 MiB", "about 2,048 images", "conv Conv2d 0.1 1.25 0.3 0.01", "act ReLU 0.4 0.5 0.125"]
    for word in words:
        assert word in page.text
    assert page.drawings == [
        "loss over learning rate",
        "loss on one batch",
        "activations, gradients and updates of each layer",
    ]
    assert page.tags.count("svg") == 3


def test_nothing_found_and_nothing_learnt(tmp_path: Path) -> None:
    none = dict.fromkeys(("crawls_below", "fails_above", "suggested"))
    page = written(tmp_path, rates=facts()["rates"] | none)  # type: ignore[operator]
    assert "None of the faults looked for was found." in page.text
    assert "the network learnt at none of those tried" in page.text


def test_memory_that_cannot_be_told_or_does_not_suffice(tmp_path: Path) -> None:
    unknown = {"total": 2**30, "available": None, "largest_batch": None, "micro_batch": None}
    assert "how much this machine has cannot be told" in written(tmp_path, memory=unknown).text
    small = {"total": 2**30, "available": 2**20, "largest_batch": 0, "micro_batch": None}
    assert "none fits" in written(tmp_path, memory=small).text


def test_names_cannot_smuggle_anything_in(tmp_path: Path) -> None:
    page = written(tmp_path, name=HOSTILE)
    assert "script" not in page.tags
    assert HOSTILE in page.text


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "page.html").mkdir()
    with pytest.raises(ConvscopeError, match="cannot write"):
        written(tmp_path)
