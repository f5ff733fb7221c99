"""Clients of the API at the least CPU, since they share the server's cores: httptools over asyncio's sockets.

Each client keeps one connection, asks its next question when it has its answer, and remembers what it got
(api_mix.REMEMBERED). Every answer is judged by its status, its version and that no later one has an older
version; the body of one in CHECKED is unpacked and held against the truth.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random

import httptools
import orjson
from isal import isal_zlib

from bench.api_mix import REMEMBERED, REVALIDATED, Mix, Question, fault_of
from bench.api_world import SHOWS_A_TENANT, World

CHECKED = 10
_GZIP = 31
_PATIENCE_S, _LOOK_S = 30.0, 0.05


@dataclass
class Tally:
    """What the clients have seen."""

    faults: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    by_endpoint: dict[str, array[float]] = field(default_factory=dict)  # seconds
    versions: set[int] = field(default_factory=set)
    checked: int = 0
    received_bytes: int = 0
    dropped: int = 0  # connections that broke off

    def seconds(self) -> list[float]:
        """Of all answers, ascending."""
        return sorted(one for some in self.by_endpoint.values() for one in some)


class Client(asyncio.Protocol):
    """One connection, and the callbacks of its parser."""

    def __init__(
        self, world: World, mix: Mix, tally: Tally, seed: int, port: int, revalidated: float
    ) -> None:
        self._world, self._mix, self._tally, self._rng = world, mix, tally, Random(seed)
        self._revalidated = revalidated
        self._host = f"HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept-encoding: gzip\r\n".encode()
        self._authorizations = [f"authorization: Bearer {key}\r\n".encode() for key in world.keys]
        self._known: deque[tuple[Question, bytes]] = deque(maxlen=REMEMBERED)
        self._transport: asyncio.Transport | None = None
        self._newest = 0
        self._count = self._rng.randrange(CHECKED)
        self._is_over = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def stop(self) -> None:
        """After the answer that is on its way."""
        self._is_over = True

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._tally.received_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._tally.faults[f"not HTTP: {type(error).__name__}"] += 1
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self._tally.dropped += 1
            self._tally.faults["connection broke off"] += 1
            self.ended.set_result(None)

    # --- httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        took = time.perf_counter() - self._asked
        name = self._question.endpoint.name
        times = self._tally.by_endpoint.get(name)
        if times is None:
            times = self._tally.by_endpoint[name] = array("d")
        times.append(took)
        status = self._parser.get_status_code()
        self._tally.statuses[status] += 1
        fault = self._fault(status)
        if fault is not None:
            self._tally.faults[fault] += 1
        if self._is_over:
            self._end()
        else:
            self._ask()

    # ---

    def _ask(self) -> None:
        tag = b""
        if self._known and self._rng.random() < self._revalidated:
            self._question, tag = self._known[self._rng.randrange(len(self._known))]
        else:
            self._question = self._mix.next()
        self._has = tag
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        condition = b"if-none-match: " + tag + b"\r\n" if tag else b""
        key = self._authorizations[self._question.number // SHOWS_A_TENANT]
        assert self._transport is not None
        self._asked = time.perf_counter()
        self._transport.write(b"GET " + self._question.path + b" " + self._host + key + condition + b"\r\n")

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        if self._transport is not None:
            self._transport.close()

    def _fault(self, status: int) -> str | None:
        tag, endpoint = self._headers.get(b"etag", b""), self._question.endpoint
        if status == 304:
            if not self._has or tag != self._has:
                return "304 for what the client has not"
        elif status != 200:
            return f"status {status}: {endpoint.name}"
        else:
            self._known.append((self._question, tag))
        version = 0
        if endpoint.is_figure:
            version = int(tag[1:].partition(b"-")[0] or 0)
            if status == 200 and self._headers.get(b"earshot-version") != str(version).encode():
                return "torn: header and ETag of two versions"
            if version < self._newest:
                return "an older version than before"
            self._newest = version
            self._tally.versions.add(version)
        self._count += 1
        if status != 200 or self._count % CHECKED:
            return None
        self._tally.checked += 1
        body = b"".join(self._body)
        if self._headers.get(b"content-encoding") == b"gzip":
            body = isal_zlib.decompress(body, _GZIP)
        try:
            return fault_of(self._world, self._question, orjson.loads(body), version)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return f"{endpoint.name}: unlike what it should be ({type(error).__name__})"


async def load(
    world: World, port: int, clients: int, over: asyncio.Event, seed: int, revalidated: float = REVALIDATED
) -> Tally:
    """So many clients ask on until `over` is set."""
    tally, mix, loop = Tally(), Mix(world, seed), asyncio.get_running_loop()
    connected = [
        (
            await loop.create_connection(
                lambda number=number: Client(world, mix, tally, seed + number, port, revalidated),  # type: ignore[misc]
                "127.0.0.1",
                port,
            )
        )[1]
        for number in range(clients)
    ]
    ends = asyncio.gather(*(client.ended for client in connected))
    while not over.is_set() and not ends.done():
        await asyncio.sleep(_LOOK_S)
    for client in connected:
        client.stop()
    try:
        await asyncio.wait_for(ends, _PATIENCE_S)
    except TimeoutError:
        tally.faults["no answer"] += 1
    return tally
