import gzip
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest

from convscope.catalog import DATA, DataEntry, DataFile, data_entry
from convscope.data.sources import fetch, locate
from convscope.errors import ConvscopeError, UserError

Mirror = Any  # of the shared conftest.py

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# Long enough that a download comes in several pieces.
_NOISE = random.Random(0)
CONTENTS = {name: struct.pack(">HBBI", 0, 8, 1, 200_000) + _NOISE.randbytes(200_000) for name in NAMES}
PACKED = {f"{name}.gz": gzip.compress(contents, compresslevel=1) for name, contents in CONTENTS.items()}

TOY = replace(
    data_entry("fashion-mnist"),
    name="toy",
    addresses=(),
    files=tuple(
        DataFile(
            name=name,
            md5=md5(PACKED[f"{name}.gz"]).hexdigest(),
            sha256=sha256(CONTENTS[name]).hexdigest(),
        )
        for name in NAMES
    ),
    debian_package=None,
    debian_directory=None,
)


@pytest.fixture
def mirrors(serve: Callable[[dict[str, bytes]], Mirror]) -> tuple[Mirror, Mirror]:
    return serve(PACKED), serve(PACKED)


def at(*addresses: str) -> DataEntry:
    return replace(TOY, addresses=addresses)


def assert_complete(folder: Path) -> None:
    """All files are there, raw and right, and nothing else."""
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENTS


def test_downloads_once_and_keeps_the_files_decompressed(mirrors: tuple[Mirror, Mirror], tmp_path: Path) -> None:
    mirror, _ = mirrors
    heard: list[tuple[str, int, int]] = []
    entry = at(mirror.address)
    folder = fetch(entry, tmp_path, progress=lambda *report: heard.append(report))
    assert folder == tmp_path / "toy" == locate(entry, tmp_path)
    assert_complete(folder)
    for name, packed in PACKED.items():
        of_file = [(done, total) for reported, done, total in heard if reported == f"fetching {name}"]
        assert of_file == sorted(of_file)
        assert of_file[-1] == (len(packed), len(packed))
    before = {path: path.stat().st_ino for path in folder.iterdir()}
    fetch(entry, tmp_path)
    assert mirror.asked == list(PACKED)
    assert {path: path.stat().st_ino for path in folder.iterdir()} == before  # not even written again


def test_a_missing_file_is_taken_from_the_next_mirror(mirrors: tuple[Mirror, Mirror], tmp_path: Path) -> None:
    first, second = mirrors
    del first.files[f"{NAMES[1]}.gz"]
    assert_complete(fetch(at(first.address, second.address), tmp_path))
    assert second.asked == [f"{name}.gz" for name in NAMES[1:]]  # the first is not bothered again


def test_a_mirror_that_refuses_is_passed_over(
    mirrors: tuple[Mirror, Mirror], refusing_address: str, tmp_path: Path
) -> None:
    mirror, _ = mirrors
    assert_complete(fetch(at(refusing_address, mirror.address), tmp_path))


@pytest.mark.parametrize(
    "wrong", [b"a page that asks you to log in", gzip.compress(b"another file")], ids=["page", "archive"]
)
def test_a_wrong_checksum_is_never_kept(mirrors: tuple[Mirror, Mirror], tmp_path: Path, wrong: bytes) -> None:
    first, second = mirrors
    first.files = dict.fromkeys(PACKED, wrong)
    with pytest.raises(ConvscopeError, match="wrong checksum"):
        fetch(at(first.address), tmp_path)
    assert not list(tmp_path.rglob("*-ubyte*"))
    assert_complete(fetch(at(first.address, second.address), tmp_path))


def test_an_interrupted_download_leaves_nothing_half(mirrors: tuple[Mirror, Mirror], tmp_path: Path) -> None:
    mirror, _ = mirrors
    mirror.cut = {f"{NAMES[2]}.gz"}
    with pytest.raises(ConvscopeError, match="broke off"):
        fetch(at(mirror.address), tmp_path)
    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == sorted(NAMES[:2])
    assert locate(at(mirror.address), tmp_path) is None
    # The next attempt asks only for what is missing.
    mirror.cut.clear()
    mirror.asked.clear()
    assert_complete(fetch(at(mirror.address), tmp_path))
    assert mirror.asked == [f"{name}.gz" for name in NAMES[2:]]


def test_two_at_once_do_not_disturb_each_other(mirrors: tuple[Mirror, Mirror], tmp_path: Path) -> None:
    mirror, _ = mirrors
    with ThreadPoolExecutor() as pool:
        folders = [pool.submit(fetch, at(mirror.address), tmp_path) for _ in range(4)]
        assert {folder.result() for folder in folders} == {tmp_path / "toy"}
    assert_complete(tmp_path / "toy")


def test_without_any_source_the_remedy_is_named(refusing_address: str, tmp_path: Path) -> None:
    with pytest.raises(ConvscopeError) as caught:
        fetch(at(refusing_address), tmp_path)
    message = str(caught.value)
    assert not isinstance(caught.value, UserError)
    assert f"{refusing_address} could not be reached" in message
    assert all(f"{name}.gz" in message for name in NAMES)
    assert str(tmp_path / "toy") in message
    assert "fashion-mnist-mini" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_files_put_there_by_hand_are_used(tmp_path: Path, suffix: str) -> None:  # R-F8
    folder = tmp_path / "toy"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}{suffix}").write_bytes(PACKED[f"{name}.gz"] if suffix else CONTENTS[name])
    assert fetch(TOY, tmp_path) == folder
    assert all((folder / name).read_bytes() == CONTENTS[name] for name in NAMES)
    if suffix:  # the user's own files stay beside them
        assert all((folder / name).read_bytes() == packed for name, packed in PACKED.items())


