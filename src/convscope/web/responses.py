"""Answers as HTTP sends them, and the bodies of requests, read with patience but not without end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from convscope.web.answers import Answer, error

REST_SECONDS = 10.0
"""Time within which a client may send the rest of a request that has its answer already."""


class _Last(Response):
    """The last of its connection, for what was not read of the request would be taken for the next one.

    A connection that ends while something is still on its way here is reset, and many clients then lose the answer too.
    So the rest is taken, and thrown away.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(REST_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        await send({"type": "http.response.body", "body": b""})


def respond(answer: Answer, *, last: bool = False) -> Response:
    """The response, not to be kept by the browser: the same address may have another answer tomorrow.

    `last` where the request was not read to its end.
    """
    headers = {"Cache-Control": "no-store", **answer.headers}
    if last:
        headers["Connection"] = "close"
    if answer.status == 503:
        headers["Retry-After"] = "1"  # seconds
    return (_Last if last else Response)(answer.body, answer.status, headers=headers, media_type=answer.type)


def refuse(request: Request, refusal: Exception) -> Response:
    """What Starlette found to be no address of ours, in our words."""
    assert isinstance(refusal, HTTPException)
    sentence = {
        404: "there is nothing at this address: open the page itself.",
        405: f"this address does not take {request.method}.",
    }.get(refusal.status_code, "the request cannot be answered.")
    response = respond(error(sentence, refusal.status_code), last=True)
    response.headers.update(refusal.headers or {})
    return response


async def read_body(
    request: Request, *, limit: int, seconds: float, what: str, take: Callable[[int], bool] = lambda count: True
) -> bytes | Answer:
    """All of a request's body, counted while it comes in; or the error that it ends in.

    Args:
        request: nothing was read of it yet.
        limit: bytes at most.
        seconds: within which it has to arrive.
        what: it is, with its article, as errors call it.
        take: is told of every piece how many bytes it has; where it says no, there is no room for them just now.
    """
    too_large = error(f"{what} has more than {limit >> 20} MiB: give less.", 413)
    if int(request.headers.get("Content-Length", "0")) > limit:
        return too_large
    content = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                content += piece
                if len(content) > limit:
                    return too_large
                if not take(len(piece)):
                    return error("too much comes at once: wait a moment, then try again.", 503)
    except TimeoutError:
        return error(f"{what} did not arrive within {seconds:g} seconds: try again.", 408)
    except ClientDisconnect:
        return error(f"{what} was cut short.", 400)
    return bytes(content)
