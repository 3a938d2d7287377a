"""Accuracies and times in docs/results.md and the README are those that were measured."""

import csv
import re
from pathlib import Path

import pytest

from convscope.numbers import duration
from convscope.recipes import load_recipe

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def measured(name: str) -> list[dict[str, str]]:
    with (ROOT / "benchmarks" / "results" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


NETWORKS = measured("networks.csv")


def rows_after(command: str) -> list[str]:
    """Of the table that follows a command."""
    table = re.search(rf"^{re.escape(command)}.*?^(\|.*?)\n\n", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert table, command
    return table[1].splitlines()[2:]


def accuracy(row: dict[str, str], part: str) -> str:
    mean, deviation = (row[f"{part}_{key}"] for key in ("accuracy", "deviation"))
    return f"{float(mean):.2f}%" + (f" ± {float(deviation):.2f}%" if deviation else "")


@pytest.mark.parametrize("data", sorted({row["data"] for row in NETWORKS}))
def test_networks(data: str) -> None:
    rows = [row for row in NETWORKS if row["data"] == data]
    assert rows_after(f"convscope compare {data} ") == [
        f"| `{row['model']}` | {int(row['parameters']):,} | {duration(float(row['train_seconds']))} | "
        f"{int(row['images_per_second']):,} | {accuracy(row, 'val')} | {accuracy(row, 'test')} |"
        for row in rows
    ]


@pytest.mark.parametrize("row", measured("recipes.csv"), ids=lambda row: row["recipe"])
def test_recipes(row: dict[str, str]) -> None:
    keys = ("val_accuracy", "test_accuracy", "test_low", "test_high")
    val, test, low, high = (f"{float(row[key]):.2f}%" for key in keys)
    size = load_recipe(row["recipe"]).input_size or 28
    speed = float(row["images_per_second"])
    (line,) = re.findall(rf"^\| `{row['recipe']}` .*", PAGE, flags=re.MULTILINE)
    assert line.endswith(
        f"| {size} | {row['epochs']} | {duration(float(row['train_seconds']))} | {speed:.0f} | "
        f"{val} | {test} ({low} to {high}) |"
    )


@pytest.mark.parametrize(
    "row",
    [row for row in measured("time_to_accuracy.csv") if row["setting"].startswith("--recipe ")],
    ids=lambda row: row["setting"],
)
def test_time_to_accuracy(row: dict[str, str]) -> None:
    shown = f"{float(row['test_accuracy']):.2f}% ± {float(row['test_deviation']):.2f}%"
    (line,) = re.findall(rf"^\| .*`convscope train {row['setting']}`.*", README, flags=re.MULTILINE)
    assert line.endswith(f"| {duration(float(row['seconds']))} | {shown} |")
    assert shown in PAGE and f"--trainings {row['trainings']} {row['setting']}`" in PAGE


def test_readme() -> None:
    rows = re.findall(r"^\| FashionMNIST \| `(\w+)` \| (.*?) \| (.*?) \|$", README, flags=re.MULTILINE)
    assert len(rows) == 3
    for model, time, shown in rows:
        (row,) = (row for row in NETWORKS if (row["data"], row["model"]) == ("fashion-mnist", model))
        assert (time, shown) == (duration(float(row["train_seconds"])), accuracy(row, "test"))


def test_chapter_on_both_data_sets() -> None:
    chapter = (ROOT / "docs" / "book" / "19-fashion-mnist-and-mnist.md").read_text(encoding="utf-8")
    shown = re.findall(r'^    "(\w+)": \(([\d.]+), ([\d.]+)\),$', chapter, flags=re.MULTILINE)
    assert len(shown) == 4
    means = {(row["data"], row["model"]): float(row["test_accuracy"]) for row in NETWORKS}
    for model, clothes, digits in shown:
        assert (float(clothes), float(digits)) == (means["fashion-mnist", model], means["mnist", model])
