"""The verb `doctor`."""

import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from convscope.catalog import DATA
from convscope.cli import doctor
from convscope.data import read_idx, write_idx
from convscope.doctor.environment import examine

Command = Callable[..., Any]


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert doctor.main(["environment", "--data-dir", str(tmp_path)]) == 0
    rows = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert platform.python_version() in rows["python"]
    assert torch.__version__ in rows["torch"]
    assert str(tmp_path) in rows["data directory"]
    assert "cpu" in rows["device"]
    assert "possible" in rows["compiling"]
    assert "not here" in rows["mnist"]
    assert set(DATA) <= set(rows)
    assert any("convscope data fetch mnist" in line for line in rows)


@pytest.mark.parametrize(
    ("kernels", "words"),
    [
        ({"obstacle": "no compiler here", "built": False, "amx": None, "layers": {}}, "off: no compiler here"),
        ({"obstacle": None, "built": False, "amx": None, "layers": {}}, "built at the first training"),
        ({"obstacle": None, "built": True, "amx": True, "layers": {}}, "on, with AMX"),
        ({"obstacle": None, "built": True, "amx": False, "layers": {}}, "on, without AMX"),
    ],
)
def test_compiled_kernels(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kernels: dict[str, Any],
    words: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr("convscope.doctor.environment.kernels", lambda: kernels)
    doctor.main(["--data-dir", str(tmp_path)])
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("compiled kernels"))
    assert row.removeprefix("compiled kernels").strip() == words


def test_layers_that_were_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"obstacle": None, "built": True, "amx": False, "layers": {"winograd": 5, "onednn": 2}, "layers_file": "F"}
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr("convscope.doctor.environment.kernels", lambda: facts)
    doctor.main(["--data-dir", str(tmp_path)])
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("layers timed"))
    assert "2 faster by onednn, 5 faster by winograd" in row and row.rstrip().endswith("deleting F")


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--json", "--data-dir", str(tmp_path)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["versions"]["torch"] == torch.__version__
    assert {"device", "cpu", "threads", "precision", "data", "advice"} <= set(facts)


def test_nothing_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    facts = examine(tmp_path) | {"advice": []}
    monkeypatch.setattr("convscope.doctor.environment.examine", lambda data_dir: facts)
    assert doctor.main([]) == 0
    assert capsys.readouterr().out.endswith("Nothing is missing.\n")


