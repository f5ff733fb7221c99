"""A bare HTTP/1.1 server for feeds: keep-alive, pipelining, nothing else; some µs a request.

It knows nothing of feeds: a `Play` turns a request into the bytes to send.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple, cast

MAX_HEAD = 16_384  # bytes of a request
DRIP_S = 0.2  # between the pieces of a body that never ends
_END = b"\r\n\r\n"
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_REASONS = {
    200: "OK", 301: "Moved Permanently", 302: "Found", 304: "Not Modified", 404: "Not Found", 410: "Gone",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


class Request(NamedTuple):
    """What decides the answer; header values byte for byte, None where there is none."""

    method: bytes
    host: bytes  # lower case, without port
    path: bytes
    if_none_match: bytes | None
    if_modified_since: bytes | None
    gzip: bool  # accepted


class Wire(NamedTuple):
    """What is sent, and then: keep (the connection), close, silent (nothing more), endless (it drips on)."""

    data: bytes
    then: str = "keep"


Play = Callable[[Request], Wire]


def head(status: int, *headers: tuple[str, str]) -> bytes:
    """Status line and headers as they are sent."""
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def parse(text: bytes) -> Request | None:
    """The request of a head without its empty line; None: not one of ours (no GET or HEAD, no Host)."""
    lines = text.split(b"\r\n")
    words = lines[0].split(b" ")
    if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
        return None
    host = none_match = modified_since = None
    gzip = False
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name == b"host":
            host = value.strip().partition(b":")[0].lower()
        elif name == b"if-none-match":
            none_match = value.strip()
        elif name == b"if-modified-since":
            modified_since = value.strip()
        elif name == b"accept-encoding":
            gzip = b"gzip" in value
    if host is None:
        return None
    return Request(words[0], host, words[1], none_match, modified_since, gzip)


class Connection(asyncio.Protocol):
    """One client's connection; requests are answered as they come."""

    def __init__(self, play: Play, open_connections: set[asyncio.Transport]) -> None:
        self._play, self._open = play, open_connections
        self._buffer = b""
        self._is_deaf = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self._open.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._buffer = self._buffer + data if self._buffer else data
        while (end := self._buffer.find(_END)) >= 0:
            text, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
            request = parse(text)
            if request is None:
                self._transport.write(_BAD_REQUEST)
                self._transport.close()
                return
            wire = self._play(request)
            sent = wire.data
            if request.method == b"HEAD":
                sent = sent[: sent.find(_END) + 4]
            if sent:
                self._transport.write(sent)
            if wire.then != "keep":
                self._end(wire.then)
                return
        if len(self._buffer) > MAX_HEAD:
            self._transport.write(_BAD_REQUEST)
            self._transport.close()

    def _end(self, then: str) -> None:
        if then == "close":
            self._transport.close()
            return
        self._is_deaf = True
        if then == "endless":
            self._drip()

    def _drip(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"1\r\n \r\n")
            asyncio.get_running_loop().call_later(DRIP_S, self._drip)


async def serve(play: Play, port: int, ready: Callable[[int], None]) -> None:
    """Serves on 127.0.0.1 until cancelled; `ready` is told the port (for `port` 0 the one that was free)."""
    open_connections: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(play, open_connections), "127.0.0.1", port, backlog=1_000
    )
    try:
        ready(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()
    finally:
        server.close()
        for transport in list(open_connections):
            with contextlib.suppress(RuntimeError):
                transport.abort()


def run(play: Play, port: int, ready: Callable[[int], None]) -> None:
    """`serve` as a whole process: on uvloop where it is installed, which halves the cost of a request."""
    with contextlib.suppress(KeyboardInterrupt):
        try:
            import uvloop
        except ImportError:
            asyncio.run(serve(play, port, ready))
        else:
            uvloop.run(serve(play, port, ready))
