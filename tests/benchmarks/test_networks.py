"""The table of networks: a line for each pair of data set and network, with mean and deviation over the seeds."""

import csv
import importlib
import statistics
import sys
from pathlib import Path

import pytest

from convscope.config import Config
from convscope.runs import Run


def test_a_line_for_each_pair_over_its_seeds(
    fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    networks = importlib.import_module("networks")
    data, results = str(fashion_slice), tmp_path / "results.csv"
    monkeypatch.setattr(networks, "RESULTS", results)
    monkeypatch.setattr(networks, "TASKS", (networks.Task(Config(data=data, epochs=1), ("linear",), seeds=2),))
    trained = networks.trained  # names the run after the data set, which is a path here
    monkeypatch.setattr(
        networks,
        "trained",
        lambda name, *arguments: trained(Path(name).name, *arguments),
    )

    def run(*argv: str) -> list[dict[str, str]]:
        monkeypatch.setattr(sys, "argv", ["networks.py", *argv, "--runs-dir", str(tmp_path / "runs")])
        networks.main()
        with results.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    (line,) = run()
    runs = [Run(path) for path in sorted((tmp_path / "runs").iterdir())]
    shares = [100 * run.metrics()["test"]["top1"] for run in runs]
    assert [run.config().seed for run in runs] == [0, 1]
    assert (line["data"], line["model"], line["seeds"], line["parameters"]) == (data, "linear", "2", "7850")
    assert float(line["test_accuracy"]) == pytest.approx(statistics.mean(shares), abs=0.006)
    assert float(line["test_deviation"]) == pytest.approx(statistics.stdev(shares), abs=0.006)
    assert run(data) == [line]
    assert len(list((tmp_path / "runs").iterdir())) == 2, "nothing is trained a second time"
