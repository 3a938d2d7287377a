"""The server's answers to each address; see `openapi.ENDPOINTS` for what they are."""

import logging
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convscope.serving.counts import TYPE, Counts
from convscope.serving.openapi import ENDPOINTS, document
from convscope.serving.questions import Limits
from convscope.serving.service import Service
from convscope.web.answers import Answer, Refused, error, in_json
from convscope.web.guard import Guard, policy_of
from convscope.web.parameters import query_of
from convscope.web.responses import read_body, refuse, respond

_LOG = logging.getLogger(__name__)

# It warns of every form that is none, of which those who sent it are told.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


def build_app(service: "Future[Service]", *, limits: Limits, counts: Counts, hosts: Collection[str] | None) -> ASGIApp:
    """Answers about the server at once, and of the network as soon as it is there; `hosts`: see `web.guard.Guard`."""
    room = _Room(limits.all_bytes)

    async def predict(request: Request) -> Response:
        if not service.done():
            return respond(_not_ready(), last=True)
        if request.headers.get("Content-Encoding", "identity") != "identity":
            return respond(error("the request is compressed: send it as it is.", 415), last=True)
        with room.share() as take:
            body = await read_body(
                request, limit=limits.request_bytes, seconds=limits.body_seconds, what="the request", take=take
            )
            if isinstance(body, Answer):
                return respond(body, last=True)
            return respond(await _predict(service.result(), request, body))

    async def model(request: Request) -> Response:
        return respond(service.result().model() if service.done() else _not_ready())

    async def health(request: Request) -> Response:
        return respond(in_json({"status": "alive"}))

    async def ready(request: Request) -> Response:
        return respond(in_json({"status": "ready"}) if service.done() else _not_ready())

    async def metrics(request: Request) -> Response:
        here = service.result() if service.done() else None
        text = counts.text(queue=here.batcher.admitted if here else 0, facts=here.facts if here else {})
        return respond(Answer(text.encode(), TYPE))

    async def openapi(request: Request) -> Response:
        return respond(in_json(document()))

    async def docs(request: Request) -> Response:
        return respond(Answer(page().encode(), "text/html"))

    async def start(request: Request) -> Response:
        return RedirectResponse("/docs")

    answers = {function.__name__: function for function in (predict, model, health, ready, metrics, openapi, docs)}
    routes = [Route(row.path, answers[row.name], methods=[row.method]) for row in ENDPOINTS]
    app = Starlette(routes=[Route("/", start), *routes], exception_handlers={HTTPException: refuse})
    app.router.redirect_slashes = False
    return _Counted(Guard(app, hosts=hosts, policy=policy_of(page()), verb="serve", pages={"/", "/docs"}), counts)


@cache
def page() -> str:
    """The page to try an image on, all in one file."""
    return (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


async def _predict(service: Service, request: Request, body: bytes) -> Answer:
    """The answer, or the error that it ended in; what was not foreseen is told in the terminal alone."""
    try:
        return await service.predict(request.headers.get("Content-Type", ""), query_of(request.scope), body)
    except Refused as refusal:
        return error(str(refusal), refusal.status)
    except TimeoutError:
        return error("the answer took too long: send fewer images at a time, or try again in a moment.", 504)
    except Exception:
        _LOG.exception("the server did not expect this")
        return error("the server met an error that it did not expect: its terminal has more.", 500)


def _not_ready() -> Answer:
    return error("the network is still being loaded: try again in a moment.", 503)


class _Room:
    """Bytes of requests that may be in the memory at once; for one event loop."""

    def __init__(self, most: int) -> None:
        self._left = most

    @contextmanager
    def share(self) -> Iterator[Callable[[int], bool]]:
        """A part for one request, as large as it becomes, given back in the end."""
        taken = 0

        def take(count: int) -> bool:
            nonlocal taken
            if count > self._left:
                return False
            taken += count
            self._left -= count
            return True

        try:
            yield take
        finally:
            self._left += taken


class _Counted:
    """Counts what is answered, whoever answers it; but not those for whom there was no connection left."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self._app = app
        self._counts = counts
        self._paths = {row.path for row in ENDPOINTS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["path"] in self._paths else "other"
        started = time.perf_counter()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._counts.request(path, message["status"])
                if path == "/predict":
                    self._counts.prediction(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, send_counted)
