"""One call of a source over HTTP: within its budget, bounded in time and size, its answer judged.

Every failure is `SourceUnavailable` with a reason for programs; where the source may be asked again later, it
says from when on. What authenticates us stands in no message, and follows no redirect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import httpx
import orjson
from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientError,
    ClientSession,
    DummyCookieJar,
    SocketFactoryType,
    TCPConnector,
)
from httpx_aiohttp import AiohttpTransport

from ingest.feeds.sources.budget import Budget
from ingest.feeds.sources.values import as_record, as_text
from ingest.web import BUSY, LOCAL_HOSTS, Known, is_uncompressed, raw_header, retry_after_s, user_agent

MAX_BYTES = 16 << 20  # 1,000 episodes with descriptions take about 2 MB
TOTAL_S = 60.0
_DETAIL_CHARS = 300
_WAITS = httpx.Timeout(20, connect=10)  # seconds, for each wait


class SourceReason(StrEnum):
    """Why a source gave nothing."""

    OUT_OF_BUDGET = "out_of_budget"  # ours: see until_us
    BUSY = "busy"  # it says so: see until_us
    UNAUTHORIZED = "unauthorized"  # our key is wrong, or may not do this
    REFUSED = "refused"  # it does not understand us: trying again does not help
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    JUNK = "junk"  # an answer, but not of the documented shape


class SourceUnavailable(Exception):
    """A source gave nothing. `until_us`: it may be asked again from then on; None: whenever one likes."""

    def __init__(self, source: str, reason: SourceReason, detail: str, until_us: int | None = None) -> None:
        super().__init__(source, reason, detail, until_us)
        self.source, self.reason, self.detail, self.until_us = source, reason, detail, until_us

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}: {self.detail}"


@dataclass(frozen=True)
class Reply:
    """An answer of 200, 202, 204 or 304; or one of `also` of `Calls.send`."""

    status: int
    body: bytes  # of 304: nothing
    known: Known  # what to ask with next time
    location: str | None = None  # of a redirect, as written


def client(purpose: str) -> httpx.AsyncClient:
    """A client, to be closed, for addresses that the settings name: by the proxy of the house."""
    directly: dict[str, httpx.AsyncBaseTransport | None] = {f"all://{host}": None for host in LOCAL_HOSTS[:2]}
    return httpx.AsyncClient(timeout=_WAITS, headers=_headers(purpose), mounts=directly)


def guarded_client(purpose: str, socket_factory: SocketFactoryType) -> httpx.AsyncClient:
    """A client, to be closed, for addresses that strangers name.

    socket_factory: sees the address of each connection and may refuse it (ingest.feeds.guard, `open_socket`).
    """

    def session() -> ClientSession:
        connector = TCPConnector(socket_factory=socket_factory, ssl=httpx.create_ssl_context())
        return ClientSession(connector=connector, cookie_jar=DummyCookieJar())

    return httpx.AsyncClient(
        transport=AiohttpTransport(client=session), timeout=_WAITS, headers=_headers(purpose), trust_env=False
    )


def _headers(purpose: str) -> dict[str, str]:
    # Uncompressed: a size limit then holds on the wire too.
    return {"User-Agent": user_agent(purpose), "Accept-Encoding": "identity"}


def system_clock_us() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True)
class Calls:
    """How the source `name` is called. `busy`: the statuses by which it says that we ask too much."""

    name: str
    http: httpx.AsyncClient
    budget: Budget
    max_bytes: int = MAX_BYTES
    total_s: float = TOTAL_S
    busy: tuple[int, ...] = BUSY
    clock_us: Callable[[], int] = field(default=system_clock_us)

    async def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        known: Known = Known(),
        also: tuple[int, ...] = (),
    ) -> Reply:
        """GET unless it is still what `known` says. `also`: further statuses that are an answer here."""
        conditions = [(name.decode(), value.decode("latin-1")) for name, value in known.conditions()]
        request = self.http.build_request(
            "GET", url, params=params, headers=[*(headers or {}).items(), *conditions]
        )
        return await self.send(request, (*also, 304) if conditions else also)

    async def send(self, request: httpx.Request, also: tuple[int, ...] = ()) -> Reply:
        """Send `request` if the budget allows it. Raises SourceUnavailable."""
        now_us = self.clock_us()
        until_us = self.budget.take(now_us)
        if until_us is not None:
            raise self.failed(SourceReason.OUT_OF_BUDGET, "no call left for now", until_us)
        try:
            async with asyncio.timeout(self.total_s):
                return await self._answer(request, also)
        except TimeoutError:
            raise self.failed(SourceReason.TIMEOUT, f"more than {self.total_s:g} s") from None
        except httpx.InvalidURL as error:
            raise self.failed(SourceReason.REFUSED, f"no address: {error}") from error
        except (httpx.HTTPError, ClientError) as error:
            reason = SourceReason.TIMEOUT if _is_timeout(error) else SourceReason.UNREACHABLE
            raise self.failed(reason, _message(error)) from error

    async def _answer(self, request: httpx.Request, also: tuple[int, ...]) -> Reply:
        response = await self.http.send(request, stream=True, follow_redirects=False)
        try:
            status = response.status_code
            if status in self.busy:
                raise self._is_busy(response)
            if status in (200, 202, 204) or status in also:
                body = b"" if status == 304 else await self._body(response)
                self.budget.answered(self.clock_us())
                return Reply(status, body, Known.of(response), raw_header(response, b"location"))
            raise await self._unusable(response)
        finally:
            await response.aclose()

    def _is_busy(self, response: httpx.Response) -> SourceUnavailable:
        now_us = self.clock_us()
        asked_s = retry_after_s(raw_header(response, b"retry-after"), now_us)
        until_us = self.budget.pause(now_us, asked_s)
        return self.failed(SourceReason.BUSY, f"it answers {response.status_code}", until_us)

    async def _unusable(self, response: httpx.Response) -> SourceUnavailable:
        status = response.status_code
        if status in (401, 403):
            # Asking on with a key that is none looks like an attack.
            until_us = self.budget.pause(self.clock_us(), None)
            return self.failed(SourceReason.UNAUTHORIZED, f"it answers {status}", until_us)
        if status >= 500:
            return self.failed(SourceReason.SERVER_ERROR, f"it answers {status}")
        if response.has_redirect_location:
            return self.failed(SourceReason.REFUSED, f"it answers {status}: redirects are not followed")
        said = ""
        if response.headers.get("Content-Type", "").startswith("application/json"):
            said = as_text(as_record(_json(await self._body(response))).get("description")) or ""
        return self.failed(SourceReason.REFUSED, f"it answers {status}{': ' if said else ''}{said}")

    async def _body(self, response: httpx.Response) -> bytes:
        if not is_uncompressed(response):
            raise self.failed(SourceReason.JUNK, "compressed, which was not asked for")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self.max_bytes:
                raise self.failed(SourceReason.TOO_LARGE, f"more than {self.max_bytes:,} bytes")
        return bytes(body)

    def json(self, reply: Reply) -> Mapping[str, object]:
        """The JSON object of an answer. Raises SourceUnavailable."""
        found = _json(reply.body)
        if not isinstance(found, dict):
            raise self.failed(SourceReason.JUNK, f"{len(reply.body):,} bytes that are no JSON object")
        return found

    def failed(self, reason: SourceReason, detail: str, until_us: int | None = None) -> SourceUnavailable:
        return SourceUnavailable(self.name, reason, detail, until_us)


def _message(error: Exception) -> str:
    """What went wrong; there are no headers and no body in it."""
    cause = error.__cause__
    said = f"{error} ({cause.os_error})" if isinstance(cause, ClientConnectorError) else str(error)
    return said[:_DETAIL_CHARS] or type(error).__name__


def _is_timeout(error: Exception) -> bool:
    """httpx-aiohttp calls every failed connection a timeout; its cause knows better."""
    if isinstance(error.__cause__, ClientConnectionError):
        return isinstance(error.__cause__, TimeoutError)
    return isinstance(error, httpx.TimeoutException)


def _json(body: bytes) -> object:
    try:
        return orjson.loads(body)  # bounds its depth
    except orjson.JSONDecodeError:
        return None
