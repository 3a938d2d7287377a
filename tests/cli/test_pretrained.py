"""`convscope train --pretrained` as a user meets it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from convscope.catalog import WEIGHTS
from convscope.data import load_splits
from convscope.models import build_model
from convscope.recipes import load_config
from convscope.training.checkpoint import load_weights

Publish = Callable[..., Any]
SHORT = ("--epochs", "1", "--device", "cpu", "--threads", "1", "--name", "first")

# The command itself, where only the catalogue says another checksum: no file of ours can have the published one.
COMMAND = """
import sys
from dataclasses import replace
from convscope.catalog import WEIGHTS
WEIGHTS["resnet18", "imagenet"] = replace(WEIGHTS["resnet18", "imagenet"], file=sys.argv.pop(1))
from convscope.cli.main import main
sys.exit(main())
"""


def test_the_whole_way_from_a_server_to_a_prediction(
    publish: Publish, place: Path, fashion_slice: Path, command: Callable[..., Any]
) -> None:
    narrow = build_model("resnet18", num_classes=1000, in_channels=3, input_size=32, seed=1, width=0.125)
    published = narrow.state_dict()
    mirror = publish("resnet18", published)
    row = WEIGHTS["resnet18", "imagenet"]
    arguments = ["train", str(fashion_slice), "resnet18", "--pretrained", "imagenet", "--input-size", "32", *SHORT]
    arguments += ["--model-options", "width", "0.125"]  # quick, and the file is small
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, row.file, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert f"fetching {row.file}" in done.stderr
    assert mirror.asked == [row.file]
    kept = place / "sets" / "weights" / row.file
    assert kept.read_bytes() == mirror.files[row.file]

    weights, header = load_weights(place / "runs" / "first" / "checkpoints" / "best.safetensors")
    assert header["preprocessing"]["size"] == header["input_size"] == 32
    assert header["preprocessing"]["mean"] == [pytest.approx(0.449)]
    assert header["preprocessing"]["std"] == [pytest.approx(0.226)]
    # Five steps away from where it started; a network drawn anew would be as far away as its weights are large.
    moved = (weights["layer3.0.conv2.weight"] - published["layer3.0.conv2.weight"]).norm()
    assert 0 < moved < 0.5 * published["layer3.0.conv2.weight"].norm()
    assert "pretrained: imagenet\n" in (place / "runs" / "first" / "config.yaml").read_text()

    kept.unlink()
    Image.fromarray(load_splits(fashion_slice).test.images[0, 0].numpy()).save(place / "shirt.png")
    outcome = command("predict", "runs/first", "shirt.png", "--json")
    assert outcome.status == 0, outcome
    assert "shirt.png" in json.dumps(json.loads(outcome.out))
    assert mirror.asked == [row.file]


def test_without_the_file_nothing_is_written_and_the_remedy_is_named(
    publish: Publish, place: Path, fashion_slice: Path, command: Callable[..., Any]
) -> None:
    mirror = publish("resnet18", {})
    mirror.files.clear()
    outcome = command("train", fashion_slice, "resnet18", "--pretrained", "imagenet", "--input-size", 32, *SHORT)
    assert outcome.status == 1
    name = WEIGHTS["resnet18", "imagenet"].file
    assert f"{mirror.address}{name} answered 404" in outcome.sentence
    assert f"put it at {place / 'sets' / 'weights' / name}" in outcome.sentence
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("linear", "--pretrained", "imagenet"), "no weights 'imagenet' for 'linear'"),
        (("resnet18", "--pretrained", "imagenet-v2"), "take imagenet."),
        (("resnet18", "--pretrained", "imagenet", "--scaling", "unit"), "leave scaling out, or pretrained."),
        (("resnet18_small", "--pretrained", "imagenet"), "choose one of: alexnet,"),
        (("linear", "--pretrained", "imagnet"), "there are no weights 'imagnet': give imagenet or imagenet-v2, a run,"),
        (("linear", "--pretrained", "latest"), "there is no run in runs yet"),
        (("linear", "--freeze", "all-but-head"), "without pretrained weights these layers would stay as they were"),
        (("linear", "--pretrained", "imagenet", "--freeze", "0"), "freeze is 0: it must be all-but-head, or a number"),
        (("linear", "--unfreeze-every", "2"), "no stage is frozen: give freeze all-but-head too."),
        (("linear", "--stage-lr-decay", "0"), "stage_lr_decay is 0.0: it must be greater than 0 and at most 1."),
    ],
)
def test_what_cannot_be_is_refused(
    fashion_slice: Path, refused: Callable[..., str], arguments: tuple[str, ...], reason: str
) -> None:
    assert reason in refused("train", fashion_slice, *arguments)


@pytest.mark.usefixtures("no_pictures")
def test_a_run_is_named_frozen_and_remembered_by_its_path(
    place: Path, fashion_slice: Path, command: Callable[..., Any]
) -> None:
    tiny = ("train", fashion_slice, "tinyvgg", "--model-options", "hidden", 8, *SHORT[:-1])
    assert command(*tiny, "source").status == 0
    source, _ = load_weights(place / "runs" / "source" / "checkpoints" / "best.safetensors")

    for name, reference in (("by-name", "source"), ("by-path", "runs/source"), ("newest", "latest")):
        outcome = command(*tiny, name, "--pretrained", reference, "--freeze", "all-but-head", "--stage-lr-decay", 0.5)
        assert outcome.status == 0, outcome
        config = load_config(place / "runs" / name / "config.yaml")
        expected = "runs/by-path" if reference == "latest" else "runs/source"
        assert (config.pretrained, config.freeze, config.stage_lr_decay) == (expected, "all-but-head", 0.5)
        weights, _ = load_weights(place / "runs" / name / "checkpoints" / "best.safetensors")
        changed = {key for key, tensor in weights.items() if not torch.equal(tensor, source[key])}
        assert changed == {"output.weight", "output.bias"}
        assert "starting anew" not in outcome.out
        learning = sum(weights[key].numel() for key in changed)
        assert re.search(rf"^at rest: block1, .*, so that {learning} parameters learn$", outcome.out, re.MULTILINE)

    outcome = command(
        *tiny, "larger", "--pretrained", "source", "--input-size", 32, "--freeze", 2, "--unfreeze-every", 3
    )
    assert outcome.status == 0, outcome
    assert "parameters learn; from the last one back, one more learns every 3 epochs\n" in outcome.out
    assert "starting anew: hidden.linear, output, whose weights in runs/source are for other" in outcome.out


@pytest.mark.usefixtures("no_pictures")
def test_what_does_not_fit_a_run_is_refused(run_path: Path, fashion_slice: Path, refused: Callable[..., str]) -> None:
    sentence = refused("train", fashion_slice, "tinyvgg", "--pretrained", "first")
    assert sentence.startswith(f"the weights in {run_path}/checkpoints/best.safetensors are of linear, not of tinyvgg:")
    sentence = refused("train", fashion_slice, "linear", "--pretrained", "first", "--freeze", "1")
    assert "'linear' has nothing before its head 'output'" in sentence
