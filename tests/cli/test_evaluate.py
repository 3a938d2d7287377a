"""`convscope evaluate` as a user meets it."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convscope.runs import Run

Command = Callable[..., Any]
Refused = Callable[..., str]


def test_the_report_on_the_test_split(process: Command, run_path: Path) -> None:
    # R-A8
    (run_path / "figures" / "confusion.png").unlink()
    (run_path / "predictions.npz").unlink()
    done = process("evaluate", "first")
    assert (done.status, done.err) == (0, "")
    run = Run(run_path)
    report = run.metrics()["test"]
    lines = done.out.splitlines()
    assert lines[0] == "first on 200 images of the test split"
    assert lines[1].startswith(f"accuracy {report['top1']:.2%} (95% interval ")
    for words in ("top-5", "macro F1", "loss", "calibration error"):
        assert words in lines[1]
    rows = {line.split("  ")[0]: line.split() for line in lines}
    for row in report["per_class"]:
        assert f"{row['recall']:.2%}" in rows[row["name"]]
        assert rows[row["name"]][-1] == "20"
    worst = report["most_confused"][0]
    assert f"  {worst['true']} taken for {worst['predicted']}: {worst['count']} (" in done.out
    # The pictures and the predictions are made anew.
    assert (run_path / "figures" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    logits, labels = run.predictions()["logits"], run.predictions()["labels"]
    assert (logits.argmax(axis=1) == labels).mean() == pytest.approx(report["top1"])


@pytest.mark.usefixtures("no_pictures")
def test_another_split_as_json(command: Command, run_path: Path) -> None:
    before = Run(run_path).metrics()
    done = command("evaluate", run_path, "--split", "train", "--top-k", 2, "--json")
    assert (done.status, done.err) == (0, "")
    report = json.loads(done.out)
    assert (report["images"], report["k"]) == (540, 2)
    assert report["top1"] <= report["top_k"] <= 1
    assert Run(run_path).metrics() == before | {"train": report}
    names = {path.name for path in (run_path / "figures").iterdir()}
    assert {"confusion-train.png", "predictions-train.png", "mistakes-train.png"} <= names
    assert "pictures in runs/first/figures: confusion-val.png, " in command("evaluate", "latest", "--split", "val").out


@pytest.mark.usefixtures("no_pictures")
def test_evaluating_again_gives_the_same(command: Command, run_path: Path) -> None:
    before = Run(run_path).metrics()
    assert command("evaluate", "first").status == 0
    assert Run(run_path).metrics() == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["frist"], "there is no run 'frist': the runs in runs are: first."),
        (["photos"], "photos is not a run (it holds no config.yaml): "),
        (["first", "--top-k", "0"], "top_k is 0: it must be at least 1."),
        (["first", "--device", "cuda:99"], "there is no device 'cuda:99' here"),
        (["latest", "--runs-dir", "photos"], "there is no run in photos yet"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    words: list[str], sentence: str, run_path: Path, place: Path, refused: Refused
) -> None:
    (place / "photos").mkdir()
    assert refused("evaluate", *words).startswith(sentence)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_weights_that_were_tampered_with(run_path: Path, place: Path, refused: Refused) -> None:
    best, trap = run_path / "checkpoints" / "best.safetensors", place / "trap"
    whole = best.read_bytes()
    best.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "are not the ones that were saved" in refused("evaluate", "first")
    best.write_bytes(whole[:-100])
    assert "cannot be read as weights" in refused("evaluate", "first")
    best.write_bytes(pickle.dumps(Trap(trap)))
    assert "cannot be read as weights" in refused("evaluate", "first")
    assert not trap.exists()
    best.unlink()
    assert refused("evaluate", "first").startswith("there are no weights at runs/first/checkpoints/best.safetensors")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("metrics.json", '{"format": 2, "status": "finished"}', "has format 2, and this Convscope reads format 1"),
        ("metrics.json", '{"status":', "metrics.json cannot be read"),
        ("config.yaml", "modl: linear\n", "config.yaml, line 1: unknown key 'modl': did you mean 'model'?"),
    ],
)
def test_a_run_that_is_damaged_or_of_another_version(
    name: str, text: str, words: str, run_path: Path, refused: Refused
) -> None:
    (run_path / name).write_text(text, encoding="utf-8")
    assert words in refused("evaluate", "first")


def test_a_data_set_that_is_gone_or_another(run_path: Path, fashion_slice: Path, place: Path, refused: Refused) -> None:
    setting = run_path / "config.yaml"
    text = setting.read_text(encoding="utf-8")
    setting.write_text(text.replace(str(fashion_slice), str(place / "moved")), encoding="utf-8")
    assert refused("evaluate", "first").startswith(f"{place / 'moved'} is no folder")
    shutil.copytree(fashion_slice, place / "moved")
    (place / "moved" / "classes.txt").unlink()
    assert "has other classes than the run was trained for" in refused("evaluate", "first")
