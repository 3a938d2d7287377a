"""The verb `doctor`."""

import json
import platform
from pathlib import Path

import pytest
import torch

from convscope.catalog import DATA
from convscope.cli import doctor
from convscope.doctor.environment import examine


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert doctor.main(["environment", "--data-dir", str(tmp_path)]) == 0
    rows = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert platform.python_version() in rows["python"]
    assert torch.__version__ in rows["torch"]
    assert str(tmp_path) in rows["data directory"]
    assert "cpu" in rows["device"]
    assert "not here" in rows["mnist"]
    assert set(DATA) <= set(rows)
    assert any("convscope data fetch mnist" in line for line in rows)


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--json", "--data-dir", str(tmp_path)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["versions"]["torch"] == torch.__version__
    assert {"device", "cpu", "threads", "precision", "data", "advice"} <= set(facts)


def test_nothing_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    facts = examine(tmp_path) | {"advice": []}
    monkeypatch.setattr("convscope.doctor.environment.examine", lambda data_dir: facts)
    assert doctor.main([]) == 0
    assert capsys.readouterr().out.endswith("Nothing is missing.\n")


def test_an_unknown_subject(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        doctor.main(["envronment"])
    assert info.value.code == 2
    assert "environment" in capsys.readouterr().err
