"""`convscope runs` as a user meets it."""

import csv
import io
import json
import math
import re
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
    [("name", "abc"), ("started", "bca"), ("data", "bac"), ("model", "bca"), ("val", "abc"), ("test", "abc")],
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
    name = "tinyvgg_explainer-fashion-mnist-mini:fire:-20260101"
    shutil.copytree(runs / "a", runs / name)
    assert name in command("runs").out
    monkeypatch.setenv("COLUMNS", "100")
    printed = command("runs").out
    assert "…" not in printed
    column = printed.splitlines()[0].index("data")
    assert name in "".join(line[:column].strip() for line in printed.splitlines())


# Choosing


@pytest.fixture
def trials(place: Path) -> Path:
    """Eight runs of two networks: with three seeds, another rate, and one that goes on; begun in this order."""
    base = Config(data="fashion-mnist", model="linear", lr=0.1, optimizer="sgd")
    width = {"width": 0.5}
    for number, (name, config, status, val) in enumerate(
        (
            ("l0", base, "finished", 0.80),
            ("l1", replace(base, seed=1), "finished", 0.82),
            ("l2", replace(base, seed=2), "finished", 0.84),
            ("l3", replace(base, seed=3), "interrupted", 0.10),
            ("slow", replace(base, lr=1e-3), "finished", 0.70),
            ("again", replace(base, lr=1e-3), "finished", 0.70),
            ("r0", replace(base, model="resnet18", model_options=width, patience=3), "finished", 0.93),
            ("here", replace(base, data="x/photos", flip=True), "finished", 0.5),
        )
    ):
        run = create_run(place / "runs", name, config, {"started": f"2026-01-0{number + 1}T10:00"})
        test = {"test": {"top1": val + 0.01}} if status == "finished" else {}
        run.write_metrics({"status": status, "parameters": 7850, "train_seconds": 60.0 + number} | test)
        run.write_history([dict.fromkeys(COLUMNS, 1.0) | {"epoch": 1, "val_accuracy": val, "val_loss": 0.5}])
    return place / "runs"


def chosen(done: Any) -> list[str]:
    assert (done.status, done.err) == (0, "")
    return [row["name"] for row in json.loads(done.out)]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["model=resnet18"], "r0"),
        (["model=resnet*"], "r0"),
        (["model!=linear"], "r0"),
        (["lr=1e-3"], "slow again"),
        (["lr<0.1"], "slow again"),
        (["lr >= 0.1", "val > 82%"], "l2 r0"),
        (["val>=0.82", "val<=0.84"], "l1 l2"),
        (["test=94%"], "r0"),
        (["data=photos"], "here"),
        (["data=x/photos"], "here"),
        (["flip=true"], "here"),
        (["flip=True", "model=linear"], "here"),
        (["flip!=false"], "here"),
        (["patience!=none"], "r0"),
        (["patience=none", "lr=0.001"], "slow again"),
        (["patience>2"], "r0"),
        (["width=0.5"], "r0"),
        (["width<=1"], "r0"),
        (["test=none"], "l3"),
        (["status=interrupted"], "l3"),
        (["started>2026-01-07"], "r0 here"),
        (["seed==3"], "l3"),
        (["name=?3"], "l3"),
        (["epochs>=1", "seconds<61"], "l0"),
        (["lr=none"], ""),
        (["lr=1e-3", "--where", "model=linear", "epochs=1"], "slow again"),
    ],
)
def test_runs_are_chosen_by_settings_and_results(
    conditions: list[str], expected: str, command: Command, trials: Path
) -> None:
    # R-B8
    assert chosen(command("runs", "--where", *conditions, "--json")) == expected.split()


def test_none_is_like_that(command: Command, trials: Path) -> None:
    done = command("runs", "--where", "val>99%")
    assert (done.status, done.out) == (0, "of the 8 runs in runs none is asked for: ask for less.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--where", "epochs"], "'epochs' is no condition: give NAME=VALUE, or with another sign, in quotes for the"),
        (["--where", "momentun=0.9"], "unknown column 'momentun': did you mean 'momentum'?"),
        (["--where", "widht=0.5"], "unknown column 'widht': did you mean 'width'?"),
        (["--sort", "vall"], "unknown column 'vall': did you mean 'val'?"),
        (["--show", "btach_size"], "unknown column 'btach_size': did you mean 'batch_size'?"),
        (["--group-by", "lrr"], "unknown column 'lrr': did you mean 'lr'?"),
        (["--where", "model>3"], "'model>3' cannot be told, for model is a text, neither more nor less than another"),
        (["--where", "flip<1"], "'flip<1' cannot be told, for flip is true or false, neither more nor less"),
        (["--where", "lr=fast"], "'lr=fast' cannot be told, for lr is a number, and 'fast' is none: give one, such as"),
        (["--where", "lr>fast"], "'lr>fast' cannot be told, for lr is a number, and 'fast' is none: give one, such as"),
        (["--where", "flip=1"], "'flip=1' cannot be told, for flip is true or false: use flip=true."),
    ],
)
def test_what_cannot_be_told(words: list[str], sentence: str, refused: Refused, trials: Path) -> None:
    assert refused("runs", *words).startswith(sentence)


