"""Several runs on one page, and as slides."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.config import Config
from convscope.experiment import Comparison, compare_runs
from convscope.report import pairs as report_pairs
from convscope.report import write_comparison, write_comparison_slides
from convscope.report.pairs import pairs_of
from convscope.runs import Run

Runs = Callable[..., Run]
Read = Callable[[Path], Any]
HOSTILE = '<script>alert("1")</script>'
LINEAR, LENET = Config(model="linear"), Config(model="lenet5", lr=0.1)
LABELS = (0,) * 20
"""Twenty coats; the answer 0 is right, 1 is wrong."""


@pytest.fixture
def compared(tested: Runs, tmp_path: Path, no_pictures: None) -> Callable[..., Comparison]:
    """A comparison of runs, each given as a setting and its answers to the twenty coats."""

    def make(*settings: tuple[Config, tuple[int, ...]]) -> Comparison:
        runs = [
            tested(f"run-{number}", config=config, labels=LABELS, answers=answers)
            for number, (config, answers) in enumerate(settings)
        ]
        return compare_runs(runs, runs_dir=tmp_path / "runs")

    return make


def answers(right: int) -> tuple[int, ...]:
    return (0,) * right + (1,) * (20 - right)


def test_runs_side_by_side(compared: Callable[..., Comparison], read: Read) -> None:  # R-B6, R-C9
    comparison = compared((LINEAR, answers(8)), (LENET, answers(18)))
    path = write_comparison(comparison)
    assert path == comparison.path / "comparison.html"
    page = read(path)
    assert page.table["linear"][:5] == ["7,850", "2", "1 min 23 s", "100.00%", "40.00%"]
    assert page.table["lenet5"][4] == "90.00%"
    assert page.table["model"] == ["linear", "lenet5"]  # what differs
    assert page.table["lr"] == ["0.002", "0.1"]
    assert "data" not in page.table
    assert "lenet5 is better, by more than chance: linear alone is right on 0 images, lenet5 alone on 10" in page.text
    assert "p = 0.002)" in page.text
    assert len(page.images) == 10
    assert [cells for _, cells in page.rows].count(["coat", "18", "2", "0"]) == 1
    for run in comparison.runs:
        assert f"convscope train --config {run.path}/config.yaml" in page.text
    assert "several seeds the figures" not in page.text


def test_a_difference_that_may_be_luck(compared: Callable[..., Comparison], read: Read) -> None:
    page = read(write_comparison(compared((LINEAR, answers(16)), (LENET, answers(18)))))
    assert "The difference could be chance: linear alone is right on 0 images, lenet5 alone on 2" in page.text
    assert "p = 0.5)" in page.text


def test_each_with_each_adjusted_together(compared: Callable[..., Comparison]) -> None:
    third = replace(LENET, lr=0.2)
    pairs, _ = pairs_of(compared((LINEAR, answers(8)), (LENET, answers(18)), (third, answers(18))))
    # 10 to 0 twice: 2 / 2^10 times three and two tests, kept in order; and no difference at all.
    assert [round(pair.p * 2**10, 6) for pair in pairs] == [6, 6, 2**10]
    assert [(pair.first_only, pair.second_only) for pair in pairs] == [(0, 10), (0, 10), (0, 0)]
    assert pairs[0].won == [] and len(pairs[0].lost) == 10
    first, second = pairs[0].lost[0]
    assert (first.true, first.predicted, second.predicted) == ("coat", "shirt", "coat")


def test_several_seeds_are_paired_seed_by_seed(compared: Callable[..., Comparison], read: Read) -> None:  # R-F5
    settings = [replace(config, seed=seed) for seed in (0, 1) for config in (LINEAR, LENET)]
    comparison = compared(*((setting, answers(10)) for setting in settings))
    pairs, _ = pairs_of(comparison)
    assert [(pair.first, pair.second) for pair in pairs] == [
        ("linear, seed 0", "lenet5, seed 0"),
        ("linear, seed 1", "lenet5, seed 1"),
    ]
    page = read(write_comparison(comparison))
    assert page.table["linear 2 seeds"][3] == "100.00% ± 0.00%"
    assert "with several seeds" in page.text


def test_seeds_of_one_setting_are_no_rivals(compared: Callable[..., Comparison], read: Read) -> None:
    comparison = compared((LINEAR, answers(8)), (replace(LINEAR, seed=1), answers(18)))
    assert pairs_of(comparison) == ([], "The runs differ in their seed alone.")
    assert "The runs differ in their seed alone." in read(write_comparison(comparison)).text


def test_of_many_pairs_the_first_are_compared(
    compared: Callable[..., Comparison], monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    monkeypatch.setattr(report_pairs, "MOST_PAIRS", 2)
    comparison = compared(*((replace(LINEAR, lr=lr), answers(10)) for lr in (0.1, 0.2, 0.3)))
    assert len(pairs_of(comparison)[0]) == 2
    assert "Only 2 of 3 pairs are compared." in read(write_comparison(comparison)).text


def relabel(run: Run) -> None:
    run.write_predictions(logits=run.predictions()["logits"], labels=np.ones(20, dtype=np.int64))


def forget(run: Run) -> None:
    (run.path / "predictions.npz").unlink()


@pytest.mark.parametrize(("change", "words"), [(relabel, "different images"), (forget, "run convscope evaluate")])
def test_what_cannot_be_paired_is_said(
    change: Callable[[Run], None], words: str, compared: Callable[..., Comparison], read: Read
) -> None:
    comparison = compared((LINEAR, answers(8)), (LENET, answers(18)))
    change(comparison.runs[1])
    page = read(write_comparison(comparison))
    assert words in page.text
    assert "McNemar" not in page.text and page.images == []


@pytest.mark.parametrize(("data", "paired"), [("fashion-mnist", True), ("photos", False), ("cats-vs-dogs", False)])
def test_photos_chosen_by_another_seed_are_other_images(
    data: str, paired: bool, compared: Callable[..., Comparison]
) -> None:
    """Their labels may agree all the same, for they come class by class."""
    one, other = replace(LINEAR, data=data), replace(LENET, data=data, split_seed=1)
    pairs, reason = pairs_of(compared((one, answers(8)), (other, answers(18))))
    assert bool(pairs) == paired
    assert ("different images" in reason) == (not paired)


def test_names_cannot_smuggle_anything_in(compared: Callable[..., Comparison], read: Read) -> None:
    comparison = compared(
        (replace(LINEAR, data=HOSTILE, resize="pad"), answers(8)), (replace(LENET, data=HOSTILE), answers(18))
    )
    for path in (write_comparison(comparison), write_comparison_slides(comparison)):
        page = read(path)
        assert "script" not in {tag for tag, _ in page.tags}
        assert HOSTILE in page.text


def test_slides(compared: Callable[..., Comparison], read: Read) -> None:  # R-C9
    comparison = compared((LINEAR, answers(8)), (LENET, answers(18)))
    path = write_comparison_slides(comparison)
    assert path == comparison.path / "slides.html"
    page = read(path)
    # Title, results, curves, settings, one side of the pair, two matrices, repetition.
    assert len(page.attributes("section")) == 8
    assert "lenet5 right, linear wrong" in page.text
