"""The page of `convscope look`: pictures of the inside of a network, each with what it shows in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from convscope.errors import UserError
from convscope.report.page import write_page
from convscope.report.pictures import address

_LOSSLESS = 300_000
"""Bytes of a PNG file up to which it is embedded as it is; sheets of photos would make pages of 10 MB."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A PNG file, and what it shows for those who do not see it."""

    path: Path
    description: str

    @property
    def address(self) -> str:
        """The address that carries the picture in itself; a large one, of photos, not to the last bit."""
        with Image.open(self.path) as image:
            lossless = self.path.stat().st_size <= _LOSSLESS
            return address(image, "PNG") if lossless else address(image, "WEBP", quality=85)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Words and numbers in rows; the first column names the row, and all others are numbers, set at the right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One thing to look at."""

    title: str
    text: tuple[str, ...] = ()
    """Paragraphs."""
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()


def section_or_reason(title: str, draw: Callable[[str], Section]) -> Section:
    """What `draw` makes under a title, or in a sentence why there is nothing: a network may have no maps to show."""
    try:
        return draw(title)
    except UserError as error:
        return Section(title=title, text=(f"Nothing to show: {error}",))


def write_look_page(path: Path, *, name: str, about: str, sections: Sequence[Section]) -> Path:
    """Write the page on a run called `name` to `path` and return that; `about` stands below the name.

    Raises:
        ConvscopeError: the page cannot be written.
    """
    return write_page(path, template="look.html", name=name, about=about, sections=sections)
