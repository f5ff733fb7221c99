"""A bare HTTP/1.1 server: keep-alive, pipelining, nothing else; some µs a request.

It knows nothing of what it serves: a `Cut` finds the requests, a `Play` turns each into the bytes to send.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar, cast

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_REASONS = {
    200: "OK", 301: "Moved Permanently", 302: "Found", 304: "Not Modified", 401: "Unauthorized",
    404: "Not Found", 410: "Gone", 429: "Too Many Requests", 500: "Internal Server Error",
    503: "Service Unavailable",
}  # fmt: skip

Request = TypeVar("Request")
# The first request that is whole, and the bytes it took; None: more of it is to come. Raises BadRequest.
Cut = Callable[[bytes], tuple[Request, int] | None]


class BadRequest(ValueError):
    """Not a request of ours: it is answered 400."""


class Wire(NamedTuple):
    """What is sent, and then: keep (the connection), close, silent (nothing more), endless (it goes on)."""

    data: bytes
    then: str = "keep"
    piece: bytes = b""  # of an endless one, sent again every so many seconds to who still reads
    every_s: float = 0.2


Play = Callable[[Request], Wire]


def head(status: int, *headers: tuple[str, str]) -> bytes:
    """Status line and headers as they are sent."""
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Connection(asyncio.Protocol, Generic[Request]):
    """One client's connection; requests are answered as they come."""

    def __init__(
        self, cut: Cut[Request], play: Play[Request], open_connections: set[asyncio.Transport]
    ) -> None:
        self._cut, self._play, self._open = cut, play, open_connections
        self._buffer = b""
        self._is_deaf = self._is_full = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self._open.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._transport)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._buffer = self._buffer + data if self._buffer else data
        try:
            while self._buffer and (found := self._cut(self._buffer)):
                request, size = found
                self._buffer = self._buffer[size:]
                wire = self._play(request)
                if wire.data:
                    self._transport.write(wire.data)
                if wire.then != "keep":
                    self._end(wire)
                    return
        except BadRequest:
            self._transport.write(_BAD_REQUEST)
            self._transport.close()

    def _end(self, wire: Wire) -> None:
        if wire.then == "close":
            self._transport.close()
            return
        self._is_deaf = True
        if wire.then == "endless":
            self._go_on(wire)

    def _go_on(self, wire: Wire) -> None:
        if not self._transport.is_closing():
            if not self._is_full:
                self._transport.write(wire.piece)
            asyncio.get_running_loop().call_later(wire.every_s, self._go_on, wire)


async def serve(cut: Cut[Request], play: Play[Request], port: int, ready: Callable[[int], None]) -> None:
    """Serves on 127.0.0.1 until cancelled; `ready` is told the port (for `port` 0 the one that was free)."""
    open_connections: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(cut, play, open_connections), "127.0.0.1", port, backlog=1_000
    )
    try:
        ready(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()
    finally:
        server.close()
        for transport in list(open_connections):
            with contextlib.suppress(RuntimeError):
                transport.abort()


def serve_until_killed(cut: Cut[Request], play: Play[Request], port: int) -> None:
    """`serve` as a whole process, which says `port N` when it listens.

    On uvloop where it is installed, which halves the cost of a request.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whoever started us may have it ignored
    serving = serve(cut, play, port, lambda listening: print(f"port {listening}", flush=True))
    with contextlib.suppress(KeyboardInterrupt):
        try:
            import uvloop
        except ImportError:
            asyncio.run(serving)
        else:
            uvloop.run(serving)
