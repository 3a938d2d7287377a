"""The verb `bench`, and what `predict` makes of its result."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convscope.cli import bench, predict
from convscope.engines.choice import ENGINES, present
from convscope.errors import UserError
from convscope.runs import Run

QUICK = ("--seconds", "0.001", "--rounds", "1", "--batch-sizes", "1", "4", "--device", "cpu")


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Run]) -> Run:
    """Measured, really, in every engine that is here."""
    made = make_run("tinyvgg", hidden=8)
    assert bench.main(["inference", str(made.path), *QUICK]) == 0
    return made


def here() -> list[str]:
    import torch

    return [name for name, reason in present(torch.device("cpu")).items() if reason is None]


def test_every_engine_that_is_here_is_measured_and_its_model_kept(run: Run) -> None:
    rows = run.read_json("inference.json")["engines"]
    assert [row["name"] for row in rows] == here()
    kinds = {path.name.partition("-")[0] for path in (run.path / "engines").iterdir()}
    assert kinds == {"float32", "int8"}
    assert all(row["top1_agreement"] > 0.8 for row in rows)


@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_predict_answers_by_each(
    engine: str, run: Run, photo_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine not in ("auto", *here()):
        pytest.skip("not to be had on this machine")
    # What is kept needs no converting.
    monkeypatch.setattr("convscope.engines.finished.to_onnx", None)
    photo = photo_folder / "plum" / "0.jpg"
    assert predict.main([str(run.path), str(photo), "--engine", engine, "--json", "--device", "cpu"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["engine"] in here()
    assert engine in ("auto", answer["engine"])
    assert len(answer["predictions"]) == 1


def measure(monkeypatch: pytest.MonkeyPatch, run: Run, *flags: str) -> None:
    monkeypatch.setattr("convscope.bench.inference.present", lambda device: {ENGINES[0]: None, ENGINES[2]: "is gone"})
    assert bench.main(["inference", str(run.path), *QUICK, *flags]) == 0


def test_table(
    make_run: Callable[..., Run], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("linear")
    measure(monkeypatch, run)
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"linear on .+, (1 thread|\d+ threads) of (1 core|\d+ cores)", lines[0])
    speeds, agreement = (line.split() for line in lines if line.startswith("pytorch-float32"))
    assert speeds.count("1.00") == 2
    assert "100.0%" in agreement
    assert "4: images/s" in lines[2]
    assert "left out: onnxruntime-float32 (is gone)" in lines
    assert lines[-1] == f"wrote {run.path / 'inference.json'}"


def test_json(
    make_run: Callable[..., Run], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("linear")
    measure(monkeypatch, run, "--json")
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert answer == {key: value for key, value in run.read_json("inference.json").items() if key != "format"}


def test_only_inference_is_measured() -> None:
    with pytest.raises(UserError, match="cannot measure 'training': write `convscope bench inference RUN`"):
        bench.main(["training", "latest"])


def test_a_run_whose_data_is_gone(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run("linear")
    config = run.path / "config.yaml"
    config.write_text(config.read_text().replace(run.config().data, str(tmp_path / "nothing")))
    with pytest.raises(UserError, match="nothing"):
        bench.main(["inference", str(run.path), *QUICK])
