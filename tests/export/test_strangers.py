"""Exported files, read by a program that knows nothing of Convscope and cannot import it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convscope.data import Splits
from convscope.export import FORMATS, FormatName
from convscope.predict import Predictor
from convscope.runs import Run

PROGRAM = Path(__file__).with_name("stranger.py")


@pytest.mark.parametrize("to", list(FORMATS))
def test_a_program_without_convscope_gets_classes_and_answers(
    to: FormatName, run: Run, finished: Callable[[FormatName], Any], fashion_splits: Splits, tmp_path: Path
) -> None:
    # R-F4, R-A12
    exported = finished(to).exported
    predictor = Predictor.from_run(run, device="cpu")
    images = fashion_splits.test.take(torch.arange(20, 70))
    np.save(tmp_path / "images.npy", images.numpy())

    command = [sys.executable, str(PROGRAM), str(exported.files[0])]
    done = subprocess.run(
        [*command, str(tmp_path / "images.npy"), str(tmp_path / "answers.npy")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["classes"] == list(predictor.classes)
    assert (facts["model"], facts["run"]) == ("lenet5", "shirts")
    answers = torch.from_numpy(np.load(tmp_path / "answers.npy"))
    torch.testing.assert_close(answers, predictor.probabilities(images), rtol=1e-3, atol=1e-5)
