"""Debian's packages, downloaded and unpacked without root and without installing them."""

import shutil
import subprocess
from pathlib import Path

_PATIENCE = 600  # seconds


def has_tools() -> bool:
    """Whether this machine has Debian's tools."""
    return all(shutil.which(tool) for tool in ("apt-get", "dpkg-deb"))


def unpack_package(package: str, scratch: Path) -> Path:
    """Download and unpack a package within an empty folder.

    Returns:
        where its files are, as they would lie below the root; no such folder if Debian's archive does not give them.

    Raises:
        OSError: a tool cannot be started.
        subprocess.TimeoutExpired: a tool takes longer than ten minutes.
    """
    (scratch / "lists" / "partial").mkdir(parents=True)
    # Lists of packages of our own, because the machine's may be empty and only root may fill them.
    apt = ["apt-get", "-o", f"Dir::State={scratch}", "-o", f"Dir::State::lists={scratch}/lists"]
    apt += ["-o", f"Dir::Cache={scratch}/cache", "-o", "Dir::State::status=/dev/null"]
    if not _runs(["apt-get", "download", package], scratch):
        _runs([*apt, "update"], scratch)
        _runs([*apt, "download", package], scratch)
    for archive in scratch.glob("*.deb"):
        _runs(["dpkg-deb", "-x", str(archive), "unpacked"], scratch)
    return scratch / "unpacked"


def _runs(command: list[str], directory: Path) -> bool:
    """Whether a command ends well, its output kept from the terminal."""
    return subprocess.run(command, cwd=directory, capture_output=True, timeout=_PATIENCE).returncode == 0
