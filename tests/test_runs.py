"""The run directory: made, found, read, listed, and what happens when it is damaged."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import fields
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from convscope.config import Config
from convscope.errors import ConvscopeError, UserError
from convscope.runs import COLUMNS, Run, create_run, list_runs
from convscope.training.state import EpochRecord

CONFIG = Config(model="linear", data="fashion-mnist-mini", epochs=2)
ROW = {name: index + 0.5 for index, name in enumerate(COLUMNS)} | {"epoch": 1}


def new_run(runs_dir: Path, name: str = "first", started: str = "2026-01-01T00:00:00") -> Run:
    run = create_run(runs_dir, name, CONFIG, {"started": started})
    run.write_metrics({"status": "finished"})
    return run


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Making


def test_a_new_run_has_its_setting_and_its_environment(tmp_path: Path) -> None:
    # R-B8
    run = create_run(tmp_path / "runs", "first", CONFIG, {"started": "now", "versions": {"torch": "1"}})
    assert run.path == tmp_path / "runs" / "first"
    assert run.name == "first"
    assert run.config() == CONFIG
    assert run.environment()["versions"] == {"torch": "1"}
    assert run.metrics()["status"] == "running"
    assert run.history() == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/a", ".hidden", "latest", "a/"])
def test_names_that_no_run_can_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot name a run"):
        create_run(tmp_path / "runs", name, CONFIG, {})
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"there is already a run at .*--resume"):
        create_run(tmp_path, "first", Config(), {})
    assert contents(tmp_path) == before
    assert run.config() == CONFIG


@pytest.mark.parametrize("runs_dir", ["file", "file/runs"])
def test_a_directory_that_cannot_be_written(runs_dir: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot make the run directory .*--runs-dir"):
        create_run(tmp_path / runs_dir, "first", CONFIG, {})
    assert contents(tmp_path) == {tmp_path / "file": b"kept"}


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_disk_full_at_the_beginning_leaves_no_half_of_a_run(
    writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [None] * writes

    def fsync(descriptor: int) -> None:
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ConvscopeError, match="No space left"):
        create_run(tmp_path, "first", CONFIG, {})
    assert list(tmp_path.iterdir()) == []


# Finding


def test_a_run_is_found_by_path_by_name_and_as_the_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs_dir = tmp_path / "runs"
    run = new_run(runs_dir)
    assert Run.open(run.path) == run
    assert Run.open(str(run.path)) == run
    assert Run.open("first", runs_dir) == run
    assert Run.open("latest", runs_dir) == run
    monkeypatch.chdir(run.path)
    assert Run.open(".").name == "first"
    Path("figures").mkdir()
    monkeypatch.chdir("figures")
    assert Run.open("..").name == "first"
    monkeypatch.chdir(tmp_path)
    assert Run.open("first").path == Path("runs/first")


def test_latest_is_the_one_that_began_last(tmp_path: Path) -> None:
    new_run(tmp_path, "a", "2026-01-03")
    new_run(tmp_path, "b", "2026-01-01")
    assert Run.open("latest", tmp_path).name == "a"


def test_an_unknown_run_names_those_there_are(tmp_path: Path) -> None:
    new_run(tmp_path)
    with pytest.raises(UserError, match=r"there is no run 'frist': the runs in .* are: first\."):
        Run.open("frist", tmp_path)
    with pytest.raises(UserError, match=r"there is no run 'first': .* holds no runs"):
        Run.open("first", tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"there is no run in .* yet: train one"):
        Run.open("latest", tmp_path / "elsewhere")


def test_a_folder_that_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UserError, match="pictures is not a run"):
        Run.open(tmp_path / "pictures")


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_a_run_of_another_version(version: object, tmp_path: Path) -> None:
    run = new_run(tmp_path)
    (run.path / "metrics.json").write_text(json.dumps({"format": version, "status": "finished"}), encoding="utf-8")
    with pytest.raises(UserError, match=f"has format {version}, and this Convscope reads format 1"):
        Run.open("first", tmp_path)


def test_a_finished_run_may_lack_figures(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with pytest.raises(UserError, match=r"first lacks figures of a training by Convscope \(it lacks model\): .* again"):
        run.results()


@pytest.mark.parametrize("text", [None, "", "{", "[1]", "\0", '{"format": 1', "[" * 100_000])
def test_a_run_whose_metrics_are_damaged(text: str | None, tmp_path: Path) -> None:
    run = new_run(tmp_path)
    path = run.path / "metrics.json"
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"metrics\.json .* restore it from a copy"):
        Run.open("first", tmp_path)


# Reading


def test_history_round_trip(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    rows = [ROW, ROW | {"epoch": 2, "val_loss": 1e-300, "lr": 0.1 + 0.2}]
    run.write_history(rows)
    assert run.history() == rows
    assert isinstance(run.history()[0]["epoch"], int)


def test_history_has_the_columns_of_an_epochs_record() -> None:
    assert [field.name for field in fields(EpochRecord)] == list(COLUMNS)


def test_history_before_the_first_epoch(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.write_history([])
    assert run.history() == []


HEAD = ",".join(COLUMNS)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}\n1,2,3\n",
        f"{HEAD}\n1,2,3,4,5,6,7,8,9,10\n",
        f"{HEAD}\none,2,3,4,5,6,7,8,9\n",
        f"{HEAD}\n1.5,2,3,4,5,6,7,8,9\n",
        f"{HEAD}\n{10**400},2,3,4,5,6,7,8,9\n",
        "some,other\n1,2\n",
        "epoch\n1\n",
        "\xff\xfe",
        f"{HEAD}\n\0",
    ],
)
def test_damaged_history(text: str, tmp_path: Path) -> None:
    run = new_run(tmp_path)
    (run.path / "history.csv").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"history\.csv is damaged"):
        run.history()


def test_predictions_round_trip(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    logits = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    run.write_predictions(logits=logits, labels=np.arange(5))
    read = run.predictions()
    assert np.array_equal(read["logits"], logits) and read["logits"].dtype == np.float32
    assert np.array_equal(read["labels"], np.arange(5))


def test_predictions_that_are_not_there_yet(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    with pytest.raises(UserError, match=r"no predictions yet: run `convscope evaluate"):
        run.predictions()


def test_damaged_predictions(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    path = run.path / "predictions.npz"
    run.write_predictions(logits=np.ones((5, 3)), labels=np.arange(5))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    no_array = io.BytesIO()
    with zipfile.ZipFile(no_array, "w") as archive:
        for name in ("logits.npy", "labels.npy"):
            archive.writestr(name, b"")
    for damaged in (b"", b"PK", b"no archive", whole[: len(whole) // 2], bytes(flipped), no_array.getvalue()):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"predictions\.npz is damaged"):
            run.predictions()
    with path.open("wb") as file:
        np.save(file, np.arange(5))  # an array, not an archive of arrays
    with pytest.raises(UserError, match=r"predictions\.npz is damaged"):
        run.predictions()


def test_examples_and_facts_of_the_data(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    assert run.data_facts() is None
    with pytest.raises(UserError, match=r"no examples yet: run `convscope evaluate"):
        run.examples()
    arrays = {"images": np.ones((2, 1, 4, 4), dtype=np.uint8), "indices": np.arange(2), "random": np.arange(1)}
    run.write_examples(**arrays)
    for name, array in run.examples().items():
        assert np.array_equal(array, arrays[name])
    (run.path / "examples.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"examples\.npz is damaged"):
        run.examples()
    run.write_json("data.json", {"classes": ["coat"]})
    with pytest.raises(UserError, match=r"data\.json is damaged \(it lacks images\)"):
        run.data_facts()


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_predictions_run_no_code(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    trap = tmp_path / "trap"
    np.savez(run.path / "predictions.npz", logits=np.array([Trap(trap)], dtype=object))
    with pytest.raises(UserError, match="damaged"):
        run.predictions()
    assert not trap.exists()


def test_damaged_setting(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    (run.path / "config.yaml").write_text("epochs: 2\nmodl: linear\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.yaml, line 2: unknown key 'modl': did you mean 'model'"):
        run.config()


# Status


HOLD = """
import sys
import zipfile
from pathlib import Path
from convscope.runs import Run

