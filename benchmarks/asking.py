"""Clients that ask a server again and again, each as soon as it has its answer; what they saw, as JSON.

    python benchmarks/asking.py http://127.0.0.1:8000/ --image photo.jpg --clients 64 --seconds 3

In a process of its own, so that a server shares the machine with its clients, but not Python's lock.
"""

import argparse
import asyncio
import json
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

WARM_UP = 0.3
"""Seconds before those that count."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("address", help="of the server")
    parser.add_argument("--image", type=Path, required=True, help="the image asked about")
    parser.add_argument("--images", type=int, default=1, help="how often it stands in a request (default: 1)")
    parser.add_argument("--clients", type=int, default=8, help="that ask at the same time (default: 8)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long (default: 3)")
    options = parser.parse_args()
    host = urlsplit(options.address).netloc
    message = request_of(host, options.image.read_bytes(), options.images)
    print(json.dumps(asyncio.run(ask_all(host, message, options))))


def request_of(host: str, image: bytes, count: int) -> bytes:
    """A form with the image so many times."""
    part = b'--edge\r\nContent-Disposition: form-data; name="image"; filename="image"\r\n\r\n' + image + b"\r\n"
    body = part * count + b"--edge--\r\n"
    head = (
        f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=edge\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask_all(host: str, message: bytes, options: argparse.Namespace) -> dict[str, float]:
    """Images a second, and the milliseconds that requests took, of all that ended after the warm-up."""
    took: list[float] = []
    first = time.perf_counter() + WARM_UP

    async def ask() -> None:
        name, port = host.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(name, int(port))
        while (started := time.perf_counter()) < first + options.seconds:
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if length is None or b" 200 " not in head[:16]:
                raise SystemExit(f"the server refused: {head!r}")
            await reader.readexactly(int(length[1]))
            if (ended := time.perf_counter()) > first:
                took.append(ended - started)
        writer.close()

    await asyncio.gather(*(ask() for _ in range(options.clients)))
    ordered = sorted(took)
    percentiles = {f"p{share}": 1000 * ordered[len(ordered) * share // 100] for share in (50, 95, 99)}
    return {"images_per_second": options.images * len(took) / (time.perf_counter() - first), **percentiles}


if __name__ == "__main__":
    main()
