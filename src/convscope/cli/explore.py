"""`convscope explore RUN...`: a page in the browser on which one clicks through a run's own network."""

import os
import re
import signal
import sys
import time
import webbrowser
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from convscope.cli.flags import read_flags
from convscope.errors import ConvscopeError, UserError
from convscope.numbers import counted
from convscope.runs import Run

if TYPE_CHECKING:
    from convscope.explorer.explorer import Explorer

_FIRST = ("test/0", "test/1", "test/2")
_NAMED = 6
"""Of what was left out, how many are named."""


@dataclass(frozen=True)
class Explore:
    """Open a page on which one clicks through trained networks, down to the arithmetic of one value.

    The page is served on this machine alone, until Ctrl-C.

    $ convscope explore latest
    $ convscope explore first second --port 9000
    $ convscope explore latest --export lesson.html --images test/3 test/8 photo.jpg
    """

    runs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN...", help_behavior_hint="(at least one)"),
    ]
    """Names or paths of runs of the same classes, or `latest`; the images are those of the first one's data set."""
    port: int | None = None
    """Port to listen at, 0 for any that is free; the first free one from 8765 on by default."""
    no_browser: bool = False
    """Only print the address."""
    export: Path | None = None
    """Do not serve the page but write it to this file, for the images in --images: it works from disk."""
    images: tuple[str, ...] = ()
    """What the file shows: image files, or images of the data set such as test/3; its first three by default."""
    device: str = "cpu"
    """cpu, auto (cuda, else mps, else cpu), or a device such as cuda:1."""
    runs_dir: Path = Path("runs")
    """Directory of the run directories."""
    data_dir: Path | None = None
    """Directory of the data sets; CONVSCOPE_DATA or the user's cache directory by default."""


def main(argv: list[str]) -> int:
    """Serve the page until Ctrl-C; 0."""
    flags = read_flags(Explore, argv, verb="explore")
    if not flags.runs:
        raise UserError("there is nothing to explore: name at least one run; `convscope runs` lists them.")
    if flags.port is not None and not 0 <= flags.port <= 65535:
        raise UserError(f"port {flags.port} is impossible: choose one from 1024 to 65535.")
    if flags.images and flags.export is None:
        raise UserError("--images chooses what goes into a file: name the file with --export.")
    runs = [Run.open(name, flags.runs_dir) for name in flags.runs]
    return _serve(flags, runs) if flags.export is None else _export(flags, runs, flags.export)


def _serve(flags: Explore, runs: list[Run]) -> int:
    from convscope.explorer.server import serving

    explorer: Future[Explorer] = Future()
    with suppress(KeyboardInterrupt), serving(explorer, flags.port) as address:
        print(f"{address}\n\nexploring {', '.join(run.name for run in runs)}; Ctrl-C ends it", flush=True)
        if not flags.no_browser and _has_screen():
            webbrowser.open(address)
        # Only now: PyTorch, the networks and the images take longer than the page, which is there meanwhile.
        try:
            _import_whole()
            explorer.set_result(_open(flags, runs))
            while True:
                time.sleep(0.5)  # a Ctrl-C just before a longer wait would be noticed after it
        except BaseException as error:
            if explorer.done():
                explorer.result().background.close()
            else:  # there may be somebody who waits at the page
                known = isinstance(error, ConvscopeError)
                explorer.set_exception(error if known else ConvscopeError("the explorer was ended: start it again."))
            raise
    return 0


def _import_whole() -> None:
    """Import PyTorch, and hear a Ctrl-C only afterwards: Python cannot end well when that is done by half."""
    pressed: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        import_module("convscope.explorer.views")
    finally:
        signal.signal(signal.SIGINT, previous)
    if pressed:
        raise KeyboardInterrupt


def _export(flags: Explore, runs: list[Run], path: Path) -> int:
    from convscope.cli.progress import Examination
    from convscope.explorer.export import LIMIT, export_page

    explorer = _open(flags, runs)
    try:
        images = list(dict.fromkeys(_image(explorer, word) for word in flags.images or _FIRST))
        with Examination() as progress:
            left_out = export_page(explorer, path, images, progress=progress)
    finally:
        explorer.background.close()
    print(f"{path}, {path.stat().st_size / 1e6:.1f} MB, with {counted(len(images), 'image')}")
    if left_out:
        what = ", ".join(left_out[:_NAMED]) + (f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else "")
        print(f"left out, to stay under {LIMIT / 1e6:g} MB: {what}")
    return 0


def _image(explorer: "Explorer", word: str) -> str:
    """The name by which the explorer knows an image of the data set, or a file that it is given."""
    if re.fullmatch("(test|train)/(0|[1-9][0-9]{0,8})", word):
        return word
    try:
        content = Path(word).read_bytes()
    except OSError as error:
        raise UserError(
            f"there is no image {word} ({error.strerror}): name a file, or an image of the data set such as test/3."
        ) from error
    return explorer.images.add(content, word)


def _open(flags: Explore, runs: list[Run]) -> "Explorer":
    from convscope.cli.progress import Preparation
    from convscope.explorer.explorer import Explorer

    with Preparation() as preparation:
        explorer, trouble = Explorer.open(runs, device=flags.device, data_dir=flags.data_dir, progress=preparation)
    if trouble is not None:
        print(f"convscope: warning: only images of your own can be looked at, for {trouble}", file=sys.stderr)
    return explorer


def _has_screen() -> bool:
    """Whether a browser could show itself; without one, some systems would open a browser in the terminal."""
    return sys.platform in ("darwin", "win32") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
