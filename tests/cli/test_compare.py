"""`convscope compare` as a user meets it."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convscope.config import Config
from convscope.files import write_text
from convscope.runs import Run, create_run

Command = Callable[..., Any]
Refused = Callable[..., str]
SHORT = ("--epochs", 1, "--device", "cpu", "--threads", 1)


def table(out: str) -> dict[str, list[str]]:
    """The cells of the table's rows by their first; two spaces or more lie between two."""
    lines = out[f"\n{out}".index("\nmodel ") :].splitlines()
    return {cells[0]: cells[1:] for cells in (re.split(r" {2,}", line.strip()) for line in lines) if len(cells) > 4}


def test_networks_side_by_side(process: Command, fashion_slice: Path, place: Path) -> None:
    # R-B6
    done = process("compare", fashion_slice, "linear", "lenet5", *SHORT)
    assert (done.status, done.err) == (0, "")
    rows = table(done.out)
    assert rows["model"] == [
        "parameters",
        "epochs",
        "time",
        "val accuracy",
        "test accuracy",
        "95% interval",
        "macro F1",
    ]
    runs = {Run(path.parent).config().model: Run(path.parent) for path in place.glob("runs/*/config.yaml")}
    assert set(runs) == set(rows) - {"model"} == {"linear", "lenet5"}
    for model, run in runs.items():
        metrics = run.metrics()
        assert rows[model][0] == f"{metrics['parameters']:,}"
        assert rows[model][3:5] == [f"{metrics['val']['top1']:.2%}", f"{metrics['test']['top1']:.2%}"]
        assert rows[model][6] == f"{metrics['test']['macro_f1']:.4f}"
        assert f"confusion matrix runs/{run.name}/figures/confusion.png" in done.out
        assert (run.figures / "confusion.png").exists() and (run.path / "report.html").exists()
    (comparison,) = (place / "runs" / "comparisons").iterdir()
    assert {path.name for path in comparison.iterdir()} == {"curves.png", "comparison.csv", "comparison.html"}
    assert f"curves runs/comparisons/{comparison.name}/curves.png, report " in done.out
    assert re.search(r"^look inside: convscope explore runs/\S+ runs/\S+$", done.out, flags=re.MULTILINE)
    assert {run.config().split_seed for run in runs.values()} == {0}


@pytest.mark.usefixtures("no_pictures")
def test_several_seeds_give_mean_and_deviation(command: Command, fashion_slice: Path) -> None:
    done = command("compare", fashion_slice, "linear", *SHORT, "--seeds", 2)
    assert done.status == 0
    rows = table(done.out)
    assert rows["model"] == ["parameters", "seeds", "epochs", "time", "val accuracy", "test accuracy", "macro F1"]
    assert rows["linear"][1] == "2"
    assert re.fullmatch(r"\d+\.\d\d% ± \d+\.\d\d%", rows["linear"][5])
    assert re.fullmatch(r"0\.\d{4} ± 0\.\d{4}", rows["linear"][6])


@pytest.mark.usefixtures("no_pictures")
def test_dropout_is_for_those_that_have_it(command: Command, fashion_slice: Path, place: Path) -> None:
    words = ("--dropout", 0.3, "--input-size", 8)
    assert command("compare", fashion_slice, "linear", "tinyvgg", *SHORT, *words).status == 0
    configs = [Run(path.parent).config() for path in place.glob("runs/*/config.yaml")]
    assert {config.model: config.dropout for config in configs} == {"linear": None, "tinyvgg": 0.3}


def second_run(first: Path, **changes: Any) -> None:
    """Another run beside the first, of another setting."""
    second = first.parent / "second"
    shutil.copytree(first, second)
    write_text(second / "config.yaml", replace(Run(first).config(), **changes).to_yaml())


@pytest.mark.usefixtures("no_pictures")
def test_runs_that_exist(command: Command, run_path: Path) -> None:
    second_run(run_path, lr=0.1)
    for names in (("first", "second"), (run_path, run_path.parent / "second"), ("first", "latest")):
        done = command("compare", *names)
        assert done.status == 0, done.err
        assert list(table(done.out)) == ["model", "linear (lr 0.002)", "linear (lr 0.1)"]
        # One network, copied: there is no image on which the two differ.
        assert "\nThe difference could be chance: linear (lr 0.002) alone is right on 0 images, " in done.out
    assert len(list(Path("runs/comparisons").iterdir())) == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "there is nothing to compare: name a data set and networks, such as "),
        (["fashion-mnist-mini"], "there is nothing to compare"),
        (["first"], "there is nothing to compare"),
        (["fashion-mnst", "linear"], "'fashion-mnst' is neither a data set nor a run in runs: "),
        (["fashion-mnist-mini", "linear", "tinyvg"], "unknown model 'tinyvg': did you mean 'tinyvgg'?"),
        (["fashion-mnist-mini", "linear"], "a comparison needs at least two settings"),
        (["fashion-mnist-mini", "linear", "linear"], "a comparison needs at least two settings"),
        (["fashion-mnist-mini", "linear", "lenet5", "--seeds", "0"], "seeds is 0: it must be at least 1."),
        (["fashion-mnist-mini", "linear", "lenet5", "--epochs", "0"], "epochs is 0: it must be at least 1."),
        (
            ["fashion-mnist-mini", "linear", "lenet5", "--input-size", "8"],
            "images of 8 pixels are too small for 'lenet5'",
        ),
        (["fashion-mnist-mini", "tinyvgg", "linear", "--model-options", "hidden", "8"], "unknown option 'hidden'"),
        (["first", "first"], "a comparison needs at least two different runs"),
        (["first", "secnd"], "there is no run 'secnd': the runs in runs are: first, second."),
        (["first", "fashion-mnist-mini"], "there is no run 'fashion-mnist-mini'"),
        (["first", "second"], "the runs were trained on different data ("),
        (["first", "second", "--tensorboard"], "runs that exist are compared as they are, and not trained"),
        (["first", "second", "--runs-dir", "runs", "--lr", "0.1"], "runs that exist are compared as they are"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    words: list[str], sentence: str, run_path: Path, refused: Refused
) -> None:
    second_run(run_path, data="mnist")
    assert refused("compare", *words).startswith(sentence)


def test_a_run_that_is_not_finished(run_path: Path, refused: Refused) -> None:
    create_run(Path("runs"), "stopped", Config(), {}).write_metrics({"status": "interrupted"})
    assert refused("compare", "first", "stopped").startswith("runs/stopped is interrupted, not finished: resume it")
