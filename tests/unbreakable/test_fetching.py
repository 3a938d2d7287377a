"""A download or unpacking that is killed, or has no room, or goes on in two processes at once."""

import gzip
import io
import random
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import md5
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from convscope.catalog import DataArchive, DataEntry, DataFile, data_entry
from convscope.data.sources import fetch, locate
from convscope.errors import ConvscopeError

Serve = Callable[[dict[str, bytes]], Any]

NOISE = random.Random(0).randbytes(300_000)  # long enough to come in several pieces


def tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return packed.getvalue()


TAR, GZIP = tar({"batches/one": NOISE, "batches/two": b"2"}), gzip.compress(NOISE, mtime=0)
FOLDER = replace(
    data_entry("cifar10"),
    name="toy",
    archive=DataArchive(
        name="batches.tar.gz",
        algorithm="md5",
        digest=md5(TAR).hexdigest(),
        folder="batches",
        contents=("one", "two"),
        most_bytes=400_000,
    ),
)
FILES = replace(
    data_entry("fashion-mnist"),
    name="toy",
    files=(DataFile(name="train-images-idx3-ubyte", md5=md5(GZIP).hexdigest(), sha256=None),),
    debian_package=None,
    debian_directory=None,
)
KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from convscope.catalog import DataArchive, DataEntry, DataFile
from convscope.data.sources import fetch

def die(doing, done, total):
    if doing.startswith(sys.argv[2]) and done > 0:
        os.kill(os.getpid(), signal.SIGKILL)

entry = replace({entry!r}, archive={entry.archive!r}, files={entry.files!r})
fetch(entry, Path(sys.argv[1]), die)
"""


@pytest.fixture
def published(serve: Serve) -> Callable[[DataEntry], tuple[DataEntry, Any]]:
    """Puts a data set on a server."""

    def publish(entry: DataEntry) -> tuple[DataEntry, Any]:
        mirror = serve({"batches.tar.gz": TAR, "train-images-idx3-ubyte.gz": GZIP})
        return replace(entry, addresses=(mirror.address,)), mirror

    return publish


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


COMPLETE = {"cifar": ["batches/one", "batches/two"], "idx": ["toy/train-images-idx3-ubyte"]}


@pytest.mark.parametrize(
    ("entry", "moment"), [(FOLDER, "fetching"), (FOLDER, "unpacking"), (FILES, "fetching")], ids=["1", "2", "3"]
)
def test_a_killed_process_leaves_nothing_that_stays(
    entry: DataEntry, moment: str, published: Callable[..., Any], tmp_path: Path
) -> None:
    entry, _ = published(entry)
    code = KILLED.format(entry=entry)
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path), moment], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert any(name.startswith(".fetching-toy.") for name in names(tmp_path))  # in the middle of it
    assert locate(entry, tmp_path) is None
    fetch(entry, tmp_path)
    assert names(tmp_path) == COMPLETE[entry.layout]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("entry", [FOLDER, FILES], ids=["folder", "files"])
def test_a_second_process_waits_and_touches_nothing_of_the_first(
    entry: DataEntry, published: Callable[..., Any], tmp_path: Path
) -> None:
    # Threads, to which the lock is the same as to processes.
    entry, mirror = published(entry)
    begun, waiting = Event(), Event()

    def first(doing: str, done: int, total: int) -> None:
        begun.set()
        assert waiting.wait(30)

    def second(doing: str, done: int, total: int) -> None:
        assert doing == "waiting for another process to fetch toy"
        waiting.set()

    with ThreadPoolExecutor() as pool:
        one = pool.submit(fetch, entry, tmp_path, first)
        assert begun.wait(30)
        other = pool.submit(fetch, entry, tmp_path, second)
        assert one.result() == other.result()
    assert len(mirror.asked) == 1
    assert names(tmp_path) == COMPLETE[entry.layout]


@pytest.mark.parametrize("entry", [FOLDER, FILES], ids=["folder", "files"])
@pytest.mark.parametrize("room", [0, 100_000])
def test_no_room_is_told_as_such_and_not_as_a_fault_of_the_server(
    entry: DataEntry, room: int, published: Callable[..., Any], largest_file: Callable[..., Any], tmp_path: Path
) -> None:
    entry, mirror = published(entry)
    entry = replace(entry, addresses=(mirror.address, mirror.address))
    with (
        largest_file(room),
        pytest.raises(ConvscopeError, match=r"cannot store .* \(File too large\): free some space"),
    ):
        fetch(entry, tmp_path)
    assert len(mirror.asked) == 1  # another address would not help
    assert names(tmp_path) == []
    fetch(entry, tmp_path)
    assert names(tmp_path) == COMPLETE[entry.layout]


def test_no_room_to_unpack(largest_file: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "batches.tar.gz").write_bytes(TAR)
    with largest_file(100_000), pytest.raises(ConvscopeError, match=r"cannot unpack .* \(File too large\): free some"):
        fetch(FOLDER, tmp_path)
    assert names(tmp_path) == ["batches.tar.gz"]
    assert names(fetch(FOLDER, tmp_path)) == ["one", "two"]
