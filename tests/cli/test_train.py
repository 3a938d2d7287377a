"""`convscope train` as a user meets it."""

import json
import pickle
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from convscope.cli.progress import Progress
from convscope.cli.settings import parse, setting
from convscope.cli.train import Train
from convscope.recipes import load_recipe
from convscope.runs import Run
from convscope.training.checkpoint import load_state, load_weights

Command = Callable[..., Any]
Refused = Callable[..., str]
SHORT = ("--epochs", 1, "--device", "cpu", "--threads", 1)


def weights(run: Path | Run) -> dict[str, torch.Tensor]:
    path = run.path if isinstance(run, Run) else run
    return load_weights(path / "checkpoints" / "best.safetensors")[0]


def assert_same_weights(first: Path | Run, second: Path | Run) -> None:
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


# What one gets


def test_what_is_printed(trained: tuple[Path, Any]) -> None:
    # R-D4
    path, done = trained
    assert (done.status, done.err) == (0, "")
    assert "\x1b" not in done.out  # plain lines where nobody looks at a terminal
    lines = done.out.splitlines()
    assert "linear" in lines[0] and "7,850 parameters" in lines[0] and "540 images to train" in lines[0]
    assert "cpu" in lines[1] and "seed 0" in lines[1] and lines[1].endswith("into runs/first")
    assert lines[2].split()[0] == "epoch"
    assert [line.split()[0] for line in lines[3:5]] == ["1/2", "2/2"]
    assert all(len(line) == len(lines[2]) for line in lines[3:5])
    accuracy = Run(path).metrics()["test"]["top1"]
    assert re.search(rf"^test +accuracy {accuracy:.2%} \(95% interval ", done.out, flags=re.MULTILINE)
    assert "report runs/first/report.html" in lines[-2]
    assert lines[-1] == "look inside: convscope explore runs/first"


def test_what_is_left_in_the_run_directory(trained: tuple[Path, Any]) -> None:
    # R-B8
    path = trained[0]
    for name in ("config.yaml", "environment.json", "history.csv", "metrics.json", "predictions.npz", "report.html"):
        assert (path / name).stat().st_size > 0
    assert {file.name for file in path.glob("checkpoints/*")} == {"best.safetensors", "last.pt"}
    assert {"curves.png", "confusion.png", "predictions.png"} <= {file.name for file in path.glob("figures/*")}
    assert not [file for file in path.rglob("*") if ".part" in file.name]
    run = Run(path)
    assert run.status == "finished"
    assert [row["epoch"] for row in run.history()] == [1, 2]
    # 200 images of ten classes: far above chance after two epochs already.
    assert run.metrics()["test"]["images"] == 200
    assert run.metrics()["test"]["top1"] > 0.3


@pytest.mark.usefixtures("no_pictures")
def test_the_resolved_setting_repeats_the_run_and_flags_win(
    command: Command, run_path: Path, trained: tuple[Path, Any]
) -> None:
    assert command("train", "--config", run_path / "config.yaml", "--name", "again").status == 0
    assert_same_weights(Path("runs/again"), trained[0])
    done = command("train", "--config", run_path / "config.yaml", "--name", "other", "--seed", 1, "--epochs", 1)
    assert done.status == 0
    assert Run.open("other").config() == replace(Run(run_path).config(), seed=1, epochs=1)
    assert not torch.equal(weights(Path("runs/other"))["output.weight"], weights(run_path)["output.weight"])


@pytest.mark.usefixtures("no_pictures")
def test_a_recipe_and_flags_on_top(command: Command, fashion_slice: Path) -> None:
    done = command("train", fashion_slice, "linear", "--recipe", "fashion-mnist-94", *SHORT, "--no-flip")
    assert done.status == 0
    expected = replace(
        load_recipe("fashion-mnist-94"),
        data=str(fashion_slice),
        model="linear",
        epochs=1,
        device="cpu",
        threads=1,
        flip=False,
    )
    assert Run.open("latest").config() == expected


