"""The explorer's page and the files it is made of."""

from importlib import resources

PAGE = "index.html"
TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript"}


def file_names() -> list[str]:
    """The page and its parts."""
    entries = resources.files("convscope.explorer").joinpath("static").iterdir()
    return sorted(entry.name for entry in entries if entry.name.rpartition(".")[2] in TYPES)


def read(name: str) -> bytes:
    """The contents of one of them."""
    return resources.files("convscope.explorer").joinpath("static", name).read_bytes()