with Run(Path(sys.argv[1])).training():
    print("holding", flush=True)
    input()
"""


def test_a_run_is_running_while_a_living_process_holds_it_and_killed_when_that_is_gone(tmp_path: Path) -> None:
    # R-F6. Neither a clock nor the number of a process is asked, which another may have after a power cut.
    run = create_run(tmp_path, "first", CONFIG, {})
    command = [sys.executable, "-c", HOLD, str(run.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "holding\n"
        os.utime(run.path / "metrics.json", (0, 0))
        assert run.status == "running"
        with pytest.raises(UserError, match=rf"first is being trained by process {os.getpid()} on "), run.training():
            pass
        process.kill()
    assert run.status == "killed"
    with run.training():
        assert run.status == "running"
    assert sorted(path.name for path in run.path.iterdir()) == ["config.yaml", "environment.json", "metrics.json"]


def test_a_look_at_the_status_keeps_nobody_from_training(tmp_path: Path) -> None:
    run = create_run(tmp_path, "first", CONFIG, {})
    (run.path / ".convscope-training").touch()  # as a killed process leaves it, so that there is something to look at
    over = Event()

    def look() -> None:
        while not over.is_set():
            run.status  # noqa: B018

    looking = Thread(target=look)
    looking.start()
    try:
        for _ in range(100):
            with run.training():
                (run.path / ".convscope-training").touch()
    finally:
        over.set()
        looking.join()


def test_status_of_another_machines_run_is_what_it_says(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.write_metrics({"status": "running", "host": "elsewhere", "pid": 1})
    assert run.status == "running"


def test_writing_back_metrics_keeps_the_process_that_trains(tmp_path: Path) -> None:
    """`evaluate` does so, and may be run while the training goes on."""
    run = new_run(tmp_path)
    metrics = {"status": "running", "host": "elsewhere", "pid": 1}
    run.write_metrics(metrics)
    assert run.add_metrics({"val": {}}, status="running")
    assert run.metrics() == {"format": 1, **metrics, "val": {}}


def test_figures_are_not_added_to_a_run_that_has_changed_meanwhile(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    before = run.metrics()
    assert not run.add_metrics({"val": {}}, status="running")
    assert run.metrics() == before


# Listing


def test_the_newest_is_last(tmp_path: Path) -> None:
    for name, started in (("b", "2026-01-02T00:00:00"), ("c", "2026-01-01T00:00:00"), ("a", "2026-01-02T00:00:01")):
        new_run(tmp_path, name, started)
    assert [run.name for run in list_runs(tmp_path)] == ["c", "b", "a"]


def test_the_list_leaves_out_what_is_no_run(tmp_path: Path) -> None:
    new_run(tmp_path)
    (tmp_path / "comparisons" / "one").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    assert [run.name for run in list_runs(tmp_path)] == ["first"]
    assert list_runs(tmp_path / "nowhere") == []
    assert list_runs(tmp_path / "notes.txt") == []


def test_a_damaged_run_is_listed(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    (run.path / "environment.json").write_text("{", encoding="utf-8")
    assert list_runs(tmp_path) == [run]


def test_a_copy_of_a_run_is_a_run(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    shutil.copytree(run.path, tmp_path / "second")
    assert Run.open("second", tmp_path).config() == run.config()


def test_a_run_is_named_as_it_lies_there(tmp_path: Path) -> None:
    run = new_run(tmp_path / "archive")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "best").symlink_to(run.path, target_is_directory=True)
    assert [run.name for run in list_runs(tmp_path / "runs")] == ["best"]
    assert Run.open("best", tmp_path / "runs").name == "best"


def test_reading_runs_needs_no_torch() -> None:
    script = (
        "import sys, convscope.runs; sys.exit(', '.join({'torch', 'numpy', 'matplotlib'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