@pytest.mark.parametrize("words", [("train", "lenet5"), ("compare", "linear", "lenet5")])
@pytest.mark.usefixtures("no_pictures")
def test_the_doctor_looks_on_unless_left_out(words: tuple[str, ...], command: Command, fashion_slice: Path) -> None:
    # R-E5, R-F2
    verb, *models = words
    still = ("--optimizer", "sgd", "--lr", 1e-9, "--schedule", "constant", "--batch-size", 16, *SHORT, "--epochs", 3)
    done = command(verb, fashion_slice, *models, *still)
    assert done.status == 0, done.err
    lines = [line for line in done.out.splitlines() if "learning rate too low" in line]
    assert len(lines) == len(models)
    assert lines[0].startswith("epoch 3, batch 32: learning rate too low: ") and "--lr 1e-07" in lines[0]
    run = Run.open("latest")
    (alarm,) = run.alarms() or ()
    assert alarm["kind"] == "learning rate too low"
    assert (
        f"alarm in epoch 3, learning rate too low: {alarm['what']}; {alarm['remedy']}\n"
        in command("runs", "show", "latest").out
    )
    assert json.loads(command("runs", "show", "latest", "--json").out)["alarms"] == [alarm]
    assert "learning rate too low" in (run.path / "report.html").read_text(encoding="utf-8")

    done = command(verb, fashion_slice, *models, *still, "--no-doctor")
    assert done.status == 0 and "too low" not in done.out
    assert Run.open("latest").alarms() is None


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(("word", "value"), [("true", True), ("False", False)])
def test_a_network_s_option_may_be_true_or_false(word: str, value: bool) -> None:
    flags = parse(
        Train, ["fashion-mnist", "googlenet", "--model-options", "auxiliary", word, "width", "2"], verb="train"
    )
    assert setting(flags).model_options == {"auxiliary": value, "width": 2}
    assert setting(flags).model_options["auxiliary"] is value


@pytest.mark.usefixtures("no_pictures")
def test_every_flag_reaches_the_setting(command: Command, fashion_slice: Path) -> None:
    # R-A3, R-A4, R-A5, R-B1, R-B2, R-B5
    flags: dict[str, Any] = {
        "stage_lr_decay": 0.9,
        "val_share": 0.2,
        "test_share": 0.3,
        "split_seed": 3,
        "scaling": "signed",
        "input_size": 16,
        "resize": "pad",
        "decode_size": 20,
        "flip": True,
        "shift": 1,
        "rotation": 5.0,
        "cutout": 4,
        "crop_scale": 0.5,
        "jitter": 0.1,
        "mixup": 0.2,
        "cutmix": 1.0,
        "epochs": 1,
        "batch_size": 160,
        "micro_batch": 90,
        "sync_batch_norm": True,
        "optimizer": "sgd",
        "lr": 0.05,
        "momentum": 0.8,
        "nesterov": True,
        "weight_decay": 0.001,
        "decay_norms_and_biases": True,
        "schedule": "cosine",
        "warmup_epochs": 0.5,
        "step_epochs": 2,
        "plateau_patience": 1,
        "gamma": 0.3,
        "final_lr": 0.1,
        "label_smoothing": 0.1,
        "clip_norm": 2.0,
        "ema": 0.5,
        "patience": 3,
        "seed": 7,
        "device": "cpu",
        "precision": "float32",
        "kernels": False,
        "threads": 1,
        "dropout": 0.2,
        "checkpoint_every": 0.001,
        "snapshots": True,
    }
    words: list[object] = []
    for name, value in flags.items():
        flag = name.replace("_", "-")
        words += (
            {True: [f"--{flag}"], False: [f"--no-{flag}"]}[value] if isinstance(value, bool) else [f"--{flag}", value]
        )
    done = command("train", fashion_slice, "tinyvgg_bn", *words, "--model-options", "hidden", 8, "--name", "all")
    assert done.status == 0, done.err
    written = yaml.safe_load(Path("runs/all/config.yaml").read_text(encoding="utf-8"))
    expected = flags | {"data": str(fashion_slice), "model": "tinyvgg_bn", "model_options": {"hidden": 8}}
    # There are no weights for this network: see test_pretrained.py.
    expected |= {"pretrained": None, "freeze": None, "unfreeze_every": None}
    # Compiling takes a while: see test_compiled.py.
    expected |= {"compile": False}
    assert written == expected


