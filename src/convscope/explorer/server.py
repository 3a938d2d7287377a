"""The explorer's server: a thin shell around `views`, on this machine alone."""

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from hashlib import sha256
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from convscope.errors import UserError
from convscope.explorer import pages
from convscope.explorer.answers import UPLOAD_LIMIT, Answer, error
from convscope.explorer.guard import LONGEST_HEADERS, Guard, policy_of

if TYPE_CHECKING:
    from convscope.explorer.explorer import Explorer

HOST = "127.0.0.1"
PORTS = range(8765, 8785)
"""Where the explorer listens, on the first that is free, unless it is told a port."""

UPLOAD_SECONDS = 60.0
"""Time within which an image has to arrive."""
_UPLOADS_AT_ONCE = 4
_CONNECTIONS = 100
_MOST_PARAMETERS = 20


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
            query = parse_qsl(
                request.scope["query_string"].decode("ascii"),
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
                max_num_fields=_MOST_PARAMETERS,
            )
        except ValueError:
            return respond(error("the address has no parameters that can be read.", 400))
        return respond(answer(explorer.result, request.path_params["name"], query))

    async def upload(request: Request) -> Response:
        if uploads.locked():
            return respond(error("too many images come at once: wait a moment, then try again.", 503))
        async with uploads:
            content = await _body(request)
            if isinstance(content, Answer):
                return respond(content)
            return respond(await run_in_threadpool(_upload, explorer, content))

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/static/{name:path}", static),
            Route("/api/upload", upload, methods=["POST"]),
            Route("/api/{name}", ask),
        ],
        exception_handlers={HTTPException: _refuse},
    )
    app.router.redirect_slashes = False
    return Guard(app, port=port, policy=policy_of(pages.served().decode()))


def _upload(explorer: "Future[Explorer]", content: bytes) -> Answer:
    from convscope.explorer.images import upload
    from convscope.explorer.views import safely

    return safely(lambda: upload(explorer.result(), content))


async def _body(request: Request) -> bytes | Answer:
    """All of a request's body, counted while it comes in; or the error that it ends in."""
    too_large = error(f"the image has more than {UPLOAD_LIMIT >> 20} MiB: give a smaller copy of it.", 413)
    if int(request.headers.get("Content-Length", "0")) > UPLOAD_LIMIT:
        return too_large
    content = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for piece in request.stream():
                content += piece
                if len(content) > UPLOAD_LIMIT:
                    return too_large
    except TimeoutError:
        return error(f"the image did not arrive within {UPLOAD_SECONDS:g} seconds: try again.", 408)
    except ClientDisconnect:
        return error("the image was cut short.", 400)
    return bytes(content)


def _file(request: Request, content: bytes, suffix: str) -> Response:
    """A file of the page; the browser keeps it, and asks each time whether it is still the same."""
    headers = {"Cache-Control": "no-cache", "ETag": f'"{sha256(content).hexdigest()[:16]}"'}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=pages.TYPES[suffix])


def respond(answer: Answer) -> Response:
    """The response, not to be kept by the browser: the same address may have another answer tomorrow."""
    headers = {"Cache-Control": "no-store", **answer.headers}
    return Response(answer.body, answer.status, headers=headers, media_type=answer.type)


def _refuse(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    sentence = {
        404: "there is nothing at this address: open the page itself.",
        405: f"this address does not take {request.method}.",
    }.get(refusal.status_code, "the request cannot be answered.")
    response = respond(error(sentence, refusal.status_code))
    response.headers.update(refusal.headers or {})
    return response


def listen(port: int | None) -> socket.socket:
    """A socket that listens at a port of this machine alone; at the first of `PORTS` that is free when None.

    Raises:
        UserError: the port is taken, or all of them are.
    """
    for candidate in PORTS if port is None else (port,):
        with suppress(OSError):
            return socket.create_server((HOST, candidate))
    taken = f"port {port}" if port is not None else f"every port from {PORTS.start} to {PORTS.stop - 1}"
    raise UserError(f"{taken} is taken or not allowed: choose another with --port, or 0 for any that is free.")


@contextmanager
def serving(explorer: "Future[Explorer]", port: int | None) -> Iterator[str]:
    """Serve the page in a thread until the block ends; gives its address. Raises as `listen`."""
    with listen(port) as listener:
        number: int = listener.getsockname()[1]
        config = uvicorn.Config(
            build_app(explorer, port=number),
            http="h11",  # strict, and the same on every machine
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # not of every request that is no HTTP
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            h11_max_incomplete_event_size=LONGEST_HEADERS,
            timeout_graceful_shutdown=3,
        )
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, name="server", daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{number}/"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
