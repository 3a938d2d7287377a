"""`convscope train --pretrained imagenet` as a user meets it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from convscope.catalog import WEIGHTS
from convscope.data import load_splits
from convscope.models import build_model
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
    ],
)
def test_what_cannot_be_is_refused(
    fashion_slice: Path, refused: Callable[..., str], arguments: tuple[str, ...], reason: str
) -> None:
    assert reason in refused("train", fashion_slice, *arguments)
