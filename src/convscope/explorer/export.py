"""The explorer's page for chosen images as one file that works from disk.

The file holds the page, its modules, and the answers that the page asks for, under the same addresses as the server's.
What would make it larger than `LIMIT` stays out, and the page says so where it is looked for: every layer is still seen
at a glance, but the arithmetic of the largest ones is not there.
"""

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from math import inf, prod
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from convscope.downloads import Progress
from convscope.errors import ConvscopeError, UserError
from convscope.explorer import pages
from convscope.explorer.explorer import Explorer
from convscope.explorer.subject import BEST, Subject
from convscope.explorer.views import answer
from convscope.files import write_text
from convscope.models.summary import IMAGE
from convscope.web.answers import JSON, Answer
from convscope.web.guard import hash_of

LIMIT = 25_000_000
"""Bytes of the file: what may be sent by mail, and opens on a telephone."""

METHOD = "grad-cam"
"""The attribution map that is in the file."""
_FIRST = {"split": "test", "order": "index", "offset": 0, "limit": 60}
"""How the page asks for the first images of a run, see `images/thumbnails.js`."""
_FLOAT_IN_BASE64 = 4 * 4 / 3
_WHOLE = 1 << 20
"""Weights of a layer that the page asks for at once, see `detail/tensors.js`; of a larger one, those of a channel."""
_START = 'import "convscope/main.js";'
_PAUSE = 0.05  # seconds between two questions about work in the background


@dataclass(frozen=True)
class Wish:
    """Answers that the file should hold, all of them or none."""

    name: str
    parameters: Sequence[Mapping[str, object]]
    """Of each answer."""
    size: float
    """About how many bytes they will take there."""
    what: str
    """What the user is told if there is no room for them."""


@dataclass
class Page:
    """The answers so far."""

    explorer: Explorer
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    size: int = 0

    def ask(self, name: str, **parameters: object) -> Answer:
        """What the server would answer; raises what it would refuse."""
        query = [(key, str(value)) for key, value in parameters.items()]
        said = answer(lambda: self.explorer, name, query)
        if said.status != 200:
            raise (UserError if said.status < 500 else ConvscopeError)(json.loads(said.body)["error"])
        return said

    def keep(self, name: str, **parameters: object) -> Any:
        """Put an answer into the file; gives it back if it is JSON."""
        said = self.ask(name, **parameters)
        self.put(said, name, **parameters)
        return json.loads(said.body) if said.type == JSON else None

    def put(self, said: Answer, name: str, **parameters: object) -> None:
        """Put this answer into the file."""
        entry: dict[str, Any] = {"type": said.type}
        if said.headers:
            entry["headers"] = dict(said.headers)
        if said.type == JSON:
            entry["body"] = said.body.decode()
        else:
            entry["base64"] = base64.b64encode(said.body).decode()
        place = address(name, parameters)
        self.answers[place] = entry
        self.size += len(place) + len(json.dumps(entry, ensure_ascii=False).encode())


def export_page(
    explorer: Explorer, path: Path, images: Sequence[str], *, limit: int = LIMIT, progress: Progress | None = None
) -> list[str]:
    """Write the page for images such as `test/3` to `path`.

    Returns:
        what there was no room for, as words such as `weights of classifier.fc1 (tinyvgg)`.

    Raises:
        UserError, ConvscopeError: there is no such image, or the file cannot be written.
    """
    page = Page(explorer, size=len(document({})))
    # The answers without which the page is none, and then as many others as there is room for, the small ones first:
    # so most layers are whole. Then the epochs.
    for run in explorer.subjects.values():
        _keep_run(page, run, images, progress)
    wishes = [wish for run in explorer.subjects.values() for wish in _wishes(run, images)]
    left_out = []
    for done, wish in enumerate(sorted(wishes, key=lambda wish: wish.size)):
        if page.size + wish.size <= limit:
            for parameters in wish.parameters:
                page.keep(wish.name, **parameters)
        else:
            left_out.append(wish.what)
        if progress is not None:
            progress("writing the page", done + 1, len(wishes))
    epochs = {name: _keep_epochs(page, run, images, limit) for name, run in explorer.subjects.items()}
    for name, run in explorer.subjects.items():
        left_out += [f"epoch {epoch} ({name})" for epoch in run.epochs if epoch not in epochs[name]]
    _keep_runs(page, images, epochs)
    write_text(path, document(page.answers))
    return left_out


