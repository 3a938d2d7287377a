"""Connections that are given up when nothing comes of them: uvicorn waits without end for what it has begun to hear.

And no more of them than there is room for.
"""

import asyncio
import socket

from uvicorn.protocols.http.h11_impl import H11Protocol

from convscope.web.answers import error
from convscope.web.responses import respond

HEAD_SECONDS = 10.0
"""Time within which a request must say what it wants."""
SEND_SECONDS = 30.0
"""Time within which a client must take what is ready for it."""
TOLD = 100
"""Connections that are told there is no room for them; beyond these they are cut off."""

_FULL = respond(error("too many are connected: try again in a moment.", 503), last=True)


class Connection(H11Protocol):
    """One connection. Bodies have their own time, see `responses.read_body`, and so has the pause between requests."""

    most: int
    """Connections at once; who comes then is told to come again."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._hearing: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None
        if len(self.connections) > self.most:
            self.app = _FULL
        if len(self.connections) > self.most + TOLD:
            transport.abort()
            return
        # An answer goes out in two pieces. The system would keep the second back until the first is acknowledged, which
        # clients put off for 40 ms; asyncio switches that off only for sockets that it has made itself.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=0)  # so that `pause_writing` tells of every byte that is not taken
        self._hearing = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Wait until the head of a request is whole, however often a little of it comes.

        What still comes of a request that has its answer is waited for no longer than a head.
        """
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            _cancel(self._hearing)
            self._hearing = None
        elif self._hearing is None:
            self._hearing = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """Begin to wait until the client takes what there is for it."""
        super().pause_writing()
        self._sending = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It took it all."""
        super().resume_writing()
        _cancel(self._sending)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        _cancel(self._hearing)
        _cancel(self._sending)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
