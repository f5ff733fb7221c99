"""Connections for requests to strangers: guarded addresses, names with a time limit, few idle sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import RawResponseMessage

from ingest.feeds.guard import Guard

if TYPE_CHECKING:
    from aiohttp.tracing import Trace

_NAMES_KEPT = 10_000
_MOST_INTERIM = 20


class Names(AbstractResolver):
    """The system's resolver in threads of its own, so that dead names hold up no others for long.

    `resolve` maps names to "address:port" instead (tests, benches); these, and the addresses of the guard's
    test names, may be private.
    """

    def __init__(
        self, guard: Guard, resolve: Mapping[str, str] | None = None, timeout_s: float = 10, threads: int = 32
    ) -> None:
        self._guard, self._resolve, self._timeout_s = guard, resolve or {}, timeout_s
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of a name. Raises OSError."""
        if (target := self._resolve.get(host)) is not None:
            address, _, own_port = target.rpartition(":")
            self._guard.trust(address.strip("[]"), int(own_port))
            return [_result(host, address.strip("[]"), int(own_port))]
        lookup = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        running = asyncio.get_running_loop().run_in_executor(self._threads, lookup)
        try:
            found = await asyncio.wait_for(running, self._timeout_s)
        except TimeoutError:
            raise OSError(f"no answer within {self._timeout_s:g} s") from None
        except UnicodeError as error:  # a label that cannot be one
            raise OSError(str(error)) from None
        if host.lower() in self._guard.test_names:
            for entry in found:
                self._guard.trust(str(entry[4][0]), port)
        return [_result(host, str(entry[4][0]), port) for entry in found]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)


def trust(ca_file: str | None = None) -> tls.SSLContext:
    """TLS for requests to strangers: certificates and names verified, against `ca_file` (PEM) if given."""
    # httpx's authorities are certifi's (or SSL_CERT_FILE): a slim container has none of its own.
    context = tls.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class GuardedConnector(aiohttp.TCPConnector):
    """aiohttp's connector, with each address checked as it is connected to, and a cap on idle connections.

    aiohttp's own `limit` counts busy connections only: over thousands of hosts its pool would hold a socket
    for each host met within the keep-alive time. Here the longest idle one is closed for the next.
    """

    def __init__(
        self,
        guard: Guard,
        resolver: AbstractResolver,
        ssl: tls.SSLContext,
        idle: int,
        names_s: float = 60,
        keepalive_s: float = 15,
    ) -> None:
        """`idle` connections are kept at most, each `keepalive_s` seconds; `names_s` a name's addresses."""
        super().__init__(
            ssl=ssl,
            limit=0,  # whoever asks has a limit
            resolver=resolver,
            ttl_dns_cache=names_s,  # type: ignore[arg-type] # compared with floats
            dns_cache_max_size=_NAMES_KEPT,
            keepalive_timeout=keepalive_s,
            socket_factory=guard.open_socket,
        )
        self._most_idle = idle
        self._idle: OrderedDict[asyncio.Transport, None] = OrderedDict()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        if (transport := connection.transport) is not None:
            self._idle.pop(transport, None)
            connection.add_callback(partial(self._rests, transport))
        return connection

    def _rests(self, transport: asyncio.Transport) -> None:
        if transport.is_closing():
            return
        self._idle[transport] = None
        if len(self._idle) > self._most_idle:
            self._idle.popitem(last=False)[0].close()


class BoundedResponse(aiohttp.ClientResponse):
    """An answer with few interim ones (1xx) before it: aiohttp takes any number, as fast as they come."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        if protocol is None:
            return await super().start(connection)
        read, reads = protocol.read, 0

        async def read_few() -> tuple[RawResponseMessage, aiohttp.StreamReader]:
            nonlocal reads
            reads += 1
            if reads > _MOST_INTERIM:
                raise BadHttpMessage(f"more than {_MOST_INTERIM} interim answers")
            return await read()

        protocol.read = read_few  # type: ignore[method-assign]
        try:
            return await super().start(connection)
        finally:
            del protocol.read


class ExactRequest(aiohttp.ClientRequest):
    """Header values are latin-1, one character a byte, as HTTP has it; aiohttp would write UTF-8.

    A server compares a validator byte by byte, whatever letters are in it.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        protocol = conn.protocol
        if protocol is None or protocol.transport is None or all(map(str.isascii, self.headers.values())):
            return await super().send(conn)
        transport = protocol.transport
        protocol.transport = _Latin1Head(transport)  # type: ignore[assignment]
        try:
            return await super().send(conn)  # without a body: written before it gives way to anyone
        finally:
            protocol.transport = transport


class _Latin1Head:
    """A transport that turns the head of a request, which is UTF-8 of latin-1's characters, into latin-1."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing

    def write(self, head: bytes) -> None:
        self._transport.write(head.decode().encode("latin-1"))
