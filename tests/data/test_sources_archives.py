"""Data sets that are published as one archive, fetched from a server on this machine."""

import io
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest

from convscope.catalog import DATA, DataArchive, DataEntry, data_entry
from convscope.data.sources import fetch, locate
from convscope.errors import ConvscopeError, UserError

Mirror = Any  # of the shared conftest.py
Serve = Callable[[dict[str, bytes]], Mirror]

_NOISE = random.Random(0)
# Long enough that a download comes in several pieces.
BATCHES = {"one": _NOISE.randbytes(150_000), "two": _NOISE.randbytes(150_000), "names": b"cat dog"}
PHOTOS = {"Cat/1.jpg": _NOISE.randbytes(150_000), "Cat/666.jpg": b"", "Dog/1.jpg": b"dog", "Dog/Thumbs.db": b"?"}


def tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return packed.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return packed.getvalue()


def below(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": contents for name, contents in files.items()}


TAR = tar(below("batches", BATCHES) | {"readme.html": b"about"})
ZIP = zipped(below("Photos", PHOTOS) | {"readme[1].txt": b"about"})
CIFAR = replace(
    data_entry("cifar10"),
    name="toy",
    addresses=(),
    archive=DataArchive(
        name="batches.tar.gz",
        algorithm="md5",
        digest=md5(TAR).hexdigest(),
        folder="batches",
        contents=tuple(BATCHES),
        most_bytes=400_000,
    ),
)
PETS = replace(
    data_entry("cats-vs-dogs"),
    name="pets",
    addresses=(),
    archive=DataArchive(
        name="photos.zip",
        algorithm="sha256",
        digest=sha256(ZIP).hexdigest(),
        folder="Photos",
        contents=("cat", "dog"),
        most_bytes=400_000,
    ),
)
both = pytest.mark.parametrize(
    ("entry", "packed", "files"), [(CIFAR, TAR, BATCHES), (PETS, ZIP, PHOTOS)], ids=["tar", "zip"]
)


def at(entry: DataEntry, *addresses: str, **archive: Any) -> DataEntry:
    assert entry.archive is not None
    return replace(entry, addresses=addresses, archive=replace(entry.archive, **archive))


def place(entry: DataEntry, *parts: Path | str) -> Path:
    """The archive's name below a folder that is made."""
    assert entry.archive is not None
    path = Path(*parts) / entry.archive.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, contents in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents)
    return folder