def test_sorted_by_a_setting_and_shown_with_more(command: Command, trials: Path) -> None:
    done = command("runs", "--sort", "lr", "--show", "lr", "width", "flip", "--where", "status=finished")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == [
        "run",
        "data",
        "model",
        "lr",
        "width",
        "flip",
        "epochs",
        "val",
        "acc",
        "test",
        "acc",
        "time",
        "status",
    ]
    assert [line[0] for line in lines[1:3]] == ["slow", "again"]
    assert lines[1][3:6] == ["0.001", "–", "false"]
    rows = json.loads(command("runs", "--show", "lr", "width", "flip", "--json").out)
    assert rows[6] == {
        **{"name": "r0", "data": "fashion-mnist", "model": "resnet18", "lr": 0.1, "width": 0.5, "flip": False},
        **{"epochs": 1, "val": 0.93, "test": 0.9400000000000001, "seconds": 66.0, "status": "finished"},
    }


def test_all_there_is_to_know(command: Command, trials: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(command("runs", "--show", "all", "--format", "csv").out)))
    assert len(rows) == 8
    assert {"name", "started", "val_loss", "macro_f1", "weight_decay", "split_seed", "width"} <= set(rows[0])
    assert [float(row["lr"]) for row in rows] == [0.1, 0.1, 0.1, 0.1, 0.001, 0.001, 0.1, 0.1]
    assert rows[0]["patience"] == "" and rows[6]["patience"] == "3"


# Groups


def test_seeds_become_one_row_with_mean_and_deviation(command: Command, trials: Path) -> None:
    # R-F5
    done = command("runs", "--group", "--sort", "started", "--json")
    assert (done.status, done.err) == (0, "left out 1 run, not finished\n")
    rows = {row["setting"]: row for row in json.loads(done.out)}
    assert list(rows) == [
        "linear (flip False, lr 0.1)",
        "linear (flip False, lr 0.001) slow",  # the same seed again is not another seed
        "linear (flip False, lr 0.001) again",
        "resnet18",
        "linear (flip True, lr 0.1)",
    ]
    first = rows["linear (flip False, lr 0.1)"]
    assert (first["runs"], first["names"], first["data"]) == (3, ["l0", "l1", "l2"], "fashion-mnist")
    assert first["val"] == pytest.approx(0.82) and first["val_std"] == pytest.approx(0.02)
    assert first["test"] == pytest.approx(0.83) and first["test_std"] == pytest.approx(0.02)
    assert first["seconds"] == pytest.approx(61)
    assert rows["resnet18"]["val_std"] is None
    table = command("runs", "--group").out.splitlines()
    assert table[0].split() == ["setting", "data", "runs", "epochs", "val", "acc", "test", "acc", "time"]
    assert "82.00% ± 2.00%" in table[1] and "83.00% ± 2.00%" in table[1]


def test_runs_are_grouped_by_what_is_named(command: Command, trials: Path) -> None:
    done = command("runs", "--group-by", "model", "lr", "--show", "flip", "optimizer", "--json", "--sort", "val")
    rows = json.loads(done.out)
    assert [(row["model"], row["lr"], row["runs"]) for row in rows] == [
        ("linear", 0.001, 2),
        ("linear", 0.1, 4),
        ("resnet18", 0.1, 1),
    ]
    # What the runs of a group have not in common cannot be said of it.
    assert (rows[1]["flip"], rows[1]["optimizer"]) == (None, "sgd")
    assert rows[1]["val"] == pytest.approx((0.8 + 0.82 + 0.84 + 0.5) / 4)
    table = command("runs", "--group-by", "data").out.splitlines()
    assert [line.split()[:2] for line in table] == [["data", "runs"], ["fashion-mnist", "6"], ["photos", "1"]]


def test_groups_may_be_sorted_by_their_size(command: Command, trials: Path) -> None:
    rows = json.loads(command("runs", "--group", "--sort", "runs", "--where", "status=finished", "--json").out)
    assert [row["runs"] for row in rows] == [1, 1, 1, 1, 3]


def test_nothing_is_finished_yet(command: Command, trials: Path) -> None:
    done = command("runs", "--group", "--where", "status=interrupted")
    assert done.out == "of the 8 runs in runs none is asked for: ask for less.\n"
    assert done.err == "left out 1 run, not finished\n"


# Formats


def test_csv_has_numbers_in_full(command: Command, trials: Path) -> None:
    done = command("runs", "--where", "lr=0.001", "--format", "csv")
    assert done.out == (
        "name,data,model,epochs,val,test,seconds,status\n"
        "slow,fashion-mnist,linear,1,0.7,0.71,64.0,finished\n"
        "again,fashion-mnist,linear,1,0.7,0.71,65.0,finished\n"
    )
    groups = command("runs", "--group-by", "lr", "--where", "model=linear", "data=fashion*", "--format", "csv").out
    assert groups.splitlines()[0] == "lr,runs,names,epochs,val,val_std,test,test_std,seconds"
    assert groups.splitlines()[2].startswith("0.001,2,slow again,1.0,0.7,0.0,")


