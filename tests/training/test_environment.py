"""The facts about the machine that stand beside a run's results."""

import json
import platform
import re
import tomllib
import warnings
from pathlib import Path

import numpy
import pytest
import torch

from convscope.training import environment as module
from convscope.training.environment import EXTRAS, LIBRARIES, environment


def test_it_says_what_is_running() -> None:  # R-D8
    facts = environment()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["versions"]["python"] == platform.python_version()
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["versions"]["numpy"] == numpy.__version__
    assert facts["threads"] == torch.get_num_threads()
    assert facts["cpu"]["cores"] >= 1
    assert facts["device"]["auto"] == facts["device"]["present"][0]
    assert facts["device"]["present"][-1] == "cpu"


def test_every_required_library_is_listed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(LIBRARIES) == _names(project["dependencies"])
    extras = project["optional-dependencies"]
    assert {extra: set(names) for extra, names in EXTRAS.items()} == {extra: _names(extras[extra]) for extra in EXTRAS}
    assert extras["all"] == [f"convscope[{','.join(EXTRAS)}]"]


def _names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", line)[0] for line in requirements}


def test_features_agree_with_the_kernel() -> None:
    info = Path("/proc/cpuinfo")
    flags = re.search(r"^flags\s*:(.*)$", info.read_text() if info.exists() else "", re.MULTILINE)
    if flags is None:
        pytest.skip("only Linux on x86 lists the CPU's features in a file")
    names = {"AVX2": "avx2", "AVX-512": "avx512f", "AVX512-BF16": "avx512_bf16", "AMX-BF16": "amx_bf16"}
    kernel = {name for name, flag in names.items() if flag in flags[1].split()}
    assert set(environment()["cpu"]["features"]) & set(names) == kernel


def test_a_library_that_is_not_installed() -> None:
    assert module.version("no-such-library-anywhere") is None


def test_a_container_is_seen_through_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/sys/fs/cgroup/cpu.max": "150000 100000\n",
        "/sys/fs/cgroup/memory.max": f"{3 * 2**29}\n",
        "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Abacus 9000\n",
    }
    monkeypatch.setattr(module, "_read", lambda path: files.get(path, ""))
    facts = environment()
    assert facts["cpu"]["quota"] == 1.5
    assert facts["cpu"]["model"] == "Abacus 9000"
    assert facts["memory_gib"] == 1.5
    files |= {"/sys/fs/cgroup/cpu.max": "max 100000\n", "/sys/fs/cgroup/memory.max": "max\n"}
    facts = environment()
    assert facts["cpu"]["quota"] is None
    assert facts["memory_gib"] != 1.5


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/jobs/mine\n", "/sys/fs/cgroup/jobs/mine/memory.max"),
        ("0::/jobs/mine\n", "/sys/fs/cgroup/jobs/memory.max"),
        ("5:cpu:/\n4:hugetlb,memory:/mine\n0::/\n", "/sys/fs/cgroup/memory/mine/memory.limit_in_bytes"),
    ],
)
def test_the_memory_of_a_control_group(groups: str, file: str, monkeypatch: pytest.MonkeyPatch) -> None:  # R-C6
    # The limit of a group above counts too, and version 1 writes a number beyond any memory for none.
    files = {"/proc/self/cgroup": groups, file: f"{2**29}\n"}
    files |= {"/sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n"}
    monkeypatch.setattr(module, "_read", lambda path: files.get(path, ""))
    assert module.memory_gib() == 0.5


def test_a_machine_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_read", lambda path: "")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")  # and there is no sysctl, or one that fails
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    facts = environment()
    assert facts["cpu"]["model"] is None
    assert facts["cpu"]["features"] == []
    assert facts["cpu"]["quota"] is None


def test_a_driver_that_does_not_work_is_reported_and_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_available() -> bool:
        warnings.warn("CUDA initialization: the driver is too old\nlong story", stacklevel=2)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    device = environment()["device"]
    assert device["auto"] == "cpu"
    assert device["problem"] == "CUDA initialization: the driver is too old"


def test_gpus_are_named_and_a_gpu_that_does_not_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Abacus {index}")
    device = environment()["device"]  # R-E6
    assert device == {
        "auto": "cuda",
        "present": ["cuda", "cpu"],
        "gpus": ["Abacus 0", "Abacus 1"],
        "problem": None,
    }

    def fail(index: int) -> str:
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy\nCompile with ...")

    monkeypatch.setattr(torch.cuda, "get_device_name", fail)
    assert environment()["device"]["problem"] == "CUDA error: all CUDA-capable devices are busy"


def test_apple_gpus_come_before_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert environment()["device"]["present"] == ["mps", "cpu"]  # R-E6
