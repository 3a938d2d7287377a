"""Who is let in to a server that others reach too, and under which names it knows itself.  R-F2"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.responses import PlainTextResponse

from convscope.web.guard import Guard, hash_of, local_hosts, policy_of


def ask(method: str, path: str, **headers: str) -> httpx.Response:
    """A server that any name may lead to."""
    app = Guard(PlainTextResponse("fine"), hosts=None, policy=policy_of(""), verb="serve", pages={"/docs"})

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server.example:8000") as client:
            return await client.request(method, path, headers={key.replace("_", "-"): headers[key] for key in headers})

    # Not in this thread, where a browser's loop may be running for other tests.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, send()).result()


def test_any_name_will_do() -> None:
    assert ask("GET", "/model").status_code == 200
    assert ask("GET", "/model", Host="192.168.0.7:8000").status_code == 200


@pytest.mark.parametrize("origin", ["http://server.example:8000", "https://server.example:8000"])
def test_its_own_page_may_ask_also_by_way_of_https(origin: str) -> None:
    assert ask("POST", "/predict", Origin=origin).status_code == 200


@pytest.mark.parametrize(
    "origin", ["null", "http://server.example", "https://evil.example:8000", "server.example:8000"]
)
def test_pages_of_others_may_not(origin: str) -> None:
    response = ask("POST", "/predict", Origin=origin)
    assert response.status_code == 403 and "another page" in response.json()["error"]
    assert response.headers["connection"] == "close"
    assert ask("GET", "/model", Sec_Fetch_Site="cross-site").status_code == 403
    assert ask("GET", "/docs", Sec_Fetch_Site="cross-site").status_code == 200


def test_the_names_of_this_machine() -> None:
    assert set(local_hosts("127.0.0.1", 8000)) == {"127.0.0.1:8000", "localhost:8000", "[::1]:8000"}
    assert "localhost" in local_hosts("127.0.0.1", 80)  # browsers leave the usual port out
    assert "127.0.1.1:8000" in local_hosts("127.0.1.1", 8000) and "[::7]:8000" in local_hosts("::7", 8000)


def test_what_stands_in_a_page_is_named_in_its_policy() -> None:
    policy = policy_of("<style>a{}</style><script src='x.js'></script><script type=module>go()</script>")
    assert f"style-src 'self' {hash_of('a{}')};" in policy
    assert f"script-src 'self' {hash_of('go()')};" in policy
    assert hash_of("go()") != hash_of("go( )") and "unsafe" not in policy
