"""What a server lets in, and what it tells the browser to let in.

A server may listen on this machine alone; but any page that its user has open can make the browser send requests here.
So each request must name this server as its host (else a foreign name that was made to point here, DNS rebinding, would
pass for ours), and must not come from a page of another origin.
"""

import base64
import re
from collections.abc import Collection
from hashlib import sha256

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from convscope.web.answers import Answer, error
from convscope.web.responses import respond

LONGEST_ADDRESS = 4096
LONGEST_HEADERS = 16 << 10


class Guard:
    """Refuses what is not from our own page or from a program, and adds the headers that every answer needs."""

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str] | None, policy: str, verb: str, pages: Collection[str]
    ) -> None:
        """Let in what is meant for this server.

        Args:
            app: what answers the rest.
            hosts: names under which the server is known, with their ports, see `local_hosts`; any name when None.
            policy: the Content-Security-Policy of our page.
            verb: of the command that prints the server's address.
            pages: paths which a page elsewhere may link to.
        """
        self._app = app
        self._hosts = hosts
        self._verb = verb
        self._pages = pages
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
        app = self._app if refusal is None else respond(refusal, last=True)
        await app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Answer | None:
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value.decode("latin-1"))
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or (self._hosts is not None and hosts[0] not in self._hosts):
            return error(f"the request names another host: open the address that `convscope {self._verb}` prints.", 403)
        # Where any name will do, something that speaks HTTPS may stand in front of us.
        ours = {f"http://{hosts[0]}"} if self._hosts is not None else {f"http://{hosts[0]}", f"https://{hosts[0]}"}
        if not set(headers.get(b"origin", [])) <= ours:
            return error("the request comes from another page: only this server's own page is answered.", 403)
        # A browser that follows a link, or an address typed in, may open a page; what it shows is for itself alone.
        site = headers.get(b"sec-fetch-site", ["none"])
        if scope["path"] not in self._pages and not set(site) <= {"same-origin", "none"}:
            return error("the request comes from another site: only this server's own page is answered.", 403)
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_ADDRESS:
            return error(f"the address is longer than {LONGEST_ADDRESS} bytes.", 431)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LONGEST_HEADERS:
            return error(f"the headers are longer than {LONGEST_HEADERS} bytes.", 431)
        if {b"content-length", b"transfer-encoding"} <= headers.keys():
            return error("the request says twice how long it is.", 400)
        return None


def local_hosts(host: str, port: int) -> Collection[str]:
    """The names that this machine has for itself, `host` among them, with the port."""
    names = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host}
    suffixes = (f":{port}", "") if port == 80 else (f":{port}",)  # which browsers leave out
    return {f"{name}{suffix}" for name in names for suffix in suffixes}


def policy_of(page: str) -> str:
    """The Content-Security-Policy of a page: our own files, and of what stands in it only what stands in it now."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_sources(page, 'script')}",
            f"style-src {_sources(page, 'style')}",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _sources(page: str, tag: str) -> str:
    contents = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, flags=re.DOTALL)
    return " ".join(["'self'", *(hash_of(content) for content in contents if content)])


def hash_of(content: str) -> str:
    """As a Content-Security-Policy names a script or a style."""
    return f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'"
