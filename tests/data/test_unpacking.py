import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convscope.data.unpacking import unpack
from convscope.errors import ConvscopeError, UserError

Files = dict[str, bytes]

CONTENTS: Files = {"one": b"1" * 100_000, "deep/two": b"2", "deep/er/empty": b""}
PACKED: Files = {f"wanted/{name}": contents for name, contents in CONTENTS.items()} | {
    "readme.txt": b"r",
    "wanted too/three": b"3",
}


def make_tar(path: Path, files: Files, *others: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
        for member in others:
            archive.addfile(member)
    return path


def make_zip(path: Path, files: Files, *others: tuple[zipfile.ZipInfo, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in files.items():
            entry = zipfile.ZipInfo("x")
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.filename = name  # as it is, for the constructor corrects some names
            archive.writestr(entry, contents)
        for entry, contents_of_link in others:
            archive.writestr(entry, contents_of_link)
    return path


MAKERS = {"data.tar.gz": make_tar, "data.zip": make_zip}
both = pytest.mark.parametrize("name", MAKERS)


def found(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(archive: Path, match: str, error: type[ConvscopeError] = UserError, most_bytes: int = 10**6) -> None:
    """Unpacking is refused with a sentence, and nothing is written outside of the target."""
    target = archive.parent / "inner" / "target"
    with pytest.raises(error, match=match) as caught:
        unpack(archive, "wanted", target, most_bytes=most_bytes)
    assert str(archive) in str(caught.value)
    assert {path.name for path in archive.parent.iterdir()} <= {archive.name, "inner"}
    assert not (archive.parent / "inner").exists() or list((archive.parent / "inner").iterdir()) == [target]


@both
def test_unpacks_the_folder_and_nothing_else(tmp_path: Path, name: str) -> None:
    archive = MAKERS[name](tmp_path / name, PACKED | {"./wanted/four": b"4"})
    heard: list[tuple[str, int, int]] = []
    unpack(archive, "wanted", tmp_path / "target", most_bytes=10**6, progress=lambda *report: heard.append(report))
    assert found(tmp_path / "target") == CONTENTS | {"four": b"4"}
    assert found(tmp_path).keys() == {name, *(f"target/{file}" for file in (*CONTENTS, "four"))}
    size = archive.stat().st_size
    assert {(said, total) for said, _, total in heard} == {(f"unpacking {name}", size)}
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)
    assert heard[-1][1] == size


def test_folders_in_an_archive_are_no_files(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("wanted/folder")
    folder.type = tarfile.DIRTYPE
    unpack(make_tar(tmp_path / "a.tar.gz", PACKED, folder), "wanted", tmp_path / "from tar", most_bytes=10**6)
    unpack(make_zip(tmp_path / "a.zip", PACKED | {"wanted/folder/": b""}), "wanted", tmp_path / "zip", most_bytes=10**6)
    assert found(tmp_path / "from tar") == found(tmp_path / "zip") == CONTENTS


@both
@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "wanted/../../../outside",
        "wanted/..",
        "/outside",
        "//outside",
        "wanted/\\outside",
        "..\\outside",
        "C:outside",
        "wanted/file:stream",
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, path: str) -> None:
    assert_refused(MAKERS[name](tmp_path / name, {"wanted/first": b"1", path: b"bad"}), "a name that leads elsewhere")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
@pytest.mark.parametrize("path", ["wanted/link", "link"])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, path: str) -> None:
    member = tarfile.TarInfo(path)
    member.type, member.linkname = kind, "../.."
    assert_refused(make_tar(tmp_path / "data.tar.gz", PACKED, member), "'(wanted/)?link', a link or a device")


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("wanted/link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert_refused(make_zip(tmp_path / "data.zip", PACKED, (entry, "/etc")), "'wanted/link', a link or a device")


@both
@pytest.mark.parametrize(
    "files", [{"wanted/zeros": bytes(5_000_000)}, {f"wanted/{k}": b"" for k in range(300)}], ids=["large", "many"]
)
def test_what_unpacks_to_too_much_is_stopped(tmp_path: Path, name: str, files: Files) -> None:
    archive = MAKERS[name](tmp_path / name, files)
    assert archive.stat().st_size < 50_000
    assert_refused(archive, "unpacks to more than 1,000,000 bytes")
    assert sum(path.stat().st_size for path in (tmp_path / "inner").rglob("*") if path.is_file()) < 1_100_000


@both
def test_a_file_is_not_written_twice(tmp_path: Path, name: str) -> None:
    archive = MAKERS[name](tmp_path / name, {"wanted/one": b"1", "wanted/./one": b"2"})
    assert_refused(archive, "cannot unpack .*File exists", ConvscopeError)


@both
def test_an_archive_without_the_folder(tmp_path: Path, name: str) -> None:
    assert_refused(MAKERS[name](tmp_path / name, {"readme.txt": b"r"}), "has no folder wanted")
    assert_refused(MAKERS[name](tmp_path / name, {"wanted": b"a file"}), "has no folder wanted")


def test_what_is_no_archive(tmp_path: Path) -> None:
    archive = tmp_path / "data.zip"
    for contents in (b"", b"<html>log in</html>", b"\x1f\x8b" + bytes(100)):
        archive.write_bytes(contents)
        assert_refused(archive, "is damaged")


def test_an_encrypted_file_is_damage(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "data.zip", {"wanted/one": b"1"})
    contents = bytearray(archive.read_bytes())
    contents[contents.index(b"PK\x03\x04") + 6] |= 1
    contents[contents.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(contents)
    assert_refused(archive, "is damaged.*encrypted")


@both
def test_where_nothing_can_be_written(tmp_path: Path, name: str) -> None:
    archive = MAKERS[name](tmp_path / name, PACKED)
    (tmp_path / "file").touch()
    with pytest.raises(ConvscopeError, match=f"cannot unpack {archive} to {tmp_path / 'file'} .*free some space"):
        unpack(archive, "wanted", tmp_path / "file" / "target", most_bytes=10**6)


@both
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_damage_gives_a_sentence_or_files(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    archive = MAKERS[name](folder / name, {"wanted/one": b"1" * 300, "wanted/two": b"2"})
    contents = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    archive.write_bytes(contents[: data.draw(st.integers(0, len(contents)))])
    try:
        unpack(archive, "wanted", folder / "target", most_bytes=10**6)
    except ConvscopeError as error:
        assert str(archive) in str(error)
    assert {path.name for path in folder.iterdir()} <= {name, "target"}


def test_a_zip_file_with_a_nameless_member(tmp_path: Path) -> None:
    """Found by the fuzzer: Python 3.11 asks a name without letters for its last one."""
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(""), "text")
        archive.writestr("wanted/file", "text")
    unpack(tmp_path / "archive.zip", "wanted", tmp_path / "target", most_bytes=100_000)
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["file"]
