"""Files appear whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from convscope.errors import ConvscopeError
from convscope.files import atomic_path, write_text


def no_space(*arguments: object, **keywords: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_text("old", encoding="utf-8")
    return path


def test_new_contents_take_the_place_of_the_old(old: Path) -> None:
    with atomic_path(old) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert old.read_text(encoding="utf-8") == "old"
    assert old.read_text(encoding="utf-8") == "new"
    assert list(old.parent.iterdir()) == [old]


def test_missing_directories_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "file.txt", "grüße")
    assert (tmp_path / "a" / "b" / "file.txt").read_bytes() == "grüße".encode()


def test_the_temporary_file_lies_beside_the_file_hidden_and_with_its_suffix(old: Path) -> None:
    """Beside it, because a rename is atomic within a file system alone; the suffix tells savers the format."""
    with atomic_path(old) as temporary:
        assert temporary.parent == old.parent
        assert temporary.name.startswith(".")
        assert temporary.suffix == old.suffix


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_in_the_middle_leaves_the_old_file_and_nothing_else(error: type[BaseException], old: Path) -> None:
    with pytest.raises(error), atomic_path(old) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise error
    assert old.read_text(encoding="utf-8") == "old"
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("place", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.write_text", "tempfile.mkstemp"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    place: str, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(place, no_space)
        with pytest.raises(ConvscopeError, match="No space left on device") as info:
            write_text(old, "new")
    assert str(info.value).startswith(f"cannot write {old}: ")
    assert info.value.exit_status == 1
    assert old.read_text(encoding="utf-8") == "old"
    assert list(old.parent.iterdir()) == [old]


def test_contents_reach_the_disk_before_the_name(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut could leave the new name with nothing in it; and the name before that of the next file."""
    events: list[object] = []
    fsync, replace = os.fsync, Path.replace

    def record_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        events.append("folder" if stat.S_ISDIR(status.st_mode) else status.st_size)
        fsync(descriptor)

    def record_replace(self: Path, target: Path) -> Path:
        events.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "replace", record_replace)
    write_text(old, "12345")
    assert events == [5, "replace", "folder"]


def test_a_directory_that_is_a_file(old: Path) -> None:
    with pytest.raises(ConvscopeError, match="cannot write"):
        write_text(old / "file.txt", "new")
    assert old.read_text(encoding="utf-8") == "old"


def test_a_path_that_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConvscopeError, match="cannot write"):
        write_text(tmp_path / "folder", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_permissions_are_those_of_an_ordinary_new_file(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file.txt", "new")
        assert os.umask(mask) == mask  # asking for it has not changed it
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == mode
