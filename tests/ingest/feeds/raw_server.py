"""A local server that sends what a test tells it to, byte by byte; for clients that must bear anything.

async with RawServer(always(answer(200, body=b"<rss/>"))) as server:
    ... server.url("/feed.xml"), server.requests, server.connections
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class RawRequest:
    """A request as it came: header values are bytes, names in lower case; of a name the last value."""

    target: str
    headers: dict[str, bytes]
    connection: int  # the how manieth of the server, from 1
    body: bytes = b""


Handler = Callable[[RawRequest, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int = 200, *fields: tuple[str, str | bytes], body: bytes = b"") -> bytes:
    """A whole answer, with its Content-Length unless `fields` frame it; strings are sent as latin-1."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    names = {name.lower() for name, _ in fields}
    for name, value in fields:
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("latin-1")))
    if status != 304 and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}".encode())
    return b"\r\n".join([*lines, b"", body])


def always(data: bytes) -> Handler:
    """The same bytes to each request; the connection stays open."""

    async def handle(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return handle


def once(data: bytes) -> Handler:
    """The same bytes to each request, then the connection is closed."""

    async def handle(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return handle


def by_path(**handlers: bytes | Handler) -> Handler:
    """`/name…` is answered by what is given under that name, anything else with 404."""

    async def handle(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        found = handlers.get(request.target.strip("/").partition("/")[0].partition("?")[0], answer(404))
        if isinstance(found, bytes):
            writer.write(found)
        else:
            await found(request, writer)

    return handle


class RawServer:
    """Runs within the event loop of the test, on a free port of 127.0.0.1."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self.handler, self._tls = handler, tls
        self.requests: list[RawRequest] = []
        self.connections = 0  # ever accepted
        self.open = 0  # now
        self.most_open = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, ssl=self._tls, backlog=1000
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, path: str = "/") -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}{path}"

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        connection = self.connections
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                line, *fields = head[:-4].split(b"\r\n")
                pairs = (field.partition(b":") for field in fields)
                headers = {name.decode().lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", b"0")))
                request = RawRequest(line.split(b" ")[1].decode(), headers, connection, body)
                self.requests.append(request)
                await self.handler(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has had enough
        finally:
            self.open -= 1
            writer.close()


def certificate(folder: Path, name: str = "localhost") -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context with a fresh certificate for `name` and 127.0.0.1; and the file to trust."""
    key, file = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", file, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return context, file
