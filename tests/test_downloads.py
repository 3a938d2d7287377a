"""Fetching one file. What data sets and weights make of it is tested with them."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from convscope.downloads import Unavailable, data_directory, download, file_digest
from convscope.errors import ConvscopeError

Serve = Callable[[dict[str, bytes]], Any]
CONTENTS = bytes(range(256)) * 1000  # comes in several pieces
DIGEST = sha256(CONTENTS).hexdigest()


def get(address: str, path: Path, *, digest: str = DIGEST, progress: Any = None) -> None:
    download(address, path, name="file", algorithm="sha256", digest=digest, progress=progress)


def test_a_file_arrives_whole_and_its_progress_is_told(serve: Serve, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    get(serve({"file": CONTENTS}).address + "file", tmp_path / "here", progress=lambda *report: heard.append(report))
    assert (tmp_path / "here").read_bytes() == CONTENTS
    assert file_digest(tmp_path / "here", "sha256") == DIGEST
    assert {(name, total) for name, _, total in heard} == {("fetching file", len(CONTENTS))}
    done = [done for _, done, _ in heard]
    assert done == sorted(done) and done[0] < done[-1] == len(CONTENTS)


def test_the_first_digits_of_a_checksum_are_enough_and_are_compared(serve: Serve, tmp_path: Path) -> None:
    address = serve({"file": CONTENTS}).address + "file"
    get(address, tmp_path / "here", digest=DIGEST[:8])
    with pytest.raises(Unavailable, match="wrong checksum"):
        get(address, tmp_path / "here", digest=DIGEST[1:9])


@pytest.mark.parametrize("prepare", [lambda mirror: mirror.cut.add("file"), lambda mirror: mirror.files.clear()])
def test_a_broken_answer_is_told_from_a_refusal(serve: Serve, tmp_path: Path, prepare: Callable[[Any], None]) -> None:
    mirror = serve({"file": CONTENTS})
    prepare(mirror)
    with pytest.raises(Unavailable, match=r"broke off$" if mirror.cut else r"^answered 404$"):
        get(mirror.address + "file", tmp_path / "here")


@pytest.mark.parametrize("address", ["nowhere", "file:///etc/passwd", "http://", "http://127.0.0.1:0x1/"])
def test_what_is_no_address_cannot_be_reached(tmp_path: Path, address: str) -> None:
    with pytest.raises(Unavailable, match="could not be reached"):
        get(address, tmp_path / "here")


def test_a_place_that_cannot_be_written_is_no_fault_of_the_server(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(ConvscopeError, match=r"cannot store .*/missing \(No such file or directory\)") as caught:
        get(serve({"file": CONTENTS}).address + "file", tmp_path / "missing" / "here")
    assert not isinstance(caught.value, Unavailable)


def test_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVSCOPE_DATA", raising=False)
    assert data_directory() == Path(platformdirs.user_cache_dir("convscope"))
    monkeypatch.setenv("CONVSCOPE_DATA", "~/pictures")
    assert data_directory() == Path.home() / "pictures"
    assert data_directory(tmp_path) == tmp_path
