"""What the explorer's server lets in, and what it tells the browser to let in.

The server listens on this machine alone; but any page that its user has open can make the browser send requests here.
So each request must name this server as its host (else a foreign name that was made to point here, DNS rebinding, would
pass for ours), and must not come from a page of another origin.
"""

import base64
import re
from collections.abc import Iterable
from hashlib import sha256

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convscope.explorer.answers import Answer, error

LONGEST_ADDRESS = 4096
LONGEST_HEADERS = 16 << 10


class Guard:
    """Refuses what is not from our own page, and adds the headers that every answer needs."""

    def __init__(self, app: ASGIApp, *, port: int, policy: str) -> None:
        """`policy` is the page's Content-Security-Policy."""
        self._app = app
        self._hosts = {f"{name}{suffix}" for name in ("127.0.0.1", "localhost") for suffix in _suffixes(port)}
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        refusal = self._refusal(scope)
        app = self._app
        if refusal is not None:
            headers = {"Connection": "close", "Cache-Control": "no-store"}
            app = Response(refusal.body, refusal.status, headers=headers, media_type=refusal.type)
        await app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Answer | None:
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value.decode("latin-1"))
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return error("the request names another host: open the address that `convscope explore` prints.", 403)
        if any(origin != f"http://{hosts[0]}" for origin in headers.get(b"origin", [])):
            return error("the request comes from another page: only the explorer's own page is answered.", 403)
        # A browser that follows a link, or an address typed in, may open the page; what it shows is for itself alone.
        site = headers.get(b"sec-fetch-site", ["none"])
        if scope["path"] != "/" and not set(site) <= {"same-origin", "none"}:
            return error("the request comes from another site: only the explorer's own page is answered.", 403)
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_ADDRESS:
            return error(f"the address is longer than {LONGEST_ADDRESS} bytes.", 431)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LONGEST_HEADERS:
            return error(f"the headers are longer than {LONGEST_HEADERS} bytes.", 431)
        if {b"content-length", b"transfer-encoding"} <= headers.keys():
            return error("the request says twice how long it is.", 400)
        if scope["method"] == "POST" and headers.get(b"x-convscope") != ["1"]:
            return error("the request lacks the header 'X-Convscope: 1', which the explorer's own page sends.", 403)
        return None


def policy_of(page: str) -> str:
    """The Content-Security-Policy of a page: our own files, and of what stands in it only what stands in it now."""
    sources = " ".join(["'self'", *(hash_of(script) for script in inline_scripts(page))])
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {sources}",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def inline_scripts(page: str) -> Iterable[str]:
    """The contents of the scripts that stand in a page itself."""
    return (content for content in re.findall(r"<script[^>]*>(.*?)</script>", page, flags=re.DOTALL) if content)


def hash_of(content: str) -> str:
    """As a Content-Security-Policy names a script or a style."""
    return f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'"


def _suffixes(port: int) -> tuple[str, ...]:
    return (f":{port}", "") if port == 80 else (f":{port}",)  # which browsers leave out
