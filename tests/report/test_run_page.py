"""The report on one run, and its slides."""

import base64
import math
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convscope.config import Config
from convscope.errors import ConvscopeError, UserError
from convscope.experiment.results import EXAMPLE_SIZE, MOST_EXAMPLES
from convscope.report import write_report, write_slides
from convscope.runs import Run

Runs = Callable[..., Run]
Read = Callable[[Path], Any]
HOSTILE = '<script>alert("1")</script>&<img src=x onerror=alert(2)>'


def test_a_report_shows_the_final_figures(tested: Runs, read: Read) -> None:  # R-C9
    run = tested()
    path = write_report(run)
    assert path == run.path / "report.html"
    page, report = read(path), run.results()["test"]
    interval = f"{report['top1_low']:.2%} to {report['top1_high']:.2%}"
    assert page.table["accuracy"] == ["100.00%", "60.00%"]
    assert page.table["95% interval"][1] == interval
    assert page.table["top-k accuracy"] == ["100.00% (k = 3)", f"{report['top_k']:.2%} (k = 2)"]
    assert page.table["loss"][1] == f"{report['loss']:.4f}"
    assert page.table["images"] == ["3", "5"]
    assert f"test accuracy 60.00% 95% interval {interval}" in page.text
    assert f"{math.log(3):.4f}" in page.text
    for words in ("first finished", "linear on fashion-mnist", "7,850", "1 min 23 s", "the best was epoch 2"):
        assert words in page.text


def test_classes_and_confused_pairs(tested: Runs, read: Read) -> None:  # R-A8
    cells = [cells for _, cells in read(write_report(tested())).rows]
    assert ["shirt", "33.3%", "100.0%", "50.0%", "1"] in cells
    assert ["bag", "0.0%", "0.0%", "0.0%", "1"] in cells
    assert ["coat", "shirt", "1", "33.3%"] in cells
    assert ["bag", "shirt", "1", "100.0%"] in cells


def test_a_number_of_the_confusion_matrix_opens_its_images(tested: Runs, read: Read) -> None:  # R-F3
    page = read(write_report(tested()))
    buttons = {
        button["aria-label"]: button["popovertarget"]
        for button in page.attributes("button")[::1]
        if "aria-label" in button
    }
    assert set(buttons) == {
        "2: coat, recognised",
        "1: coat taken for shirt",
        "1: shirt, recognised",
        "1: bag taken for shirt",
    }
    opened = [attributes["id"] for attributes in page.attributes("div") if "popover" in attributes]
    assert sorted(opened) == sorted(buttons.values())
    # Two at random, two mistakes, one of each class that was recognised, and all five behind the numbers.
    assert len(page.images) == 2 + 2 + 2 + 5
    assert ["coat", "2", "1", "0"] in [cells for _, cells in page.rows]


def test_everything_is_inside_the_page(tested: Runs, read: Read) -> None:  # R-C9, R-F8
    for path in (write_report(tested()), write_slides(tested("second"))):
        page = read(path)
        assert all(image["src"].startswith("data:image/png;base64,") and image["alt"] for image in page.images)
        for tag, attributes in page.tags:
            assert tag not in ("script", "link", "iframe", "object")
            assert not any(name.startswith("on") for name in attributes)
            assert all(str(attributes[name]).startswith("#") for name in ("href", "xlink:href") if name in attributes)
        # What is left of addresses names the language of the drawings.
        addresses = set(re.findall(r"https?://[^\s\"]*", page.source))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
        assert "@import" not in page.source and not re.search(r"url\((?!#)", page.source)


