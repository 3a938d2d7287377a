"""The doctor's advice, for machines that are and machines that are not this one."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from convscope.catalog import DATA
from convscope.doctor import environment as doctor
from convscope.doctor.environment import examine
from convscope.kernels import build, choice
from convscope.training import runtime


def test_facts_are_json_and_complete(tmp_path: Path) -> None:
    facts = examine(tmp_path)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["precision"]["auto"] in ("float32", "bfloat16")
    assert facts["data"]["directory"] == str(tmp_path)
    assert set(facts["data"]["sets"]) == set(DATA)
    assert Path(facts["data"]["sets"]["fashion-mnist-mini"]).is_dir()
    assert facts["cpu"]["cores"] >= 1


def test_what_compiling_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "obstacle", lambda device: f"no compiler for {device}")
    assert examine(tmp_path)["compile"] == "no compiler for cpu"


def test_compiled_kernels_are_not_built_by_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "obstacle", lambda: None)
    monkeypatch.setattr(build, "is_built", lambda: False)
    monkeypatch.setattr(build, "load", lambda: pytest.fail("it was built"))
    nothing = {"built": False, "amx": None, "layers": {}, "layers_file": None}
    assert doctor.kernels() == nothing | {"obstacle": None}
    monkeypatch.setattr(build, "obstacle", lambda: "no compiler")
    assert doctor.kernels() == nothing | {"obstacle": "no compiler"}


def test_what_was_found_to_be_the_fastest_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not build.load():
        pytest.skip(f"compiled kernels are off: {build.obstacle()}")
    monkeypatch.setattr(choice, "kept_in", lambda: tmp_path / "fastest.json")
    assert doctor.kernels()["layers"] == {}
    for layer in ("first", "second"):
        choice.faster(layer, {"onednn": lambda: time.sleep(0.01), "winograd": lambda: None})
    facts = doctor.kernels()
    assert facts["layers"] == {"winograd": 2}
    assert [*json.loads(Path(facts["layers_file"]).read_text())] == ["first", "second"]


def test_missing_data_is_named_with_the_command_that_brings_it(tmp_path: Path) -> None:
    missing = [name for name, place in examine(tmp_path)["data"]["sets"].items() if place is None]
    assert "mnist" in missing
    advice = "\n".join(examine(tmp_path)["advice"])
    for name in missing:
        assert f"`convscope data fetch {name}`" in advice
    assert "fetch fashion-mnist-mini" not in advice


def test_what_single_verbs_lack_is_named_with_the_extra_that_brings_it() -> None:
    advice = list(doctor.advice_on_extras({"export": {"onnx": "1", "openvino": None}, "search": {"optuna": "5"}}))
    assert len(advice) == 1
    assert advice[0].startswith("openvino cannot be found") and '`pip install "convscope[export]"`' in advice[0]


def test_data_that_is_there_needs_no_advice(tmp_path: Path, idx_files: Callable[[Path], None]) -> None:
    idx_files(tmp_path / "mnist")
    facts = examine(tmp_path)
    assert facts["data"]["sets"]["mnist"] == str(tmp_path / "mnist")
    assert not any("fetch mnist" in advice for advice in facts["advice"])


@pytest.fixture
def idx_files() -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        folder.mkdir()
        for file in DATA["mnist"].files:
            (folder / file.name).write_bytes(b"")  # to be found is enough here

    return write


def test_precision_follows_the_instructions_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "cpu_gains_by_bfloat16", lambda: True)
    assert doctor.precision("cpu") == {"auto": "bfloat16", "why": "this CPU is faster in it"}
    monkeypatch.setattr(runtime, "cpu_gains_by_bfloat16", lambda: False)
    answer = doctor.precision("cpu")
    assert answer["auto"] == "float32"
    assert "no faster in bfloat16" in answer["why"]


def test_missing_libraries_are_named() -> None:
    assert list(doctor.advice_on_libraries({"torch": "2.13", "tyro": "1.0"})) == []
    (advice,) = doctor.advice_on_libraries({"torch": "2.13", "tyro": None, "rich": None})
    assert advice.startswith("tyro, rich cannot be found")


def device(auto: str = "cpu", problem: str | None = None) -> dict[str, Any]:
    return {"auto": auto, "present": [auto, "cpu"], "gpus": [], "problem": problem}


def test_a_gpu_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_has_nvidia_gpu", lambda: False)
    assert list(doctor.advice_on_devices(device())) == []
    (advice,) = doctor.advice_on_devices(device(problem="the driver is too old"))
    assert "the driver is too old" in advice

    monkeypatch.setattr(doctor, "_has_nvidia_gpu", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", None)
    (advice,) = doctor.advice_on_devices(device())
    assert "the build without CUDA" in advice
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    assert list(doctor.advice_on_devices(device("cuda"))) == []


@pytest.mark.parametrize(
    ("threads", "cores", "quota", "variable", "remedy"),
    [
        (2, 2, None, False, None),
        (8, 16, None, False, None),  # one thread for each physical core
        (64, 64, 2.0, False, "--threads 2"),
        (64, 64, 0.5, False, "--threads 1"),
        (1, 1, 0.5, False, None),
        (2, 2, 2.0, False, None),
        (1, 8, None, True, "OMP_NUM_THREADS"),
        (8, 8, None, True, None),
    ],
)
def test_advice_on_threads(
    threads: int,
    cores: int,
    quota: float | None,
    variable: bool,
    remedy: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable:
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    advice = list(doctor.advice_on_threads(threads, {"cores": cores, "quota": quota}))
    assert len(advice) == (0 if remedy is None else 1)
    assert remedy is None or remedy in advice[0]


def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    assert list(doctor.advice_on_data(tmp_path / "new" / "one", [])) == []
    assert len(list(doctor.advice_on_data(tmp_path / "new" / "one", ["mnist"]))) == 1
    (tmp_path / "file").write_text("in the way")
    advice = list(doctor.advice_on_data(tmp_path / "file" / "data", ["mnist"]))
    assert len(advice) == 2
    assert "CONVSCOPE_DATA" in advice[1]