def _keep_run(page: Page, run: Subject, images: Sequence[str], progress: Progress | None) -> None:
    """All that the page shows of a run but the numbers of its layers."""
    page.keep("network", run=run.name)
    listed = []
    for image in images:
        place = {"epoch": BEST, "image": image, "run": run.name}
        glance = page.keep("overview", **place)
        page.keep("picture", image=image, run=run.name)
        page.keep("thumbnail", image=image)
        with suppress(ConvscopeError):  # there are networks without maps
            page.keep("explain", method=METHOD, **place)
        best = max(range(len(glance["probabilities"])), key=lambda k: glance["probabilities"][k] or 0.0)
        confidence = glance["probabilities"][best]
        listed.append({"id": image, "label": glance["image"]["label"], "predicted": best, "confidence": confidence})
    found = json.dumps({"total": len(listed), "images": listed}).encode()
    page.put(Answer(found, JSON), "images", run=run.name, **_FIRST)
    with suppress(ConvscopeError):  # and runs that were never tested
        page.keep("confusion", run=run.name)
    if page.explorer.images.sizes["train"]:
        for image in images:
            for neighbour in _neighbours(page, run, image, progress):
                page.keep("thumbnail", image=neighbour["id"])


def _keep_epochs(page: Page, run: Subject, images: Sequence[str], limit: int) -> list[int]:
    """The first of the epochs that the run kept, as many as there is room for: at a glance, with the first filters."""
    filters = [name for name, layer in run.layers.items() if layer.parameters and layer.inputs == (IMAGE,)]
    kept = []
    for epoch in run.epochs:
        place = {"epoch": epoch, "run": run.name}
        # Each of them whole or not at all, so that the film has no gaps.
        one = Page(page.explorer)
        for image in images:
            one.keep("overview", image=image, **place)
            with suppress(ConvscopeError):
                one.keep("explain", image=image, method=METHOD, **place)
        for name in filters:
            one.keep("weights", layer=name, **place)
        if page.size + one.size > limit:
            break
        page.answers |= one.answers
        page.size += one.size
        kept.append(epoch)
    return kept


def _keep_runs(page: Page, images: Sequence[str], epochs: Mapping[str, list[int]]) -> None:
    """What there is in the file, to which nothing can be given."""
    said = json.loads(page.ask("runs").body)
    said |= {"can_upload": False, "image": images[0]}
    said["runs"] = [run | {"epochs": epochs[run["name"]]} for run in said["runs"]]
    page.put(Answer(json.dumps(said, ensure_ascii=False).encode(), JSON), "runs")


def _neighbours(page: Page, run: Subject, image: str, progress: Progress | None) -> list[dict[str, Any]]:
    """The nearest training images, once they are found."""
    while True:
        said = json.loads(page.ask("neighbours", epoch=BEST, image=image, run=run.name).body)
        if progress is not None:
            searched = said["searched"]
            progress("searching the training images", round(said["progress"] * searched), searched)
        if said["state"] == "ready":
            page.keep("neighbours", epoch=BEST, image=image, run=run.name)
            found: list[dict[str, Any]] = said["images"]
            return found
        time.sleep(_PAUSE)


def _wishes(run: Subject, images: Sequence[str]) -> Iterator[Wish]:
    """The numbers of every layer."""
    place = {"epoch": BEST, "run": run.name}
    shapes = {IMAGE: run.summary.input_shape} | {name: layer.output_shape for name, layer in run.layers.items()}
    for name, shape in shapes.items():
        asked = [place | {"image": image, "layer": name} for image in images]
        size = len(images) * prod(shape) * _FLOAT_IN_BASE64
        yield Wish("activation", asked, size, f"values of {name} ({run.name})")
    for name, layer in run.layers.items():
        if layer.parameters:
            size = layer.parameters * _FLOAT_IN_BASE64 if layer.parameters <= _WHOLE else inf
            yield Wish("weights", [place | {"layer": name}], size, f"weights of {name} ({run.name})")


def address(name: str, parameters: Mapping[str, object]) -> str:
    """The address under which the page looks for an answer, see `api.js`: as JavaScript's URLSearchParams writes it."""
    query = urlencode(sorted(parameters.items()), safe="*").replace("~", "%7E")
    return f"api/{name}{'?' if query else ''}{query}"


def document(answers: dict[str, dict[str, Any]]) -> str:
    """The page with everything in it."""
    page = pages.read(pages.PAGE).decode()
    styles = "\n".join(pages.read(name).decode() for name in re.findall(r'href="/static/([\w./-]+\.css)"', page))
    modules = {
        f"convscope/{name}": f"data:text/javascript;base64,{base64.b64encode(pages.read(name)).decode()}"
        for name in pages.file_names()
        if name.endswith(".js")
    }
    imports = json.dumps({"imports": modules})
    # Nothing in the answers can end the element that holds them.
    held = json.dumps(answers, ensure_ascii=False).replace("<", "\\u003c")
    head = (
        f'<style>{styles}</style>\n<script type="application/json" id="answers">{held}</script>\n'
        f'<script type="importmap">{imports}</script>\n<script type="module">{_START}</script>\n'
    )
    policy = (
        f"default-src 'none'; script-src data: {hash_of(imports)} {hash_of(_START)}; style-src {hash_of(styles)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
    charset = '<meta charset="utf-8">\n'
    page = re.sub(r"<link rel=\"stylesheet\".*?>\n|<script.*?</script>\n", "", page)
    # Not by re.sub: to that, a backslash in the answers would mean something.
    return page.replace(charset, charset + meta, 1).replace("</head>", f"{head}</head>", 1)