@pytest.mark.parametrize(
    ("contents", "message"),
    [(gzip.compress(b"another file"), "is not the published file"), (b"no archive", "cannot read")],
    ids=["another", "damaged"],
)
def test_a_wrong_file_put_there_by_hand_is_named_and_left(tmp_path: Path, contents: bytes, message: str) -> None:
    folder = tmp_path / "toy"
    folder.mkdir()
    for name, packed in PACKED.items():
        (folder / name).write_bytes(packed)
    wrong = folder / f"{NAMES[2]}.gz"
    wrong.write_bytes(contents)
    with pytest.raises(UserError, match=message) as caught:
        fetch(TOY, tmp_path)
    assert str(wrong) in str(caught.value)
    assert wrong.read_bytes() == contents
    assert not (folder / NAMES[2]).exists()


def debian_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, packed in PACKED.items():
        (folder / name).write_bytes(packed)
    return folder


def test_an_installed_debian_package_is_used(tmp_path: Path) -> None:
    debian = debian_folder(tmp_path / "usr")
    entry = replace(TOY, debian_directory=str(debian))
    assert locate(entry, tmp_path / "data") == debian
    assert_complete(fetch(entry, tmp_path / "data"))
    assert locate(entry, tmp_path / "data") == tmp_path / "data" / "toy"


def test_where_nothing_can_be_written_the_compressed_files_serve(tmp_path: Path) -> None:
    debian = debian_folder(tmp_path / "usr")
    (tmp_path / "data").touch()  # a file, where the data directory should be
    assert fetch(replace(TOY, debian_directory=str(debian)), tmp_path / "data") == debian


def test_an_unwritable_data_directory_is_named(mirrors: tuple[Mirror, Mirror], tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(ConvscopeError, match=f"cannot write to {tmp_path / 'data'}"):
        fetch(at(mirrors[0].address), tmp_path / "data")


@pytest.fixture
def debian_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scripts in the place of apt-get and dpkg-deb: the package is found only after an update of own lists."""
    debian_folder(tmp_path / "package" / "usr" / "share" / "toy")
    tools = tmp_path / "tools"
    tools.mkdir()
    scripts = {
        "apt-get": 'case "$*" in\n'
        "  *Dir::State=*update) touch lists/updated ;;\n"
        '  *Dir::State=*"download toy-package") [ -e lists/updated ] && touch toy-package_1_all.deb ;;\n'
        "  *) exit 100 ;;\n"
        "esac",
        "dpkg-deb": f'[ "$1" = -x ] && [ -e "$2" ] && cp -r {tmp_path}/package "$3"',
    }
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.defpath}")
    return tools


def packaged(*addresses: str) -> DataEntry:
    return replace(TOY, addresses=addresses, debian_package="toy-package", debian_directory="/usr/share/toy")


def test_debians_archive_helps_where_no_address_does(debian_tools: Path, refusing_address: str, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    folder = fetch(packaged(refusing_address), tmp_path / "data", lambda *report: heard.append(report))
    assert_complete(folder)
    assert heard == [("fetching Debian's package toy-package", 0, 0)]


def test_debians_archive_completes_what_a_mirror_began(
    debian_tools: Path, mirrors: tuple[Mirror, Mirror], tmp_path: Path
) -> None:
    mirror, _ = mirrors
    del mirror.files[f"{NAMES[3]}.gz"]
    assert_complete(fetch(packaged(mirror.address), tmp_path / "data"))


@pytest.mark.parametrize("tool", ["apt-get", "dpkg-deb"])
def test_a_failing_debian_tool_is_one_more_reason(
    debian_tools: Path, refusing_address: str, tmp_path: Path, tool: str
) -> None:
    (debian_tools / tool).write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    with pytest.raises(ConvscopeError, match=r"Debian's archive .*toy-package.*fashion-mnist-mini"):
        fetch(packaged(refusing_address), tmp_path / "data")


def test_a_wrong_file_in_the_package_is_not_kept(debian_tools: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "package" / "usr" / "share" / "toy" / f"{NAMES[0]}.gz"
    wrong.write_bytes(gzip.compress(b"another file"))
    with pytest.raises(ConvscopeError, match=r"could not be used.*not the published file"):
        fetch(packaged(), tmp_path / "data")
    assert not list(tmp_path.rglob("data/toy/*"))


def test_machines_without_debians_tools_skip_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConvscopeError, match="cannot fetch toy: no address is known"):
        fetch(packaged(), tmp_path / "data")


def test_the_shipped_subset_is_always_there(tmp_path: Path) -> None:  # R-F8
    mini = data_entry("fashion-mnist-mini")
    assert locate(mini, tmp_path) == fetch(mini, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_look_up_imports_neither_torch_nor_the_network() -> None:
    code = (
        "import sys; from convscope.catalog import DATA; from convscope.data import locate\n"
        "for entry in DATA.values(): locate(entry)\n"
        "print(sorted({'torch', 'numpy', 'pooch', 'requests'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("entry", [entry for entry in DATA.values() if entry.files], ids=lambda entry: entry.name)
def test_published_sets_have_the_layout_that_is_read(entry: DataEntry) -> None:
    assert entry.addresses
    assert all(address.endswith("/") for address in entry.addresses)
    assert [file.name for file in entry.files] == list(NAMES)