def test_an_unknown_subject(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        doctor.main(["envronment"])
    assert info.value.code == 2
    assert "environment" in capsys.readouterr().err


def test_data(place: Path, command: Command, fashion_slice: Path) -> None:  # R-F2
    """A leak is planted: one test image among those to train on."""
    folder = shutil.copytree(fashion_slice, place / "own")
    images = read_idx(folder / "train-images-idx3-ubyte")
    images[17] = read_idx(folder / "t10k-images-idx3-ubyte")[5]
    write_idx(folder / "train-images-idx3-ubyte", images)
    outcome = command("doctor", "data", "own", "--mean", "72.9", "--std", "90")
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "own: 540 images in train, 60 images in val, 200 images in test"
    assert "severe: leak" in lines and "severe: wrong mean or deviation" in lines
    assert "for pixels from 0 to 255" in " ".join(outcome.out.split())
    assert "name a run on these data with --run" in " ".join(outcome.out.split())
    assert lines[-1] == "wrote doctor-own.html"
    assert "test image 5" in Path("doctor-own.html").read_text(encoding="utf-8")


def test_data_as_json(place: Path, command: Command, fashion_slice: Path, run_path: Path) -> None:
    outcome = command("doctor", "data", fashion_slice, "--run", "first", "--json", "--output", "pages/one.html")
    report = json.loads(outcome.out)
    assert report["page"] == "pages/one.html" and Path("pages/one.html").is_file()
    assert report["not_examined"] == []
    assert sum(report["facts"]["images"]["train"].values()) == 540
    assert {"kind", "severity", "what", "why", "remedy", "count", "share", "examples"} == set(report["findings"][0])
    assert "suspicious labels" in {finding["kind"] for finding in report["findings"]}


def test_clean_data(place: Path, command: Command) -> None:
    generator = torch.Generator().manual_seed(0)
    Path("own").mkdir()
    for prefix, count in (("train", 200), ("t10k", 60)):
        noise = torch.randint(0, 256, (count, 28, 28), generator=generator, dtype=torch.uint8)
        write_idx(Path("own") / f"{prefix}-images-idx3-ubyte", noise)
        write_idx(Path("own") / f"{prefix}-labels-idx1-ubyte", (torch.arange(count) % 2).to(torch.uint8))
    assert "none of the faults looked for was found" in command("doctor", "data", "own").out


def test_data_mistakes(refused: Callable[..., str]) -> None:
    assert "convscope doctor data DATA" in refused("doctor", "data")
    assert "give both" in refused("doctor", "data", "fashion-mnist-mini", "--mean", "0.5")
    assert "did you mean 'fashion-mnist'" in refused("doctor", "data", "fashion-mnit")
    assert "there is no run 'none'" in refused("doctor", "data", "fashion-mnist-mini", "--run", "none")
    assert "convscope doctor data photos" in refused("doctor", "environment", "photos")


EXAMINED = ("--batch-size", "32", "--device", "cpu", "--threads", "1")


def test_training(place: Path, command: Command, fashion_slice: Path) -> None:  # R-F2, R-A4, R-C6
    outcome = command("doctor", "training", fashion_slice, "linear", "--lr", "1e-6", *EXAMINED)
    assert outcome.status == 0
    words = " ".join(outcome.out.split())
    assert words.startswith(f"linear on {fashion_slice} severe: learning rate too low at --lr 1e-06 the loss is")
    for expected in ("Give --lr 0.0", "layer mean deviation", "output", "is suggested", "MiB at the peak", "170 steps"):
        assert expected in words
    page = f"doctor-linear-{fashion_slice.name}.html"
    assert outcome.out.endswith(f"wrote {page}\n") and Path(page).is_file()
    assert not Path("runs").exists()
    assert "learning rates" in outcome.err  # the bars


def test_training_of_a_run(place: Path, command: Command, run_path: Path) -> None:
    before = {path: path.read_bytes() for path in run_path.rglob("*") if path.is_file()}
    for name in ("first", "latest", run_path):
        outcome = command("doctor", "training", name, "--json", "--output", "pages/one.html", "--lr", "0.01")
        report = json.loads(outcome.out)
        assert report["model"] == "linear" and report["page"] == "pages/one.html"
        assert report["facts"]["rates"]["short_trainings"][0]["lr"] == 0.01
        assert report["findings"] == []
        assert [layer["name"] for layer in report["layers"]] == ["output"]
    assert {path: path.read_bytes() for path in run_path.rglob("*") if path.is_file()} == before


def test_training_takes_files_and_flags_of_train(place: Path, command: Command, fashion_slice: Path) -> None:
    Path("own.yaml").write_text(f"data: {fashion_slice}\nmodel: linear\nbatch_size: 64\nepochs: 2\n", encoding="utf-8")
    outcome = command("doctor", "training", "--config", "own.yaml", "--json", *EXAMINED[2:])
    assert json.loads(outcome.out)["facts"]["time"]["steps"] == 2 * 9


def test_training_mistakes(refused: Callable[..., str]) -> None:
    assert "there is no run in runs yet" in refused("doctor", "training", "latest")
    assert "did you mean 'fashion-mnist'" in refused("doctor", "training", "fashion-mnit")
    assert "did you mean 'linear'" in refused("doctor", "training", "fashion-mnist-mini", "linea")
    assert "it must be greater than 0" in refused("doctor", "training", "fashion-mnist-mini", "--lr", "0")
    assert "did you mean --lr" in refused("doctor", "training", "fashion-mnist-mini", "--lrr", "1")
