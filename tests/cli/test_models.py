"""`convscope models`."""

import json
import subprocess
import sys

import pytest

from convscope.catalog import MODELS
from convscope.cli.models import main


def test_table_names_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for entry in MODELS.values():
        (row,) = [line for line in printed.splitlines() if line.startswith(f"  {entry.name} ")]
        assert f" {entry.parameters:,} " in row
        assert f" {entry.in_channels}×{entry.input_size}×{entry.input_size} " in row
        assert f"\n{entry.family} ({entry.year})  {entry.paper}\n" in printed
    vgg16 = next(line for line in printed.splitlines() if line.startswith("  vgg16 "))
    assert " 15.47 G " in vgg16 and " 71.59% " in vgg16


def test_json_is_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(MODELS)
    assert {row["name"]: row["parameters"] for row in rows}["tinyvgg"] == 467_818


def test_listing_needs_neither_torch_nor_numpy() -> None:
    script = (
        "import sys; from convscope.cli.models import main; main([]); "
        "sys.exit(', '.join({'torch', 'numpy', 'matplotlib'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tinyvgg_explainer" in done.stdout
