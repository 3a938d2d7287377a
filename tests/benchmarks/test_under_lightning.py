"""The comparison with Lightning's Trainer: both train the same, and the table says so."""

import csv
import importlib
import sys
from pathlib import Path

import pytest
import torch


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_both_come_to_the_same(fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    benchmark = importlib.import_module("under_lightning")
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path / "results.csv")
    shared = ["--data", str(fashion_slice), "--model", "linear", "--threads", str(torch.get_num_threads())]
    monkeypatch.setattr(sys, "argv", ["under_lightning.py", *shared, "--epochs", "2", "--seeds", "2"])
    benchmark.main()
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        lines = {(line["engine"], line["unit"]): line for line in csv.DictReader(file)}
    assert {engine for engine, _ in lines} == {"convscope", "lightning", "both"}
    assert float(lines["convscope", "% of the test images"]["median"]) > 20
    # In whatever precision: the same steps.
    assert float(lines["both", "points more"]["most"]) == pytest.approx(0, abs=0.5)
    assert float(lines["both", "points more"]["least"]) == pytest.approx(0, abs=0.5)
