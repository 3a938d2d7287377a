"""`convscope runs` as a user meets it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convscope.config import Config
from convscope.runs import COLUMNS, Run, create_run

Command = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture
def runs(place: Path) -> Path:
    """Three runs, begun in the order b, c, a; the last is not finished."""
    for day, (name, config, figures) in enumerate(
        (
            ("b", Config(data="mnist", model="lenet5"), {"status": "finished", "test": {"top1": 0.7}, "val": 0.5}),
            ("c", Config(data="x/fashion", model="linear"), {"status": "finished", "test": {"top1": 0.9}, "val": 0.6}),
            ("a", Config(data="mnist", model="tinyvgg"), {"status": "interrupted", "val": 0.4}),
        )
    ):
        run = create_run(place / "runs", name, config, {"started": f"2026-01-0{day + 1}"})
        accuracy = figures.pop("val")
        run.write_metrics(figures)
        rows = [dict.fromkeys(COLUMNS, 1.0) | {"epoch": epoch, "val_accuracy": accuracy} for epoch in (1, 2)]
        run.write_history([rows[0] | {"val_loss": 0.5}, rows[1] | {"val_accuracy": 0.99}])
    return place / "runs"


def names(done: Any) -> list[str]:
    return [line.split()[0] for line in done.out.splitlines()[1:]]


def test_the_newest_is_last_with_its_figures(command: Command, runs: Path) -> None:
    # R-B8
    done = command("runs")
    assert (done.status, done.err) == (0, "")
    assert names(done) == ["b", "c", "a"]
    lines = [line.split() for line in done.out.splitlines()]
    # The validation accuracy is that of the epoch whose weights were kept.
    assert lines[2][:6] == ["c", "fashion", "linear", "2", "60.00%", "90.00%"]
    assert lines[3][5] == "–" and lines[3][-1] == "interrupted"
    assert command("runs", "list").out == done.out


@pytest.mark.parametrize(
    ("key", "order"),
    [("name", "abc"), ("time", "bca"), ("data", "bac"), ("model", "bca"), ("val", "abc"), ("test", "abc")],
)
def test_sorted_with_the_best_last(key: str, order: str, command: Command, runs: Path) -> None:
    assert names(command("runs", "--sort", key)) == list(order)


def test_json(command: Command, runs: Path) -> None:
    rows = json.loads(command("runs", "--json").out)
    assert [(row["name"], row["val"], row["test"], row["status"]) for row in rows] == [
        ("b", 0.5, 0.7, "finished"),
        ("c", 0.6, 0.9, "finished"),
        ("a", 0.4, None, "interrupted"),
    ]


def test_names_are_never_cut_off(command: Command, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "tinyvgg_explainer-fashion-mnist-mini-20260101-000000"
    shutil.copytree(runs / "a", runs / name)
    assert name in command("runs").out
    monkeypatch.setenv("COLUMNS", "100")
    printed = command("runs").out
    assert "…" not in printed
    column = printed.splitlines()[0].index("data")
    assert name in "".join(line[:column].strip() for line in printed.splitlines())


def test_no_runs_yet(command: Command, place: Path) -> None:
    done = command("runs")
    assert (done.status, done.out) == (0, "there are no runs in runs yet: begin with `convscope train`.\n")
    assert json.loads(command("runs", "--json").out) == []


def test_damaged_runs_are_listed_as_such(command: Command, runs: Path) -> None:
    (runs / "a" / "metrics.json").write_text("{", encoding="utf-8")
    (runs / "b" / "history.csv").write_text("epoch\nx\n", encoding="utf-8")
    (runs / "c" / "config.yaml").write_text("modl: x", encoding="utf-8")
    done = command("runs")
    assert done.status == 0
    assert [line.split()[-1] for line in done.out.splitlines()[1:]] == ["damaged"] * 3
    for key in ("name", "data", "model", "val", "test", "seconds"):
        assert command("runs", "--sort", key).status == 0


def test_a_run_shown(command: Command, run_path: Path) -> None:
    done = command("runs", "show", "first")
    assert (done.status, done.err) == (0, "")
    run = Run(run_path)
    lines = done.out.splitlines()
    assert lines[0] == "runs/first: finished"
    assert "  model: linear" in lines and "  epochs: 2" in lines
    assert not [line for line in lines if line.startswith("  optimizer")]  # it has the default
    assert sum(line.startswith("epoch ") for line in lines) == 2
    assert f"test accuracy {run.metrics()['test']['top1']:.2%}" in done.out
    assert "torch " in done.out
    assert lines[-1] == "again: convscope train --config runs/first/config.yaml"
    assert command("runs", "show", "latest").out == done.out


def test_a_run_shown_as_json(command: Command, run_path: Path) -> None:
    facts = json.loads(command("runs", "show", run_path, "--json").out)
    run = Run(run_path)
    assert facts["setting"]["model"] == "linear"
    assert facts["history"] == run.history()
    assert facts["metrics"] == run.metrics()


def test_a_run_that_was_stopped_says_how_to_go_on(command: Command, runs: Path) -> None:
    assert "go on: convscope train --resume runs/a\n" in command("runs", "show", "a").out
    assert "go on" not in command("runs", "show", "b").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["show"], "which run? Name one: convscope runs show RUN, or `latest`."),
        (["show", "d"], "there is no run 'd': the runs in runs are: b, c, a."),
        (["show", "photos"], "photos is not a run"),
    ],
)
def test_mistakes(words: list[str], sentence: str, runs: Path, place: Path, refused: Refused) -> None:
    (place / "photos").mkdir()
    assert refused("runs", *words).startswith(sentence)


def test_listing_needs_no_torch(runs: Path) -> None:
    script = (
        "import sys; from convscope.cli.runs import main; main([]); "
        "sys.exit(', '.join({'torch', 'numpy', 'matplotlib'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "fashion" in done.stdout


def test_a_long_setting_is_shown_in_full(command: Command, runs: Path) -> None:
    run = Run(runs / "a")
    (run.path / "config.yaml").write_text(
        replace(run.config(), model_options={"hidden": 256, "block2_convs": 1}).to_yaml(), encoding="utf-8"
    )
    assert "  model_options: {'hidden': 256, 'block2_convs': 1}" in command("runs", "show", "a").out.splitlines()