@pytest.mark.usefixtures("no_pictures")
def test_lines_with_the_loss_on_demand(command: Command, fashion_slice: Path) -> None:
    done = command("train", fashion_slice, "linear", *SHORT, "--batch-size", 90, "--log-every", 2)
    found = re.findall(r"^epoch 1, batch (\d)/6: loss \d\.\d{4}, lr ", done.out, flags=re.MULTILINE)
    assert found == ["2", "4", "6"]


def test_recipes_are_listed(command: Command, place: Path) -> None:
    assert "fashion-mnist-94" in command("train", "--list-recipes").out.splitlines()
    assert list(place.iterdir()) == []


# Stopping and going on


@pytest.mark.usefixtures("no_pictures")
def test_ctrl_c_stops_saves_and_says_how_to_resume(place: Path, fashion_slice: Path, command: Command) -> None:
    # R-F6
    words = ["train", fashion_slice, "lenet5", "--name", "it's", "--epochs", 10_000, "--device", "cpu", "--threads", 1]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "convscope.cli.main", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.lstrip().startswith("2/"):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopping after this batch and saving" in err
    assert "convscope train --resume 'runs/it'\"'\"'s'" in out
    run = Run.open("it's")
    assert run.status == "interrupted"
    position = load_state(run.last_state)["position"]
    assert position["epoch"] == len(run.history()) + 1 >= 3
    assert position["images"] == 128 * position["step"]

    # Two more epochs are enough.
    setting = run.path / "config.yaml"
    epochs = position["epoch"] + 1
    setting.write_text(setting.read_text(encoding="utf-8").replace("epochs: 10000", f"epochs: {epochs}"))
    done = command("train", "--resume", "it's")
    assert done.status == 0
    assert f"resuming in epoch {position['epoch']}" in done.out
    assert [row["epoch"] for row in run.history()] == list(range(1, epochs + 1))


def test_a_loss_that_is_no_number_stops_the_training(command: Command, fashion_slice: Path) -> None:
    words = ("--optimizer", "sgd", "--lr", 1e9, "--schedule", "constant", "--precision", "float32", "--name", "wild")
    done = command("train", fashion_slice, "tinyvgg_explainer", *SHORT, *words)
    assert done.status == 1
    assert re.match(r"the loss became nan at step \d of epoch 1, ", done.sentence)
    assert "learning rate ten times smaller" in done.sentence
    run = Run.open("wild")
    assert run.status == "diverged"
    assert all(value.isfinite().all() for value in load_state(run.last_state)["model"].values())
    assert command("runs").out.splitlines()[1].endswith("diverged")


