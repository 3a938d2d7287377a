"""Where data sets lie, and how they get there. Instant: neither torch nor the network is touched by a look-up."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from convscope.catalog import DataArchive, DataEntry, DataFile
from convscope.data.archives import DAMAGED, check_unpacked, find_archive, open_archive
from convscope.data.debian import has_tools, unpack_package
from convscope.data.unpacking import unpack
from convscope.downloads import Progress, Unavailable, data_directory, download, file_digest
from convscope.errors import ConvscopeError, UserError
from convscope.files import atomic_path, locked

_MINI = Path(__file__).parent / "mini"
_CHUNK = 1 << 16


def locate(entry: DataEntry, data_dir: Path | None = None) -> Path | None:
    """The folder on this machine that has all files of a data set; None when there is none.

    The data directory comes first, then the directory of Debian's package. Nothing is read or fetched.
    """
    if not entry.files and entry.archive is None:
        return _MINI
    return next((folder for folder in _places(entry, data_directory(data_dir)) if _is_complete(folder, entry)), None)


def fetch(entry: DataEntry, data_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """The folder with a data set's files, which are downloaded if they are not on this machine.

    Looks where `locate` does, then for the published archive in the data directory, then asks the published addresses
    one after the other, then Debian's archive. What is found is left in the data directory decompressed, so that it
    loads quickly ever after. Files, and folders out of an archive, appear there whole and checked or not at all. A
    process that comes while another one fetches waits for it.

    Raises:
        UserError: a compressed file in the data directory is damaged or not the published one; it stays as it is.
        ConvscopeError: no source has the files, or the data directory cannot be written.
    """
    directory = data_directory(data_dir)
    found = locate(entry, data_dir)
    if found is None:
        with _scratch(entry, directory, progress) as scratch:
            # Another process may have fetched them while this one waited for it.
            found = locate(entry, data_dir) or _obtain(entry, directory, scratch, progress)
    folder = directory / entry.name
    try:
        for file in entry.files:
            archive = find_archive(found, file.name)
            if archive is not None and not (folder / file.name).is_file():
                _unpack(archive, file, folder)
    except UserError:
        raise
    except ConvscopeError:
        return found  # no room to unpack; the compressed files serve, only more slowly
    return folder if entry.files else found


def _places(entry: DataEntry, directory: Path) -> Iterator[Path]:
    """The folders that a data set may lie in, most particular first."""
    yield directory / entry.name
    if entry.archive is not None:
        yield directory / entry.name / entry.archive.folder
        yield directory / entry.archive.folder
    if entry.debian_directory is not None:
        yield Path(entry.debian_directory)


def _is_complete(folder: Path, entry: DataEntry) -> bool:
    if entry.archive is None:
        return all(find_archive(folder, file.name) for file in entry.files)
    # Without regard to capitals, because people rename the folders of classes.
    try:
        names = {path.name.lower() for path in folder.iterdir()}
    except OSError:
        return False  # there is no such folder, or it may not be looked into
    return names.issuperset(entry.archive.contents)


@contextmanager
def _scratch(entry: DataEntry, directory: Path, progress: Progress | None) -> Iterator[Path]:
    """A temporary folder in the data directory, where there is room, and from where moving is renaming.

    No two processes fetch one data set at once. So what another one has left of it was left by one that was killed.
    """

    def on_wait() -> None:
        if progress:
            progress(f"waiting for another process to fetch {entry.name}", 0, 0)

    prefix = f".fetching-{entry.name}."
    with ExitStack() as stack:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if stack.enter_context(locked(directory / f"{prefix}lock", on_wait=on_wait)):
                for folder in directory.glob(f"{prefix}*/"):
                    shutil.rmtree(folder, ignore_errors=True)
            made = tempfile.TemporaryDirectory(prefix=prefix, dir=directory, ignore_cleanup_errors=True)
            scratch = stack.enter_context(made)
        except OSError as error:
            raise ConvscopeError(
                f"cannot write to {directory} ({error.strerror}): choose another data directory."
            ) from error
        yield Path(scratch)


def _obtain(entry: DataEntry, directory: Path, scratch: Path, progress: Progress | None) -> Path:
    """Bring a data set into the data directory from whichever source gives it; the folder that it is in."""
    if entry.archive is not None:
        return _obtain_archive(entry, entry.archive, directory, scratch, progress)
    return _obtain_files(entry, directory / entry.name, scratch, progress)


def _obtain_archive(
    entry: DataEntry, archive: DataArchive, directory: Path, scratch: Path, progress: Progress | None
) -> Path:
    """Unpack the published archive, found in the data directory or else downloaded, into that directory."""
    folder = directory / archive.folder
    places = (directory / archive.name, directory / entry.name / archive.name)
    path = next((place for place in places if place.is_file()), None)
    if path is not None and file_digest(path, archive.algorithm) != archive.digest:
        raise UserError(
            f"{path} is not the published archive (wrong checksum): replace it, or move it away to have it fetched."
        )
    path = path or _download_archive(entry, archive, scratch, directory, progress)
    unpack(path, archive.folder, scratch / "unpacked", most_bytes=archive.most_bytes, progress=progress)
    _move(scratch / "unpacked", folder)
    if not _is_complete(folder, entry):
        raise ConvscopeError(f"{folder} still lacks some of {', '.join(archive.contents)}: move it away and try again.")
    return folder


def _download_archive(
    entry: DataEntry, archive: DataArchive, scratch: Path, directory: Path, progress: Progress | None
) -> Path:
    """The published archive in `scratch`, from the first address that gives it."""
    reasons = []
    for address in entry.addresses:
        try:
            download(
                address + archive.name,
                scratch / archive.name,
                name=archive.name,
                algorithm=archive.algorithm,
                digest=archive.digest,
                progress=progress,
            )
            return scratch / archive.name
        except Unavailable as error:
            reasons.append(f"{address} {error}")
    raise _unreachable(entry, reasons, f"{archive.name}, or its folder {archive.folder}, into {directory}")


def _move(unpacked: Path, folder: Path) -> None:
    """Give an unpacked folder its name, at once; where there is one already, fill the gaps in that."""
    if sys.platform != "win32":
        os.sync()  # the contents reach the disk before the name does, so that a power cut leaves no empty files
    with suppress(OSError):
        unpacked.rename(folder)
        return
    for path in unpacked.iterdir():
        if not (folder / path.name).exists():
            with suppress(OSError):  # another process was faster
                path.rename(folder / path.name)


def _obtain_files(entry: DataEntry, folder: Path, scratch: Path, progress: Progress | None) -> Path:
    """Bring the missing files of a data set into `folder`, decompressed, from whichever source gives them."""
    reasons = []
    for source in (_from_addresses, _from_debian):
        reasons += source(entry, folder, scratch, progress)
        if _is_complete(folder, entry):
            return folder
    raise _unreachable(entry, reasons, f"{', '.join(f'{file.name}.gz' for file in entry.files)} into {folder}")


def _unreachable(entry: DataEntry, reasons: list[str], remedy: str) -> ConvscopeError:
    return ConvscopeError(
        f"cannot fetch {entry.name}: {'; '.join(reasons) or 'no address is known'}. "
        f"Put {remedy}, or use fashion-mnist-mini, which needs no download."
    )


def _from_addresses(entry: DataEntry, folder: Path, scratch: Path, progress: Progress | None) -> list[str]:
    """Download the missing files from the published addresses; returns what went wrong."""
    reasons: dict[str, str] = {}
    addresses = list(entry.addresses)
    for file in entry.files:
        if find_archive(folder, file.name):
            continue
        for address in tuple(addresses):
            archive = scratch / f"{file.name}.gz"
            try:
                download(
                    address + archive.name,
                    archive,
                    name=archive.name,
                    algorithm="md5",
                    digest=file.md5,
                    progress=progress,
                )
                _unpack(archive, file, folder)
                break
            except Unavailable as error:
                reasons[address] = str(error)
                # Asked last from now on, so that the other files need not wait for it again.
                addresses.remove(address)
                addresses.append(address)
        else:
            break  # what no address has, the others are not worth waiting for
    return [f"{address} {reason}" for address, reason in reasons.items()]


def _from_debian(entry: DataEntry, folder: Path, scratch: Path, progress: Progress | None) -> list[str]:
    """Take the files out of Debian's package, without root and without installing it; returns what went wrong."""
    package, directory = entry.debian_package, entry.debian_directory
    if package is None or directory is None or not has_tools():
        return []
    if progress:
        progress(f"fetching Debian's package {package}", 0, 0)
    try:
        unpacked = unpack_package(package, scratch)
        for file in entry.files:
            found = find_archive(unpacked / directory.lstrip("/"), file.name)
            if found is None:
                return [f"Debian's archive could not be reached or has no {package}"]
            if find_archive(folder, file.name) is None:
                _unpack(found, file, folder)
    except (OSError, subprocess.TimeoutExpired, UserError) as error:
        return [f"Debian's package {package} could not be used ({error})"]
    return []


def _unpack(archive: Path, file: DataFile, folder: Path) -> None:
    """Put the decompressed contents of `archive` into `folder`, if they are what was published."""
    digest = hashlib.sha256()
    with atomic_path(folder / file.name) as temporary, temporary.open("wb") as raw:
        for piece in _pieces(archive):
            digest.update(piece)
            raw.write(piece)
        if file.sha256 not in (None, digest.hexdigest()):
            raise UserError(
                f"{archive} is not the published file: decompressed, its SHA-256 is {digest.hexdigest()}, not "
                f"{file.sha256}; replace it, or move it away to have it fetched."
            )


def _pieces(archive: Path) -> Iterator[bytes]:
    try:
        with open_archive(archive) as stream:
            count = 0
            while piece := stream.read(_CHUNK):
                count += len(piece)
                check_unpacked(archive, count)
                yield piece
    except DAMAGED as error:
        raise UserError(f"cannot read {archive}: {error}; replace it by an intact copy.") from error