def found(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@both
def test_downloads_and_unpacks_once(
    serve: Serve, tmp_path: Path, entry: DataEntry, packed: bytes, files: dict[str, bytes]
) -> None:  # R-D2
    assert entry.archive is not None
    mirror = serve({entry.archive.name: packed})
    entry = at(entry, mirror.address)
    heard: list[tuple[str, int, int]] = []
    folder = fetch(entry, tmp_path, progress=lambda *report: heard.append(report))
    assert folder == locate(entry, tmp_path)
    assert found(tmp_path) == below(folder.name, files)  # neither the archive nor anything temporary is left
    for doing in ("fetching", "unpacking"):
        of_archive = [report[1:] for report in heard if report[0] == f"{doing} {place(entry).name}"]
        assert of_archive == sorted(of_archive)
        assert len(of_archive) > 1
        assert of_archive[-1] == (len(packed), len(packed))
    assert fetch(entry, tmp_path) == folder
    assert len(mirror.asked) == 1


@both
def test_downloads_again_when_the_folder_was_deleted(
    serve: Serve, tmp_path: Path, entry: DataEntry, packed: bytes, files: dict[str, bytes]
) -> None:  # R-D2
    mirror = serve({place(entry).name: packed})
    entry = at(entry, mirror.address)
    folder = fetch(entry, tmp_path)
    folder.rename(tmp_path / "elsewhere")
    assert locate(entry, tmp_path) is None
    assert fetch(entry, tmp_path) == folder
    assert found(folder) == files
    assert len(mirror.asked) == 2


def test_gaps_are_filled_and_nothing_is_replaced(serve: Serve, tmp_path: Path) -> None:
    folder = write(tmp_path / "batches", {"one": b"the user's own", "notes": b"mine"})
    assert fetch(at(CIFAR, serve({"batches.tar.gz": TAR}).address), tmp_path) == folder
    assert found(tmp_path) == below("batches", BATCHES | {"one": b"the user's own", "notes": b"mine"})


@pytest.mark.parametrize("folder", ["pets", "pets/Photos", "Photos"])
@pytest.mark.parametrize("classes", [("Cat", "Dog"), ("cat", "dog")])
def test_a_folder_that_is_there_is_used(tmp_path: Path, folder: str, classes: tuple[str, str]) -> None:  # R-F8
    files = {f"{name}/1.jpg": b"a photo" for name in classes}
    write(tmp_path / folder, files)
    assert fetch(PETS, tmp_path) == locate(PETS, tmp_path) == tmp_path / folder
    assert found(tmp_path) == below(folder, files)


def test_a_folder_with_half_of_it_is_not_enough(tmp_path: Path) -> None:
    write(tmp_path / "pets", {"cat/1.jpg": b"a photo"})
    write(tmp_path / "batches", {"one": b"1", "two": b"2"})
    assert locate(PETS, tmp_path) is None
    assert locate(CIFAR, tmp_path) is None
    (tmp_path / "batches" / "names").touch()
    assert locate(CIFAR, tmp_path) == tmp_path / "batches"


@both
@pytest.mark.parametrize("inside", [False, True])
def test_an_archive_put_there_by_hand_is_used_and_stays(
    tmp_path: Path, entry: DataEntry, packed: bytes, files: dict[str, bytes], inside: bool
) -> None:  # R-F8
    path = place(entry, tmp_path, entry.name if inside else "")
    path.write_bytes(packed)
    folder = fetch(entry, tmp_path)
    assert found(tmp_path) == below(folder.name, files) | {path.relative_to(tmp_path).as_posix(): packed}


@both
def test_a_wrong_archive_put_there_by_hand_is_named_and_left(
    serve: Serve, tmp_path: Path, entry: DataEntry, packed: bytes, files: dict[str, bytes]
) -> None:
    mirror = serve({place(entry).name: packed})
    path = place(entry, tmp_path)
    path.write_bytes(packed[:-1])
    with pytest.raises(UserError, match=rf"{path} is not the published archive \(wrong checksum\): replace it"):
        fetch(at(entry, mirror.address), tmp_path)
    assert found(tmp_path) == {path.name: packed[:-1]}
    assert mirror.asked == []


@both
def test_a_wrong_checksum_is_never_unpacked(
    serve: Serve, tmp_path: Path, entry: DataEntry, packed: bytes, files: dict[str, bytes]
) -> None:
    wrong, right = serve({place(entry).name: packed + b"more"}), serve({place(entry).name: packed})
    with pytest.raises(ConvscopeError, match="wrong checksum"):
        fetch(at(entry, wrong.address), tmp_path)
    assert found(tmp_path) == {}
    assert found(fetch(at(entry, wrong.address, right.address), tmp_path)) == files


def test_an_interrupted_download_leaves_nothing(serve: Serve, tmp_path: Path) -> None:
    mirror = serve({"batches.tar.gz": TAR})
    mirror.cut = {"batches.tar.gz"}
    with pytest.raises(ConvscopeError, match="broke off"):
        fetch(at(CIFAR, mirror.address), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("entry", "packed", "reason"),
    [
        (CIFAR, tar(below("batches", BATCHES) | {"batches/../../outside": b"bad"}), "a name that leads elsewhere"),
        (PETS, zipped(below("Photos", PHOTOS) | {"/outside": b"bad"}), "a name that leads elsewhere"),
        (CIFAR, tar(below("batches", BATCHES) | {"batches/zeros": bytes(10**6)}), "unpacks to more than 400,000 bytes"),
        (PETS, zipped(PHOTOS), "has no folder Photos"),
        (CIFAR, TAR[:100_000], "is damaged"),
        (CIFAR, tar(below("batches", {"one": b"1"})), "still lacks some of one, two, names"),
    ],
    ids=["tar", "zip", "bomb", "folder", "damaged", "half"],
)
def test_a_hostile_archive_leaves_nothing(
    serve: Serve, tmp_path: Path, entry: DataEntry, packed: bytes, reason: str
) -> None:
    assert entry.archive is not None
    digest = (md5 if entry.archive.algorithm == "md5" else sha256)(packed).hexdigest()
    entry = at(entry, serve({entry.archive.name: packed}).address, digest=digest)
    with pytest.raises(ConvscopeError, match=reason):
        fetch(entry, tmp_path / "data")
    assert locate(entry, tmp_path / "data") is None
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert found(tmp_path / "data").keys() <= {"batches/one"}


@both
def test_two_at_once_do_not_disturb_each_other(
    serve: Serve, tmp_path: Path, entry: DataEntry, packed: bytes, files: dict[str, bytes]
) -> None:
    entry = at(entry, serve({place(entry).name: packed}).address)
    with ThreadPoolExecutor() as pool:
        folders = {folder.result() for folder in [pool.submit(fetch, entry, tmp_path) for _ in range(4)]}
    assert len(folders) == 1
    assert found(tmp_path) == below(folders.pop().name, files)


@pytest.mark.skipif(sys.platform == "win32", reason="a process kills itself in Unix's way")
def test_a_killed_process_leaves_nothing_that_is_taken_for_the_data(tmp_path: Path) -> None:
    write(tmp_path, {"batches.tar.gz": TAR})
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from dataclasses import replace\n"
        "from convscope.catalog import DataArchive, data_entry\n"
        "from convscope.data.sources import fetch\n"
        f"entry = replace(data_entry('cifar10'), name='toy', addresses=(), archive={CIFAR.archive!r})\n"
        "fetch(entry, Path(sys.argv[1]), lambda *report: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=False)
    assert killed.returncode < 0, killed.stderr
    assert any("one" in name for name in found(tmp_path))  # it had begun to unpack
    assert locate(CIFAR, tmp_path) is None
    assert found(fetch(CIFAR, tmp_path)) == BATCHES


@both
def test_without_any_source_the_remedy_is_named(
    refusing_address: str, tmp_path: Path, entry: DataEntry, packed: bytes, files: dict[str, bytes]
) -> None:
    with pytest.raises(ConvscopeError) as caught:
        fetch(at(entry, refusing_address), tmp_path)
    assert entry.archive is not None
    assert not isinstance(caught.value, UserError)
    assert str(caught.value) == (
        f"cannot fetch {entry.name}: {refusing_address} could not be reached or broke off. "
        f"Put {entry.archive.name}, or its folder {entry.archive.folder}, into {tmp_path}, "
        "or use fashion-mnist-mini, which needs no download."
    )
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_data_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(ConvscopeError, match=rf"cannot write to {tmp_path / 'data'} \(File exists\)"):
        fetch(CIFAR, tmp_path / "data")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"batches.tar.gz": TAR})
    opened = Path.open

    def onto_a_full_disk(path: Path, mode: str = "r", *rest: Any) -> Any:
        return opened(Path("/dev/full"), "wb", *rest) if mode == "xb" else opened(path, mode, *rest)

    monkeypatch.setattr(Path, "open", onto_a_full_disk)
    with pytest.raises(ConvscopeError, match=r"No space left on device.*free some space"):
        fetch(CIFAR, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["batches.tar.gz"]


@pytest.mark.parametrize("entry", [entry for entry in DATA.values() if entry.archive], ids=lambda entry: entry.name)
def test_published_archives_are_what_can_be_unpacked(entry: DataEntry) -> None:
    archive = entry.archive
    assert archive is not None and entry.files == ()
    assert entry.addresses and all(address.endswith("/") for address in entry.addresses)
    assert archive.name.endswith((".tar.gz", ".zip"))
    assert len(bytes.fromhex(archive.digest)) == {"md5": 16, "sha256": 32}[archive.algorithm]
    assert all(name == name.lower() for name in archive.contents)
    assert entry.layout == "cifar" or archive.contents == entry.classes