def test_headings_tables_and_links_can_be_found_without_eyes(tested: Runs, read: Read) -> None:
    page = read(write_report(tested()))
    levels = [int(tag[1]) for tag in page.headings]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tables, captions = page.attributes("table"), page.attributes("caption")
    assert len(tables) == len(captions) > 5
    assert all("scope" in attributes for attributes in page.attributes("th"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes and "popover" not in attributes]
    assert {link["href"].removeprefix("#") for link in page.attributes("a")} <= set(ids)
    assert page.drawings[0].startswith("Loss, accuracy, learning rate and norm of the gradient")
    every_id = re.findall(r'<(?!path|clipPath)\w+[^>]* id="([^"]*)"', page.source)
    assert len(every_id) == len(set(every_id))


def test_pixels_survive(tested: Runs, read: Read, tmp_path: Path) -> None:
    run = tested()
    source = read(write_report(run)).images[0]["src"]
    (tmp_path / "picture.png").write_bytes(base64.b64decode(source.partition(",")[2]))
    with Image.open(tmp_path / "picture.png") as image:
        kept = run.examples()["images"][:, 0]
        assert any(np.array_equal(np.asarray(image), picture) for picture in kept)


def test_alarms_are_listed_or_that_there_were_none(new_run: Runs, read: Read) -> None:  # R-F2
    run = new_run(metrics={"status": "interrupted"})
    assert "doctor" not in read(write_report(run)).text
    run.write_alarms([])
    assert "raised no alarm" in read(write_report(run)).text
    alarm = {"kind": "dead ReLUs", "epoch": 2, "step": 50, "what": HOSTILE, "remedy": "begin anew", "over": ""}
    run.write_alarms([alarm, alarm | {"kind": "stuck at chance", "step": 0, "over": "epoch 3: it learns"}])
    page = read(write_report(run))
    assert page.table["dead ReLUs"] == ["epoch 2, batch 50", HOSTILE, "begin anew"]
    assert page.table["stuck at chance"] == ["epoch 2", f"{HOSTILE} Over: epoch 3: it learns", "begin anew"]


def test_the_whole_setting_is_listed_and_differences_stand_out(new_run: Runs, read: Read) -> None:  # R-B8
    config = Config(model="linear", lr=0.1, model_options={"hidden": 256}, flip=True)
    page = read(write_report(new_run(config=config)))
    assert page.changed == ["model", "model_options", "flip", "lr"]
    assert page.table["lr"] == ["0.1", str(Config().lr)]
    assert page.table["model_options"] == ["hidden 256", "none"]
    assert page.table["flip"] == ["true", "false"]
    assert set(Config.__dataclass_fields__) <= set(page.table)


def test_data_network_and_calibration(tested: Runs, read: Read) -> None:  # R-D1
    page = read(write_report(tested()))
    assert page.table["training images"] == ["1,234 (410 to 412 images of each class)"]
    assert page.table["as stored"] == ["28×28 pixels, grey"]
    assert "0.2860" in page.table["normalised"][0]
    assert page.table["all"] == ["", "", f"{28 * 28 * 3 + 3:,}", "", "2.35 k"]
    # All five answers have a confidence of 75%, and three are right.
    assert page.table["73% to 80%"] == ["5", "75.0%", "60.0%"]
    assert "The calibration error, 15.00%," in page.text


def test_the_environment_is_listed(new_run: Runs, read: Read) -> None:  # R-D8
    run = new_run()
    run.write_json("environment.json", {"cpu": {"cores": 2, "features": ["amx", "avx2"]}, "cuda": None})
    table = read(write_report(run)).table
    assert table["cpu cores"] == ["2"]
    assert table["cpu features"] == ["amx, avx2"]
    assert table["cuda"] == ["none"]
    assert "format" not in table


def test_every_epoch_is_listed_in_numbers(tested: Runs, read: Read) -> None:
    table = read(write_report(tested())).table
    assert table["epoch"][:2] == ["train loss", "train accuracy"]
    assert table["2"] == ["0.5", "0.5", "0.75", "0.4", "0.001", "1", "51234", "41.6"]


@pytest.mark.usefixtures("no_pictures")
def test_the_command_that_repeats_the_run_can_be_pasted(tested: Runs, read: Read) -> None:
    run = tested("two words")
    for path in (write_report(run), write_slides(run)):
        assert f"convscope train --config '{run.path}/config.yaml'" in read(path).text


def test_text_from_files_cannot_become_markup(tested: Runs, read: Read) -> None:
    run = tested(
        config=Config(model="linear", data=HOSTILE, model_options={HOSTILE: HOSTILE}),
        classes=[HOSTILE, "shirt", "bag"],
    )
    run.write_metrics(run.metrics() | {"status": HOSTILE})
    run.write_json("environment.json", {HOSTILE: HOSTILE})
    for path, times in ((write_report(run), 10), (write_slides(run), 4)):
        page = read(path)
        assert "script" not in {tag for tag, _ in page.tags}
        assert all("onerror" not in attributes for _, attributes in page.tags)
        assert page.text.count(HOSTILE) >= times


def test_the_legend_of_the_curves_cannot_become_markup(new_run: Runs, read: Read) -> None:
    page = read(write_report(new_run(config=Config(model=HOSTILE), epochs=2)))
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.drawings and HOSTILE in page.text


# What is missing is left out


def test_a_run_before_its_first_epoch_has_a_page(new_run: Runs, read: Read) -> None:
    page = read(write_report(new_run()))
    assert "first running" in page.text
    assert "no final figures" in page.text
    assert page.images == [] and page.drawings == []
    assert "Class by class" not in page.text
    assert "lr" in page.table


def test_an_interrupted_run_shows_its_curves_and_how_to_go_on(new_run: Runs, read: Read) -> None:
    run = new_run(metrics={"status": "interrupted"}, epochs=3)
    page = read(write_report(run))
    assert len(page.drawings) == 1
    assert "3" in page.table
    assert f"convscope train --resume {run.path}" in page.text
    assert len(read(write_slides(run)).attributes("section")) == 3


def test_a_diverged_run_is_told_to_go_slower_not_to_go_on(new_run: Runs, read: Read) -> None:
    run = new_run(metrics={"status": "diverged"}, epochs=2)
    rows = run.history()
    rows[1] |= {"train_loss": math.nan, "val_loss": math.nan, "grad_norm": math.nan}
    run.write_history(rows)
    page = read(write_report(run))
    assert "lower learning rate" in page.text
    assert "--resume" not in page.text
    assert page.table["2"][0] == "nan"


def test_without_test_figures_the_validation_figures_stand_in(tested: Runs, read: Read) -> None:
    run = tested()
    metrics = run.metrics()
    run.write_metrics({key: metrics[key] for key in ("status", "val")})
    page = read(write_report(run))
    assert "validation accuracy 100.00%" in page.text
    assert page.table["accuracy"] == ["100.00%"]
    assert "Confusion matrix of the validation images" in page.text
    assert "test accuracy" not in page.text
    assert page.images == []


@pytest.mark.usefixtures("no_pictures")
def test_a_run_from_before_images_were_kept_is_told_how_to_get_them(tested: Runs, read: Read) -> None:
    run = tested()
    for name in ("examples.npz", "data.json"):
        (run.path / name).unlink()
    page = read(write_report(run))
    assert page.images == [] and page.attributes("button") == []
    assert f"convscope evaluate {run.path}" in page.text
    assert "Calibration" in page.text and "normalised" not in page.table


def test_a_network_that_this_version_does_not_know_has_no_table_of_layers(tested: Runs, read: Read) -> None:
    run = tested(config=Config(model="linear", model_options={"gone": 1}))
    assert "multiply-adds" not in read(write_report(run)).text


@pytest.mark.usefixtures("no_pictures")
def test_a_perfect_network_has_no_confused_pairs(tested: Runs, read: Read) -> None:
    page = read(write_report(tested(answers=(0, 0, 0, 1, 2))))
    assert "No test image was given a wrong class." in page.text
    assert "worst mistakes" not in page.text


def test_figures_that_are_no_numbers_are_shown_as_missing(tested: Runs, read: Read) -> None:
    run = tested()
    metrics = run.metrics()
    broken = metrics["test"] | {"loss": math.nan, "calibration_error": math.nan}
    run.write_metrics(metrics | {"train_seconds": None, "test": broken})
    page = read(write_report(run))
    assert page.table["loss"][1] == page.table["calibration error"][1] == "–"


def test_more_classes_than_a_page_can_show(tested: Runs, read: Read) -> None:
    names = [f"class {number}" for number in range(101)]
    page = read(write_report(tested(classes=names, confidence=0.9)))
    assert "A table of 101 classes is too large for a page" in page.text
    assert page.attributes("button") == []


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", ["metrics.json", "data.json"])
def test_a_damaged_run_is_a_clear_error_and_keeps_its_old_page(name: str, tested: Runs) -> None:
    run = tested()
    path = write_report(run)
    before = path.read_bytes()
    (run.path / name).write_text("{")
    with pytest.raises(UserError, match=name):
        write_report(run)
    assert path.read_bytes() == before


def damage_labels(run: Run) -> None:
    run.write_predictions(logits=run.predictions()["logits"], labels=np.array([0, 0, 0, 1, 3]))


def damage_logits(run: Run) -> None:
    run.write_predictions(logits=np.full((5, 3), np.nan, dtype=np.float32), labels=np.zeros(5, dtype=np.int64))


def damage_examples(run: Run) -> None:
    run.write_examples(**run.examples() | {"indices": np.array([0, 1, 2, 3, 5])})


def damage_random(run: Run) -> None:
    run.write_examples(**run.examples() | {"random": np.array([7])})


def empty_examples(run: Run) -> None:
    run.write_examples(**run.examples() | {"images": np.zeros((5, 1, 0, 28), dtype=np.uint8)})


def damage_confusion(run: Run) -> None:
    metrics = run.metrics()
    run.write_metrics(metrics | {"test": metrics["test"] | {"confusion": [[1, 2], [3]]}})


@pytest.mark.parametrize(
    "damage",
    [damage_labels, damage_logits, damage_examples, damage_random, empty_examples, damage_confusion],
    ids=lambda f: f.__name__,
)
def test_files_that_do_not_belong_together_are_a_clear_error(damage: Callable[[Run], None], tested: Runs) -> None:
    run = tested()
    damage(run)
    with pytest.raises(UserError, match="convscope evaluate"):
        write_report(run)


def test_the_same_run_gives_the_same_page(tested: Runs) -> None:
    run = tested()
    assert write_report(run).read_bytes() == write_report(run).read_bytes()


def test_a_place_that_cannot_be_written(tested: Runs) -> None:
    run = tested()
    (run.path / "slides.html").mkdir()
    with pytest.raises(ConvscopeError, match="cannot write"):
        write_slides(run)


def test_the_largest_page_is_small_enough_to_mail(tested: Runs) -> None:  # R-C9
    """As many images as are ever kept, as large as they are ever kept, of texture as photographs have it."""
    random = np.random.default_rng(0)
    names, count = [f"class {number}" for number in range(40)], MOST_EXAMPLES
    labels, answers = random.integers(0, 40, count), random.integers(0, 40, count)
    run = tested(labels=labels.tolist(), answers=answers.tolist(), classes=names)
    rough = random.normal(128, 60, (8, 3, 16, 16)).repeat(4, axis=2).repeat(4, axis=3)
    images = (rough + random.normal(0, 6, rough.shape)).clip(0, 255).astype(np.uint8)
    assert images.shape[2] == EXAMPLE_SIZE
    run.write_examples(images=images[np.arange(count) % 8], indices=np.arange(count), random=np.arange(32))
    assert write_report(run).stat().st_size < 5_000_000


# Slides


def test_slides_hold_the_same(tested: Runs, read: Read) -> None:  # R-C9
    run = tested()
    path = write_slides(run)
    assert path == run.path / "slides.html"
    page = read(path)
    assert len(page.attributes("section")) == 10
    assert page.table["accuracy"] == ["100.00%", "60.00%"]
    assert len(page.drawings) == 2
    assert page.attributes("button") == []
    for words in ("test accuracy 60.00%", "coat", "The worst mistakes", "Calibration error: 15.00%", "--config"):
        assert words in page.text