@pytest.mark.usefixtures("no_pictures")
def test_after_a_good_epoch_its_weights_are_kept(
    command: Command, fashion_slice: Path, trained: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The learning rate explodes at the beginning of the second epoch."""
    start = Progress.on_epoch

    def explode(self: Progress, record: Any) -> None:
        start(self, record)
        monkeypatch.setattr("convscope.training.schedules.Schedule.factor", lambda self, step: float("inf"))

    monkeypatch.setattr(Progress, "on_epoch", explode)
    done = command("train", fashion_slice, "linear", *SHORT, "--epochs", 3, "--name", "wild")
    assert done.status == 1
    assert re.match(r"the loss became (nan|inf) at step \d of epoch 2, ", done.sentence)
    assert [row["epoch"] for row in Run.open("wild").history()] == [1]
    assert all(value.isfinite().all() for value in weights(Path("runs/wild")).values())
    assert command("evaluate", "wild").status == 0


# Mistakes


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fashion-mnst"], "unknown data set 'fashion-mnst': did you mean 'fashion-mnist'?"),
        (["nowhere/at/all"], "nowhere/at/all is no folder"),
        (["fashion-mnist-mini", "tinyvg"], "unknown model 'tinyvg': did you mean 'tinyvgg'?"),
        (["--model-options", "hiden", "64"], "unknown tinyvgg_bn option 'hiden': did you mean 'hidden'?"),
        (["--model-options", "hidden", "many"], "the option 'hidden' of the model 'tinyvgg_bn' is 'many': it must be"),
        (["fashion-mnist-mini", "linear", "--dropout", "0.3"], "unknown option 'dropout': the model 'linear' has none"),
        (["fashion-mnist-mini", "lenet5", "--input-size", "8"], "images of 8 pixels are too small for 'lenet5'"),
        (["--epochs", "0"], "epochs is 0: it must be at least 1."),
        (["--epochs", "-3"], "epochs is -3: it must be at least 1."),
        (["--lr", "-0.1"], "lr is -0.1: it must be greater than 0."),
        (["--weight-decay", "-1"], "weight_decay is -1.0: it must be at least 0."),
        (["--lr", "nan"], "lr is nan: it must be a finite number."),
        (["--batch-size", "0"], "batch_size is 0: it must be at least 1."),
        (["--log-every", "0"], "log_every is 0: it must be at least 1."),
        (["--nesterov", "--momentum", "0"], "nesterov needs momentum"),
        (["fashion-mnist-mini", "--batch-size", "9001"], "the batch size 9001 is more than the 9000 training images"),
        (["fashion-mnist-mini", "--device", "cuda:99"], "there is no device 'cuda:99' here"),
        (["--recipe", "cifar10-bst"], "unknown recipe 'cifar10-bst': did you mean 'cifar10-best'?"),
        (["--config", "nowhere.yaml"], "cannot read the setting nowhere.yaml (No such file or directory)"),
        (["--config", "a.yaml", "--recipe", "fashion-mnist-94"], "--recipe and --config both give a setting"),
        (["--resume", "nothing"], "there is no run 'nothing': runs holds no runs."),
        (["--resume", "latest"], "there is no run in runs yet"),
        (["--resume", "first", "--epochs", "3"], "--resume goes on with the run's own setting: leave out "),
        (["--resume", "first", "--name", "second"], "--resume goes on with the run's own setting: leave out "),
        (["fashion-mnist-mini", "--name", "a/b"], "'a/b' cannot name a run"),
        (["fashion-mnist-mini", "--name", ""], "'' cannot name a run"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(words: list[str], sentence: str, refused: Refused) -> None:
    assert refused("train", *words).startswith(sentence)


def test_a_file_with_a_wrong_key(refused: Refused, place: Path) -> None:
    (place / "my.yaml").write_text("data: fashion-mnist-mini\nepocs: 3\n", encoding="utf-8")
    assert refused("train", "--config", "my.yaml") == "my.yaml, line 2: unknown key 'epocs': did you mean 'epochs'?"
    (place / "my.yaml").write_text("optimizer: adm\n", encoding="utf-8")
    assert refused("train", "--config=my.yaml") == "my.yaml, line 1: optimizer is 'adm': did you mean 'adam'?"


def test_a_directory_that_cannot_be_written(refused: Refused, place: Path) -> None:
    (place / "file").write_text("mine", encoding="utf-8")
    for runs_dir in ("file", "file/runs"):
        sentence = refused("train", "fashion-mnist-mini", "linear", "--runs-dir", runs_dir)
        assert sentence.startswith(f"cannot make the run directory {runs_dir}/linear-fashion-mnist-mini-")


def test_a_run_is_not_overwritten(refused: Refused, run_path: Path) -> None:
    sentence = refused("train", "fashion-mnist-mini", "linear", "--name", "first")
    assert sentence.startswith("there is already a run at runs/first: ")
    assert refused("train", "--resume", "first").startswith("runs/first is finished, there is nothing to resume")


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("fault", "culprit", "words"),
    [
        ("truncated", IMAGES, "but only"),
        ("longer", IMAGES, "but more follow"),
        ("empty", IMAGES, "is no IDX file"),
        ("text", IMAGES, "is no IDX file"),
        ("missing", IMAGES, "has no file"),
        ("swapped", IMAGES, "were the files of images and labels swapped?"),
        ("absurd", IMAGES, "but only"),
        ("fewer", LABELS, "they do not belong together"),
        ("classes", "classes.txt", "but the labels go up to 9"),
    ],
)
def test_damaged_data(fault: str, culprit: str, words: str, fashion_slice: Path, place: Path, refused: Refused) -> None:
    folder = place / "slice"
    shutil.copytree(fashion_slice, folder)
    images, labels = (folder / name for name in (IMAGES, LABELS))
    whole = images.read_bytes()
    if fault == "truncated":
        images.write_bytes(whole[:-1000])
    elif fault == "longer":
        images.write_bytes(whole + b"\0")
    elif fault == "empty":
        images.write_bytes(b"")
    elif fault == "text":
        images.write_text("<html>404 Not Found</html>", encoding="utf-8")
    elif fault == "missing":
        images.unlink()
    elif fault == "swapped":
        images.rename(folder / "spare")
        labels.rename(images)
        (folder / "spare").rename(labels)
    elif fault == "absurd":
        images.write_bytes(whole[:4] + b"\xff" * 12 + whole[16:])
    elif fault == "fewer":
        labels.write_bytes(b"\0\0\x08\x01\0\0\0\x02\x01\x02")
    else:
        (folder / "classes.txt").write_text("shirt\nbag\n", encoding="utf-8")
    sentence = refused("train", "slice", "linear")
    assert culprit in sentence
    assert words in sentence


def test_files_that_are_not_the_published_ones_are_named_and_left(
    fashion_slice: Path, place: Path, refused: Refused
) -> None:
    """`refused` sees to it that nothing of the user's is removed."""
    shutil.copytree(fashion_slice, place / "sets" / "fashion-mnist")
    sentence = refused("train", "fashion-mnist", "linear")
    assert f"sets/fashion-mnist/{IMAGES} is not the published file: its SHA-256 is " in sentence


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_state_that_was_tampered_with(run_path: Path, place: Path, refused: Refused) -> None:
    metrics = json.loads((run_path / "metrics.json").read_text(encoding="utf-8")) | {"status": "interrupted"}
    (run_path / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    last, trap = run_path / "checkpoints" / "last.pt", place / "trap"
    whole = last.read_bytes()
    last.write_bytes(pickle.dumps(Trap(trap), protocol=2))
    assert "checkpoints/last.pt" in refused("train", "--resume", "first")
    torch.save({"format": 1, "model": Trap(trap)}, last)
    assert "checkpoints/last.pt" in refused("train", "--resume", "first")
    assert not trap.exists()
    last.write_bytes(whole[: len(whole) // 2])
    assert "checkpoints/last.pt" in refused("train", "--resume", "first")


def test_a_run_of_another_version_or_none_at_all(run_path: Path, place: Path, refused: Refused) -> None:
    (run_path / "metrics.json").write_text('{"format": 2, "status": "interrupted"}', encoding="utf-8")
    assert "has format 2, and this Convscope reads format 1" in refused("train", "--resume", "first")
    (place / "photos").mkdir()
    assert refused("train", "--resume", "photos").startswith("photos is not a run")
