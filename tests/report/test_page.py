"""The pages, read as a browser reads them: parsed, then asked for their texts, tables and pictures."""

import base64
import math
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from convscope.config import Config
from convscope.errors import UserError
from convscope.experiment import Row
from convscope.metrics import classification_report
from convscope.report import write_comparison, write_report
from convscope.report.page import duration
from convscope.runs import Run

CLASSES = ["coat", "shirt", "bag"]
HOSTILE = '<script>alert("1")</script>&<img src=x onerror=alert(2)>'
PNG = b"\x89PNG\r\n\x1a\n not drawn by anyone"


class Page(HTMLParser):
    """Collects what the tests ask for, and notices tags that do not close."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.images, self.rows, self.texts = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag == "img":
            self.images.append(attributes)
        if tag == "tr":
            self.rows.append((attributes.get("class"), []))
        if tag in ("td", "th"):
            self.rows[-1][1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def table(self):
        """All rows of all tables, by their first cell."""
        return {cells[0].strip(): [" ".join(cell.split()) for cell in cells[1:]] for _, cells in self.rows}

    @property
    def changed(self):
        return [cells[0] for kind, cells in self.rows if kind == "changed"]


def read(path):
    return Page(path.read_text(encoding="utf-8"))


def report(classes=CLASSES):
    """2 coats right, 1 coat and 1 bag taken for a shirt, 1 shirt right."""
    predicted = np.eye(3)[[0, 0, 1, 1, 1]]
    return classification_report(predicted, [0, 0, 0, 1, 2], classes, top_k=2)


def rows(epochs):
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


FINAL = {
    "status": "finished",
    "model": "linear",
    "data": "fashion-mnist",
    "parameters": 7850,
    "epochs": 2,
    "best_epoch": 2,
    "train_seconds": 83.2,
    "train_images_per_second": 51234.5,
}


@pytest.fixture
def new_run(tmp_path):
    """Makes a run directory of the given contents."""

    def make(name="first", *, config=None, metrics=None, history=(), environment=None, figures=()):
        run = Run.create(tmp_path / "runs", name, config or Config(model="linear"), environment or {})
        if metrics is not None:
            run.write_metrics(metrics)
        run.write_history(list(history))
        run.figures.mkdir()
        for figure in figures:
            (run.figures / f"{figure}.png").write_bytes(PNG + figure.encode())
        return run

    return make


@pytest.fixture
def finished(new_run):
    return new_run(
        config=Config(model="linear", lr=0.1, model_options={"hidden": 256}, flip=True),
        metrics=FINAL | {"val": classification_report(np.eye(3), [0, 1, 2], CLASSES), "test": report()},
        history=rows(2),
        environment={"python": "3.11.9", "cpu": {"cores": 2, "features": ["amx", "avx2"]}, "cuda": None},
        figures=("curves", "confusion", "predictions", "mistakes"),
    )


def test_a_report_shows_the_final_figures(finished):  # R-C9
    path = write_report(finished)
    assert path == finished.path / "report.html"
    page = read(path)
    low, high = report()["top1_low"], report()["top1_high"]
    assert page.table["accuracy"] == ["100.00%", "60.00%"]
    assert page.table["95% interval"][1] == f"{low:.2%} to {high:.2%}"
    assert page.table["top-k accuracy"] == ["100.00% (k = 3)", f"{report()['top_k']:.2%} (k = 2)"]
    assert page.table["loss"][1] == f"{report()['loss']:.4f}"
    assert page.table["images"] == ["3", "5"]
    assert f"test accuracy 60.00% 95% interval {low:.2%} to {high:.2%}" in page.text
    assert f"{math.log(3):.4f}" in page.text
    for words in ("first finished", "linear on fashion-mnist", "7,850", "1 min 23 s", "the best was epoch 2"):
        assert words in page.text


def test_a_report_shows_classes_and_confused_pairs(finished):  # R-A8
    page = read(write_report(finished))
    cells = [cells for _, cells in page.rows]
    assert ["shirt", "33.3%", "100.0%", "50.0%", "1"] in cells
    assert ["bag", "0.0%", "0.0%", "0.0%", "1"] in cells
    assert ["coat", "shirt", "1", "33.3%"] in cells
    assert ["bag", "shirt", "1", "100.0%"] in cells


def test_pictures_are_inside_the_page_and_nothing_is_loaded(finished):  # R-C9, R-F8
    page = read(write_report(finished))
    contents = [base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) for image in page.images]
    assert contents == [PNG + name for name in (b"curves", b"confusion", b"predictions", b"mistakes")]
    assert all(image["alt"] for image in page.images)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object")
        assert not any(name.startswith("on") or name == "href" for name in attributes)
    text = (finished.path / "report.html").read_text(encoding="utf-8")
    assert "http://" not in text and "https://" not in text and "url(" not in text and "@import" not in text


def test_alarms_are_listed_or_that_there_were_none(new_run):  # R-F2
    run = new_run(metrics={"status": "interrupted"})
    assert "doctor" not in read(write_report(run)).text
    run.write_alarms([])
    assert "raised no alarm" in read(write_report(run)).text
    alarm = {"kind": "dead ReLUs", "epoch": 2, "step": 50, "what": HOSTILE, "remedy": "begin anew", "over": ""}
    run.write_alarms([alarm, alarm | {"kind": "stuck at chance", "step": 0, "over": "epoch 3: it learns"}])
    page = read(write_report(run))
    assert page.table["dead ReLUs"] == ["epoch 2, batch 50", HOSTILE, "begin anew"]
    assert page.table["stuck at chance"] == ["epoch 2", f"{HOSTILE} Over: epoch 3: it learns", "begin anew"]


def test_the_whole_setting_is_listed_and_differences_stand_out(finished):  # R-B8
    page = read(write_report(finished))
    assert page.changed == ["model", "model_options", "flip", "lr"]
    assert page.table["lr"] == ["0.1", str(Config().lr)]
    assert page.table["model_options"] == ["hidden 256", "none"]
    assert page.table["flip"] == ["true", "false"]
    assert set(Config.__dataclass_fields__) <= set(page.table)


def test_the_environment_is_listed(finished):  # R-D8
    table = read(write_report(finished)).table
    assert table["python"] == ["3.11.9"]
    assert table["cpu cores"] == ["2"]
    assert table["cpu features"] == ["amx, avx2"]
    assert table["cuda"] == ["none"]
    assert "format" not in table


def test_every_epoch_is_listed_in_numbers(finished):
    table = read(write_report(finished)).table
    assert table["epoch"][:2] == ["train loss", "train accuracy"]
    assert table["2"] == ["0.5", "0.5", "0.75", "0.4", "0.001", "1", "51234", "41.6"]


def test_the_command_that_repeats_the_run_can_be_pasted(new_run):
    run = new_run("two words", metrics=FINAL | {"test": report()})
    assert f"convscope train --config '{run.path}/config.yaml'" in read(write_report(run)).text


def test_the_page_suits_screens_dark_and_light_and_paper(finished):
    text = write_report(finished).read_text(encoding="utf-8")
    assert "@media screen and (prefers-color-scheme: dark)" in text
    assert "@media print" in text


def test_text_from_files_cannot_become_markup(new_run):
    run = new_run(
        config=Config(model="linear", data=HOSTILE, model_options={HOSTILE: HOSTILE}),
        metrics=FINAL | {"status": HOSTILE, "test": report([HOSTILE, "shirt", "bag"])},
        environment={HOSTILE: HOSTILE},
    )
    page = read(write_report(run))
    assert {"script", "img"}.isdisjoint(tag for tag, _ in page.tags)
    # Shown as it is written: as the data set, twice in the option, as a class, twice in the environment.
    assert page.text.count('<script>alert("1")</script>&<img src=x onerror=alert(2)>') >= 6
    assert page.changed.count("data") == 1


def test_hostile_run_names_are_escaped_in_a_comparison(new_run, tmp_path):
    name = HOSTILE.replace("/", "")
    run = new_run(name, metrics=FINAL, figures=["confusion"])
    page = read(write_comparison(tmp_path, [row(label=HOSTILE)], tmp_path / "none.png", [run]))
    assert "script" not in {tag for tag, _ in page.tags}
    assert [image["alt"] for image in page.images] == [f"Confusion matrix of {name}"]
    assert HOSTILE in page.table


# What is missing is left out --------------------------------------------------------------------------------


def test_a_run_before_its_first_epoch_has_a_page(new_run):
    run = new_run()
    page = read(write_report(run))
    assert "first running" in page.text
    assert "no final figures" in page.text
    assert page.images == []
    assert "Class by class" not in page.text
    assert "lr" in page.table


def test_an_interrupted_run_shows_its_curves_and_how_to_go_on(new_run):
    run = new_run(metrics={"status": "interrupted"}, history=rows(3))
    page = read(write_report(run))
    assert [image["alt"] for image in page.images] == ["Loss, accuracy and learning rate over the epochs"]
    assert base64.b64decode(page.images[0]["src"].split(",")[1]) == (run.figures / "curves.png").read_bytes()
    assert "3" in page.table
    assert f"convscope train --resume {run.path}" in page.text


def test_a_diverged_run_is_told_to_go_slower_not_to_go_on(new_run):
    history = rows(2)
    history[1] |= {"train_loss": math.nan, "val_loss": math.nan}
    page = read(write_report(new_run(metrics={"status": "diverged"}, history=history)))
    assert "lower learning rate" in page.text
    assert "--resume" not in page.text
    assert page.table["2"][0] == "nan"


def test_without_test_figures_the_validation_figures_stand_in(new_run):
    run = new_run(metrics=FINAL | {"val": report()}, history=rows(2))
    page = read(write_report(run))
    assert "validation accuracy 60.00%" in page.text
    assert page.table["accuracy"] == ["60.00%"]
    assert "validation images of" in page.table
    assert "test accuracy" not in page.text


def test_figures_that_are_not_there_are_left_out(finished):
    (finished.figures / "mistakes.png").unlink()
    (finished.figures / "confusion.png").unlink()
    page = read(write_report(finished))
    assert len(page.images) == 2
    assert "worst mistakes" not in page.text


def test_a_perfect_network_has_no_confused_pairs(new_run):
    perfect = classification_report(np.eye(3), [0, 1, 2], CLASSES)
    page = read(write_report(new_run(metrics=FINAL | {"test": perfect})))
    assert "No test image was given a wrong class." in page.text


def test_figures_that_are_no_numbers_are_shown_as_missing(new_run):
    broken = report() | {"loss": math.nan, "calibration_error": math.nan}
    page = read(write_report(new_run(metrics=FINAL | {"train_seconds": None, "test": broken})))
    assert page.table["loss"] == page.table["calibration error"] == ["–"]


def test_a_damaged_run_is_a_clear_error_and_keeps_its_old_page(finished):
    path = write_report(finished)
    before = path.read_bytes()
    (finished.path / "metrics.json").write_text("{")
    with pytest.raises(UserError, match=r"metrics\.json"):
        write_report(finished)
    assert path.read_bytes() == before


def test_the_same_run_gives_the_same_page(finished):
    assert write_report(finished).read_bytes() == write_report(finished).read_bytes()


# Comparisons ------------------------------------------------------------------------------------------------


def row(label, **values):
    """A row of a comparison, of a single run unless `values` say otherwise."""
    single = {
        "model": "linear",
        "seeds": 1,
        "parameters": 7850,
        "epochs": 5.0,
        "seconds": 33.44,
        "val_accuracy": 0.8512,
        "test_accuracy": 0.8432,
        "test_low": 0.8359,
        "test_high": 0.8501,
        "macro_f1": 0.8421,
        "val_accuracy_std": None,
        "test_accuracy_std": None,
        "macro_f1_std": None,
    }
    return Row(label=label, **single | values)


def test_a_comparison_shows_the_models_side_by_side(new_run, tmp_path):  # R-B6
    runs = [
        new_run(name, metrics=FINAL, figures=["confusion"], config=replace(Config(), data="mnist"))
        for name in ("one", "two")
    ]
    (tmp_path / "curves.png").write_bytes(PNG + b"curves")
    rows = [row(label="linear"), row(label="tinyvgg", parameters=467_818, seconds=300.0)]
    path = write_comparison(tmp_path / "comparison", rows, tmp_path / "curves.png", runs)
    assert path == tmp_path / "comparison" / "comparison.html"
    page = read(path)
    assert page.table["linear"] == [
        "7,850",
        "5",
        "33.4 s",
        "85.12%",
        "84.32%",
        "83.59% to 85.01%",
        "0.8421",
    ]
    assert page.table["tinyvgg"][:3] == ["467,818", "5", "5 min 0 s"]
    contents = [base64.b64decode(image["src"].split(",")[1]) for image in page.images]
    assert contents == [PNG + b"curves", PNG + b"confusion", PNG + b"confusion"]
    assert "compared on mnist" in page.text
    for run in runs:
        assert f"convscope train --config {run.path}/config.yaml" in page.text
    assert "several seeds" not in page.text


def test_several_seeds_show_mean_and_standard_deviation(tmp_path):  # R-F5
    several = row(
        label="linear",
        seeds=3,
        epochs=4.6667,
        val_accuracy_std=0.0012,
        test_accuracy_std=0.0034,
        macro_f1_std=0.002,
    )
    page = read(write_comparison(tmp_path, [several], tmp_path / "none.png"))
    assert page.table["linear 3 seeds"] == [
        "7,850",
        "4.7",
        "33.4 s",
        "85.12% ± 0.12%",
        "84.32% ± 0.34%",
        "83.59% to 85.01%",
        "0.8421 ± 0.0020",
    ]
    assert "several seeds" in page.text
    assert page.images == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (83.2, "1 min 23 s"),
        (3599.7, "1 h 0 min"),
        (7325, "2 h 2 min"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_durations_read_as_people_say_them(seconds, words):
    assert duration(seconds) == words