def test_markdown_is_for_a_text(command: Command, trials: Path) -> None:
    done = command("runs", "--where", "name=l0", "--format", "markdown")
    assert done.out == (
        "| run | data | model | epochs | val acc | test acc | time | status |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |\n"
        "| l0 | fashion-mnist | linear | 1 | 80.00% | 81.00% | 1 min 0 s | finished |\n"
    )


HOSTILE = [
    "=cmd|'!A1'",
    "+1",
    "-2",
    "@x",
    "a|b",
    "<b>*x*`[y](z)",
    "\x1b[31mred",
    "two\nlines",
    "tab\there",
    "\u202eback",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_strangers_steer_nothing(name: str, command: Command, trials: Path) -> None:
    shutil.copytree(trials / "l0", trials / name)
    config = replace(Run(trials / "l0").config(), data=name, pretrained=name, model_options={name: name})
    (trials / name / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    for words in ([], ["--show", "all"], ["--group", "--show", "pretrained"], ["show", name], ["--format", "markdown"]):
        out = command("runs", *words).out
        assert out and all(letter.isprintable() or letter == "\n" for letter in out), words
    table = list(csv.reader(io.StringIO(command("runs", "--format", "csv", "--show", "all").out)))
    assert len({len(row) for row in table}) == 1 and len(table) == 10
    assert not [cell for row in table for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert not [cell for row in table for cell in row if not cell.isprintable()]
    markdown = command("runs", "--format", "markdown").out.splitlines()
    assert len(markdown) == 11
    assert {len(re.sub(r"\\\\|\\\|", "", line).split("|")) for line in markdown} == {10}
    row = next(row for row in json.loads(command("runs", "--json").out) if row["data"] == name)
    assert row["name"] == name


def test_listing_needs_no_torch(trials: Path) -> None:
    script = (
        "import sys; from convscope.cli.main import main; main(['runs']); main(['runs', '--group']); "
        "sys.exit(', '.join({'torch', 'numpy', 'matplotlib'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "resnet18" in done.stdout


def test_a_damaged_run_hides_no_other(command: Command, trials: Path) -> None:
    (trials / "l1" / "metrics.json").write_text('{"format": 1, "test": 3}', encoding="utf-8")
    (trials / "l2" / "config.yaml").write_text("- [", encoding="utf-8")
    rows = json.loads(command("runs", "--json").out)
    assert [row["status"] for row in rows][:3] == ["finished", "damaged", "damaged"] and len(rows) == 8
    assert json.loads(command("runs", "--group", "--json").out)[0]["runs"] == 1
    assert chosen(command("runs", "--where", "status=damaged", "--json")) == ["l1", "l2"]


def test_figures_that_are_no_numbers(command: Command, trials: Path) -> None:
    metrics = Run(trials / "l0").metrics()
    Run(trials / "l0").write_metrics(metrics | {"test": {"top1": float("nan")}})
    assert json.loads(command("runs", "--json", "--sort", "test").out)[0]["test"] is None
    (row, *_) = json.loads(command("runs", "--json", "--group").out)
    assert row["runs"] == 3 and row["test"] is None and row["test_std"] is None and row["val"] is not None


def test_figures_without_end(command: Command, trials: Path) -> None:
    """A gradient in float16 may be infinite; what else is, somebody else wrote."""
    run = Run(trials / "l3")
    run.write_metrics({"status": "interrupted"})
    run.write_history(
        [row | {"grad_norm": math.inf, "val_loss": math.inf, "seconds": math.inf} for row in run.history()]
    )
    lines = [line.split() for line in command("runs", "--show", "val_loss").out.splitlines()]
    assert lines[4][0] == "l3" and lines[4][3] == lines[4][-2] == "–"
    for words in (["--show", "all"], ["show", "l3"]):
        done = command("runs", *words, "--json")
        assert done.status == 0 and "Infinity" not in done.out
    assert json.loads(done.out)["history"][0]["grad_norm"] is None


def test_a_run_without_a_history_has_what_its_figures_say(command: Command, trials: Path) -> None:
    for name, figures in (("l0", {"epochs": 5}), ("l1", {})):
        (trials / name / "history.csv").unlink()
        Run(trials / name).write_metrics({"status": "finished"} | figures)
    rows = {row["name"]: row for row in json.loads(command("runs", "--json").out)}
    assert [(rows[name]["epochs"], rows[name]["seconds"]) for name in ("l0", "l1")] == [(5, None), (0, None)]


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


def test_a_long_setting_is_shown_in_full(command: Command, runs: Path) -> None:
    run = Run(runs / "a")
    (run.path / "config.yaml").write_text(
        replace(run.config(), model_options={"hidden": 256, "block2_convs": 1}).to_yaml(), encoding="utf-8"
    )
    assert "  model_options: {'hidden': 256, 'block2_convs': 1}" in command("runs", "show", "a").out.splitlines()
