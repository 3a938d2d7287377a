"""The verb `export`: once as a real command, the rest within this process."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]


def test_a_run_becomes_a_file(process: Command, run_path: Path) -> None:  # R-F4
    outcome = process("export", "first", "--softmax")
    assert outcome.status == 0, outcome.err
    path = run_path / "export" / "first.onnx"
    wrote, images, probabilities, compared = outcome.out.splitlines()
    assert wrote == f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)"
    assert images == "images: uint8 (batch, 1, height, width) of any height and width"
    assert probabilities == "probabilities: float32 (batch, 10), in the order of the classes named in the file"
    assert re.fullmatch(
        r"compared with the run on 200 test images: the same class for 100.00%, "
        r"largest difference of probabilities [\d.e-]+, of 0.0001 allowed",
        compared,
    )


def test_int8_tells_the_accuracy_before_and_after(command: Command, run_path: Path) -> None:
    outcome = command("export", "first", "--to", "openvino", "--int8", "--output", "there/shirts.xml")
    assert outcome.status == 0, outcome.err
    assert Path("there", "shirts.xml").exists() and Path("there", "shirts.bin").exists()
    assert [line.split(" (")[0] for line in outcome.out.splitlines()[:2]] == [
        f"wrote {Path('there', 'shirts.xml')}",
        f"wrote {Path('there', 'shirts.bin')}",
    ]
    assert re.fullmatch(r"test accuracy: [\d.]+% in float32, [\d.]+% in int8", outcome.out.splitlines()[-1])


def test_mistakes_end_in_a_sentence(refused: Callable[..., str], run_path: Path) -> None:
    assert "leave int8 out" in refused("export", "first", "--to", "torchscript", "--int8")
    assert "give one that ends in .onnx" in refused("export", "first", "--output", "there.pt")
    assert "there is no run 'frist'" in refused("export", "frist")
    assert "did you mean --softmax" in refused("export", "first", "--sofmax")
