"""The CSV files of figures: what one CPU came to replaces what the same one did before, and nothing else."""

import importlib
from pathlib import Path

import pytest


def test_figures_of_other_cpus_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    figures, path = importlib.import_module("figures"), tmp_path / "results.csv"

    def measured(value: float, cpu: str, features: str) -> None:
        figure = figures.Figure.over([value], "training", "float32", "images/s")
        figures.write_figures(path, [figure], {"cpu": cpu, "features": features, "date": "2026-11-24"})

    for values in ((1, "one", "AVX2"), (2, "another", "AVX2"), (3, "one", "AVX2 AMX"), (4.00049, "one", "AVX2")):
        measured(*values)
    assert [(line["cpu"], line["features"], line["median"]) for line in figures.read_lines(path)] == [
        ("another", "AVX2", "2"),
        ("one", "AVX2 AMX", "3"),
        ("one", "AVX2", "4.0"),
    ]
