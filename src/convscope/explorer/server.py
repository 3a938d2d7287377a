"""The explorer's server: a thin shell around `views`, on this machine alone."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from convscope.explorer import pages
from convscope.web.answers import UPLOAD_LIMIT, Answer, Refused, error
from convscope.web.guard import Guard, local_hosts, policy_of
from convscope.web.parameters import query_of
from convscope.web.responses import read_body, refuse, respond
from convscope.web.server import LOCAL, address_of, listen, running

if TYPE_CHECKING:
    from convscope.explorer.explorer import Explorer

PORTS = range(8765, 8785)
"""Where the explorer listens, on the first that is free, unless it is told a port."""

UPLOAD_SECONDS = 60.0
"""Time within which an image has to arrive."""
_UPLOADS_AT_ONCE = 4
_CONNECTIONS = 100


def build_app(explorer: "Future[Explorer]", *, port: int) -> ASGIApp:
    """The page at once; answers about the runs as soon as the explorer is there."""
    names = pages.file_names()
    uploads = asyncio.Semaphore(_UPLOADS_AT_ONCE)

    # Not in a thread, of which there may be none left while questions wait for the explorer.
    async def page(request: Request) -> Response:
        return _file(request, pages.served(), "html")

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in names:
            raise HTTPException(404)
        return _file(request, pages.read(name), name.rpartition(".")[2])

    def ask(request: Request) -> Response:
        from convscope.explorer.views import answer  # needs torch, whose import the first question waits for

        try:
            query = query_of(request.scope)
        except Refused as refusal:
            return respond(error(str(refusal), refusal.status))
        return respond(answer(explorer.result, request.path_params["name"], query))

    async def upload(request: Request) -> Response:
        # Which neither a form of another page can send, nor a script that does not ask first.
        if request.headers.getlist("X-Convscope") != ["1"]:
            sentence = "the request lacks the header 'X-Convscope: 1', which the explorer's own page sends."
            return respond(error(sentence, 403), last=True)
        if uploads.locked():
            return respond(error("too many images come at once: wait a moment, then try again.", 503), last=True)
        async with uploads:
            content = await read_body(request, limit=UPLOAD_LIMIT, seconds=UPLOAD_SECONDS, what="the image")
            if isinstance(content, Answer):
                return respond(content, last=True)
            return respond(await run_in_threadpool(_upload, explorer, content))

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/static/{name:path}", static),
            Route("/api/upload", upload, methods=["POST"]),
            Route("/api/{name}", ask),
        ],
        exception_handlers={HTTPException: refuse},
    )
    app.router.redirect_slashes = False
    policy = policy_of(pages.served().decode())
    return Guard(app, hosts=local_hosts(LOCAL, port), policy=policy, verb="explore", pages={"/"})


def _upload(explorer: "Future[Explorer]", content: bytes) -> Answer:
    from convscope.explorer.images import upload
    from convscope.explorer.views import safely

    return safely(lambda: upload(explorer.result(), content))


def _file(request: Request, content: bytes, suffix: str) -> Response:
    """A file of the page; the browser keeps it, and asks each time whether it is still the same."""
    headers = {"Cache-Control": "no-cache", "ETag": f'"{sha256(content).hexdigest()[:16]}"'}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=pages.TYPES[suffix])


@contextmanager
def serving(explorer: "Future[Explorer]", port: int | None) -> Iterator[str]:
    """Serve the page in a thread until the block ends; gives its address. Raises as `web.server.listen`."""
    with listen(PORTS if port is None else [port]) as listener:
        app = build_app(explorer, port=listener.getsockname()[1])
        with running(app, listener, connections=_CONNECTIONS, patience=3):
            yield address_of(listener)
