"""Where data sets lie, and how they get there. Instant: neither torch nor the network is touched by a look-up."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from convscope.catalog import DataEntry, DataFile
from convscope.data.archives import DAMAGED, find_archive, open_archive
from convscope.downloads import Progress, Unavailable, data_directory, download
from convscope.errors import ConvscopeError, UserError
from convscope.files import atomic_path

_MINI = Path(__file__).parent / "mini"
_CHUNK = 1 << 16


def locate(entry: DataEntry, data_dir: Path | None = None) -> Path | None:
    """The folder on this machine that has all files of a data set, raw or compressed; None when there is none.

    The data directory comes first, then the directory of Debian's package. Nothing is read or fetched.
    """
    if not entry.files:
        return _MINI
    folders = [data_directory(data_dir) / entry.name]
    if entry.debian_directory:
        folders.append(Path(entry.debian_directory))
    return next((folder for folder in folders if _is_complete(folder, entry)), None)


def fetch(entry: DataEntry, data_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """The folder with a data set's files, which are downloaded if they are not on this machine.

    Looks where `locate` does, then asks the published addresses one after the other, then Debian's archive. What
    is found is left in the data directory decompressed, so that it loads quickly ever after. Files appear there
    whole and checked or not at all, and two processes may fetch at once.

    Raises:
        UserError: a compressed file in the data directory is damaged or not the published one; it stays as it is.
        ConvscopeError: no source has the files, or the data directory cannot be written.
    """
    folder = data_directory(data_dir) / entry.name
    found = locate(entry, data_dir)
    if found is None:
        _obtain(entry, folder, progress)
        found = folder
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


def _is_complete(folder: Path, entry: DataEntry) -> bool:
    return all(find_archive(folder, file.name) for file in entry.files)


def _obtain(entry: DataEntry, folder: Path, progress: Progress | None) -> None:
    """Bring the missing files of a data set into `folder`, decompressed, from whichever source gives them."""
    reasons = []
    for source in (_from_addresses, _from_debian):
        with tempfile.TemporaryDirectory(prefix="convscope-") as scratch:
            reasons += source(entry, folder, Path(scratch), progress)
        if _is_complete(folder, entry):
            return
    names = ", ".join(f"{file.name}.gz" for file in entry.files)
    raise ConvscopeError(
        f"cannot fetch {entry.name}: {'; '.join(reasons) or 'no address is known'}. "
        f"Put {names} into {folder}, or use fashion-mnist-mini, which needs no download."
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
    if package is None or directory is None or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return []
    if progress:
        progress(f"Debian's package {package}", 0, 0)
    (scratch / "lists" / "partial").mkdir(parents=True)
    # Lists of packages of our own, because the machine's may be empty and only root may fill them.
    apt = ["apt-get", "-o", f"Dir::State={scratch}", "-o", f"Dir::State::lists={scratch}/lists"]
    apt += ["-o", f"Dir::Cache={scratch}/cache", "-o", "Dir::State::status=/dev/null"]
    try:
        if not _runs(["apt-get", "download", package], scratch):
            _runs([*apt, "update"], scratch)
            _runs([*apt, "download", package], scratch)
        for archive in scratch.glob("*.deb"):
            _runs(["dpkg-deb", "-x", str(archive), "unpacked"], scratch)
        for file in entry.files:
            found = find_archive(scratch / "unpacked" / directory.lstrip("/"), file.name)
            if found is None:
                return [f"Debian's archive could not be reached or has no {package}"]
            if find_archive(folder, file.name) is None:
                _unpack(found, file, folder)
    except (OSError, subprocess.TimeoutExpired, UserError) as error:
        return [f"Debian's package {package} could not be used ({error})"]
    return []


def _runs(command: list[str], directory: Path) -> bool:
    """Whether a command ends well, its output kept from the terminal."""
    return subprocess.run(command, cwd=directory, capture_output=True, timeout=600).returncode == 0


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
            while piece := stream.read(_CHUNK):
                yield piece
    except DAMAGED as error:
        raise UserError(f"cannot read {archive}: {error}; replace it by an intact copy.") from error
