"""The library is built once, kept whole, and whatever goes wrong is one line and no error."""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convscope.kernels import compiler
from convscope.kernels.build import LOG, Library

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("g++") is None, reason="there is no g++ here, or this is not Linux"
)

USE = """
import sys
from pathlib import Path
from convscope.kernels.build import Library
library = Library(Path(sys.argv[1]))
library.load(lambda what, done, total: print(what))
print(library.load(), library.obstacle())
"""

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "ab")
fcntl.flock(file, fcntl.LOCK_EX)
print(flush=True)
input()
"""


BUILDING = "building kernels for this CPU, once"


class Said(list[str]):
    """What a library told of its progress, each kind of message once."""

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self:
            self.append(what)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CONVSCOPE_KERNELS", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Two files and a header, which compile in a moment."""
    folder = tmp_path / "csrc"
    folder.mkdir()
    (folder / "answer.h").write_text("int half();\n")
    (folder / "answer.cpp").write_text(
        '#include "answer.h"\nextern "C" __attribute__((visibility("default"))) int answer() { return 2 * half(); }\n'
    )
    (folder / "half.cpp").write_text('#include "answer.h"\nint half() { return 21; }\n')
    return folder


def answer(library: Library) -> int:
    (path,) = library.folder.glob("*.so")
    number: int = ctypes.CDLL(str(path)).answer()
    return number


def openmp_runtimes() -> set[str]:
    """The files of those in this process: PyTorch's, and perhaps other libraries' of other tests."""
    mapped = (line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines())
    return {file for file in mapped if Path(file).name.startswith(("libgomp", "libiomp", "libomp"))}


def test_built_once_and_kept(cache: Path, sources: Path) -> None:
    said = Said()
    library = Library(sources)
    assert library.obstacle() is None and not library.is_built()
    assert library.load(said) and library.load(said)
    assert said == [BUILDING]
    assert library.folder.is_relative_to(cache) and answer(library) == 42
    assert [path.suffix for path in library.folder.iterdir()] == [".so"]  # nothing else is left
    another = Library(sources)  # as the next process has it
    assert another.is_built() and another.load(said) and len(said) == 1

    (sources / "answer.h").write_text("int half(); // changed\n")
    assert not Library(sources).is_built()


def test_loading_brings_in_no_second_openmp(cache: Path, sources: Path) -> None:
    (sources / "half.cpp").write_text(
        "int half() {\n  int sum = 0;\n#pragma omp parallel for reduction(+ : sum) num_threads(2)\n"
        "  for (int i = 0; i < 21; ++i) sum += 1;\n  return sum;\n}\n"
    )
    library = Library(sources)
    before = openmp_runtimes()
    assert library.load() and answer(library) == 42
    assert openmp_runtimes() == before
    (path,) = library.folder.glob("*.so")
    assert b"libgomp.so" not in path.read_bytes()


def test_what_is_damaged_is_built_again(cache: Path, sources: Path) -> None:
    library = Library(sources)
    assert library.load()
    (path,) = library.folder.glob("*.so")
    whole = path.read_bytes()
    path.unlink()  # the name alone: this process has the file in its memory
    path.write_bytes(whole[: len(whole) // 2])
    said = Said()
    again = Library(sources)
    assert not again.is_built()
    assert again.load(said) and len(said) == 1
    assert again.is_built() and answer(again) == 42


def test_two_processes_at_once_build_once(cache: Path, sources: Path) -> None:
    command = [sys.executable, "-c", USE, str(sources)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].splitlines() for process in processes]
    assert [lines[-1] for lines in said] == ["True None"] * 2
    assert sum(BUILDING in lines for lines in said) == 1
    assert len(list(cache.glob("convscope/kernels/*/*.so"))) == 1


def test_a_process_waits_for_another_that_builds_but_not_for_a_dead_one(cache: Path, sources: Path) -> None:
    library = Library(sources)
    library.folder.mkdir(parents=True)
    lock = library.folder / ".convscope-lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline()
    said = Said()

    def progress(what: str, done: int, total: int) -> None:
        said(what, done, total)
        if "another process" in what:
            holder.kill()

    assert library.load(progress)
    assert said == ["waiting for another process that builds the kernels", BUILDING]
    holder.communicate()


def test_what_the_compiler_refuses_is_a_line_and_is_not_tried_again(cache: Path, sources: Path) -> None:
    (sources / "half.cpp").write_text("int half() { return twenty_one; }\n")
    said = Said()
    library = Library(sources)
    assert not library.load(said) and not library.load(said)
    line = str(library.obstacle())
    assert "\n" not in line and "half.cpp: 'twenty_one' was not declared" in line
    log = library.folder / LOG
    assert library.refusal() == log.read_text() and Library(sources).refusal() == log.read_text()
    assert str(log) in line and "return twenty_one" in log.read_text() and log.read_text().startswith("g++ ")

    another = Library(sources)
    said.clear()
    assert another.obstacle() == library.obstacle() and not another.load(said) and not said
    log.unlink()  # the remedy
    assert Library(sources).obstacle() is None
    (sources / "half.cpp").write_text("int half() { return 21; }\n")
    assert Library(sources).load()


def test_a_failure_of_the_moment_is_tried_again(
    cache: Path, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "bin" / "g++"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho 'g++: fatal error: Killed signal terminated program cc1plus' >&2\nexit 1\n")
    compiler.chmod(0o755)
    library = Library(sources)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(compiler.parent), prepend=os.pathsep)
        assert not library.load() and "Killed signal" in str(library.obstacle())
        assert Library(sources).obstacle() is None


def test_without_a_compiler(cache: Path, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    library = Library(sources)
    said = Said()
    assert not library.load(said) and said == []
    assert library.obstacle() == "there is no compiler g++ here; install it, for example with `apt-get install g++`"
    assert not library.is_built()


def test_where_nothing_can_be_kept(cache: Path, sources: Path) -> None:
    cache.write_text("in the way of the directory")
    library = Library(sources)
    assert not library.load()
    line = str(library.obstacle())
    assert "cannot be kept" in line and "XDG_CACHE_HOME" in line and "\n" not in line


def test_switched_off(cache: Path, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(sources)
    monkeypatch.setenv("CONVSCOPE_KERNELS", "0")
    assert not library.load() and "CONVSCOPE_KERNELS=0" in str(library.obstacle())
    assert not cache.exists()
    monkeypatch.delenv("CONVSCOPE_KERNELS")
    assert library.load()
    monkeypatch.setenv("CONVSCOPE_KERNELS", "0")
    assert not library.load()


@pytest.mark.parametrize(
    ("system", "machine", "named"),
    [("darwin", "arm64", "macOS"), ("win32", "AMD64", "Windows"), ("linux", "ppc64le", "ppc64le")],
)
def test_other_machines_are_told(
    cache: Path, sources: Path, monkeypatch: pytest.MonkeyPatch, system: str, machine: str, named: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    library = Library(sources)
    assert f"not for {named}" in str(library.obstacle()) and not library.load()


def test_missing_headers_are_told(cache: Path, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "torch_folder", lambda: tmp_path)
    assert "header files are missing" in str(Library(sources).obstacle())


def test_a_library_that_cannot_be_loaded_is_a_line(cache: Path, sources: Path) -> None:
    (sources / "half.cpp").write_text('extern "C" int nowhere();\nint half() { return nowhere(); }\n')
    library = Library(sources)
    assert not library.load()
    line = str(library.obstacle())
    assert "nowhere" in line and "remove it" in line and "\n" not in line
