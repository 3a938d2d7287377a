"""The explorer's page and the files it is made of."""

from functools import cache
from pathlib import Path

PAGE = "index.html"
TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript"}

_FOLDER = Path(__file__).parent / "static"


@cache
def file_names() -> tuple[str, ...]:
    """The page and its parts, such as `network/layout.js`."""
    paths = (path for path in _FOLDER.rglob("*") if path.suffix[1:] in TYPES)
    return tuple(sorted(path.relative_to(_FOLDER).as_posix() for path in paths))


def read(name: str) -> bytes:
    """The contents of one of them."""
    return (_FOLDER / name).read_bytes()


def served() -> bytes:
    """The page as the server sends it: it names all modules, so that the browser asks for them at once.

    Else it would learn of each from the one that imports it, five steps deep.
    """
    links = "".join(
        f'<link rel="modulepreload" href="/static/{name}">\n' for name in file_names() if name.endswith(".js")
    )
    page = read(PAGE).decode()
    start = page.index('<script type="module"')
    return f"{page[:start]}{links}{page[start:]}".encode()
