"""The table of recipes: one line for each, and no training twice."""

import csv
import importlib
import sys
from pathlib import Path

import pytest

from convscope.config import Config


def test_a_line_for_each_recipe_and_no_training_twice(
    fashion_slice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    recipes = importlib.import_module("recipes")
    settings = {
        "first": Config(data=str(fashion_slice), model="linear", epochs=1, threads=1),
        "second": Config(data=str(fashion_slice), model="lenet5", input_size=32, epochs=1, threads=1),
    }
    results, trainings = tmp_path / "results.csv", []
    monkeypatch.setattr(recipes, "RESULTS", results)
    monkeypatch.setattr(recipes, "recipe_names", lambda: list(settings))
    monkeypatch.setattr(recipes, "load_recipe", settings.__getitem__)
    train = recipes.train
    monkeypatch.setattr(
        recipes, "train", lambda config, **keywords: trainings.append(config) or train(config, **keywords)
    )

    def run(*argv: str) -> list[dict[str, str]]:
        monkeypatch.setattr(sys, "argv", ["recipes.py", *argv, "--runs-dir", str(tmp_path / "runs"), "--threads", "1"])
        recipes.main()
        with results.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    (line,) = run("second")
    assert (line["recipe"], line["model"], line["input_size"], line["parameters"]) == (
        "second",
        "lenet5",
        "32",
        "61706",
    )
    assert 0 < float(line["test_low"]) < float(line["test_accuracy"]) < float(line["test_high"]) < 100
    assert float(line["images_per_second"]) > 0 and line["threads"] == "1" and line["torch"]
    assert [line["recipe"] for line in run()] == ["first", "second"]
    assert [config.model for config in trainings] == ["lenet5", "linear"]
