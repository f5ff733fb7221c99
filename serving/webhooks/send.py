"""One signed POST to an endpoint: guarded, bounded in time and size; every outcome is a `Result`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from ingest.feeds.connector import BoundedResponse, GuardedConnector, Names, trust
from ingest.feeds.guard import Guard
from ingest.feeds.reasons import Reason
from ingest.feeds.troubles import ERRORS, judged
from ingest.feeds.urls import BadFeedUrl, feed_url, host_of, without_credentials
from ingest.web import retry_after_s, user_agent
from serving.webhooks.outcomes import Outcome, Result, printable

CONNECTIONS = 500
_DETAIL_CHARS = 300
_IDLE_CONNECTIONS = 100
# Many servers close a connection that was idle for 5 s (Node, uvicorn); a request must not meet that.
_KEEPALIVE_S = 4
_STATUSES = {410: Outcome.GONE, 429: Outcome.BUSY, 503: Outcome.BUSY}
_CLASSES = {
    2: Outcome.SENT,
    3: Outcome.REDIRECTED,
    4: Outcome.REFUSED,
    5: Outcome.SERVER_ERROR,
}
_REASONS = {
    Reason.BAD_URL: Outcome.NOT_SENT,
    Reason.DNS: Outcome.DNS,
    Reason.CONNECT: Outcome.CONNECT,
    Reason.TLS: Outcome.TLS,
    Reason.TIMEOUT: Outcome.TIMEOUT,
    Reason.PRIVATE_ADDRESS: Outcome.PRIVATE_ADDRESS,
}


@dataclass(frozen=True)
class SendSettings:
    """Limits of one request (UPDATES §5)."""

    timeout_s: float = 15  # from the look-up of the name to the head of the answer; the body counts too
    connect_s: float = 5
    body_s: float = 2  # for the answer's body, after its head
    max_answer_bytes: int = 1000
    connections: int = CONNECTIONS  # requests at a time, over all endpoints; whoever comes then waits
    names_s: float = 60  # how long a name's addresses are used
    contact: str = ""  # URL or e-mail address for the User-Agent
    test_hosts: frozenset[str] = frozenset()  # names, addresses and networks that may be private
    resolve: Mapping[str, str] | None = None  # name → "127.0.0.1:8000", instead of DNS
    ca_file: str | None = None  # PEM; certificates of these authorities count instead of the public ones


class Sender:
    """Sends over one pool of connections: `async with Sender(settings) as sender`."""

    def __init__(
        self, settings: SendSettings | None = None, resolver: AbstractResolver | None = None
    ) -> None:
        """`resolver` replaces that of the system; its answers are checked as any other's are."""
        self.settings = settings or SendSettings()
        self._resolver = resolver
        self._free = asyncio.Semaphore(self.settings.connections)
        self._session: aiohttp.ClientSession
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        settings = self.settings
        guard = Guard(settings.test_hosts)
        resolver = self._resolver
        if resolver is None:
            resolver = Names(guard, settings.resolve, settings.connect_s, threads=settings.connections)
            self._open.push_async_callback(resolver.close)
        self._session = aiohttp.ClientSession(
            connector=GuardedConnector(
                guard,
                resolver,
                trust(settings.ca_file),
                _IDLE_CONNECTIONS,
                settings.names_s,
                _KEEPALIVE_S,
            ),
            response_class=BoundedResponse,
            cookie_jar=aiohttp.DummyCookieJar(),  # nothing of one answer goes to another endpoint
            headers={
                "User-Agent": user_agent("; ".join(filter(None, ["webhooks", settings.contact]))),
                "Accept": "*/*",
                "Accept-Encoding": "identity",
            },
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_s),
            auto_decompress=False,  # what is kept of an answer is no reason to meet a bomb
        )
        await self._open.enter_async_context(self._session)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Result:
        """Send once. Never raises for what a server, a name or a URL does; cancelling it cuts the connection.

        A 2xx head is a success, whatever becomes of the answer's body.
        """
        try:
            url = feed_url(url)  # as checked when it was subscribed; not sent anywhere else
        except BadFeedUrl as error:
            return Result(Outcome.NOT_SENT, detail=printable(f"url: {error}", _DETAIL_CHARS))
        async with self._free:
            request = _Request(self.settings, url)
            return await request.made(self._session, body, headers)


class _Request:
    """One request as it goes on."""

    def __init__(self, settings: SendSettings, url: str) -> None:
        self._settings, self._url = settings, url
        self._began = time.monotonic()
        self._kept = bytearray()

    async def made(self, session: aiohttp.ClientSession, body: bytes, headers: Mapping[str, str]) -> Result:
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout_s):
                response = await session.post(
                    URL(self._url, encoded=True), data=body, headers=headers, allow_redirects=False
                )
        except ERRORS as error:
            reason, detail = judged(error, host_of(self._url), False, settings.connect_s, settings.timeout_s)
            return self._result(_REASONS.get(reason, Outcome.BROKEN_ANSWER), None, detail)
        try:
            return await self._answered(response)
        finally:
            response.close()  # of an answer that was read to its end the connection is free already

    async def _answered(self, response: aiohttp.ClientResponse) -> Result:
        left_s = self._settings.timeout_s - (time.monotonic() - self._began)
        try:
            async with asyncio.timeout(min(left_s, self._settings.body_s)):
                await self._read(response)
        except ERRORS:
            pass  # the head is the answer
        status, fields = response.status, response.headers
        outcome = _STATUSES.get(status) or _CLASSES.get(status // 100, Outcome.UNEXPECTED_STATUS)
        detail = f"{status} {response.reason or ''}".strip()
        if outcome is Outcome.REDIRECTED:
            detail = f"{detail}, to {_where(fields.get('Location'))}; redirects are not followed"
        after_s = None
        if outcome is not Outcome.SENT:
            after_s = retry_after_s(fields.get("Retry-After"), time.time_ns() // 1000)
        return self._result(outcome, status, detail, after_s)

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        """The first bytes of the body; of what comes beyond them nothing is waited for."""
        most = self._settings.max_answer_bytes
        while len(self._kept) <= most:
            chunk = await response.content.readany()
            if not chunk:
                return
            self._kept += chunk[: most + 1 - len(self._kept)]

    def _result(
        self, outcome: Outcome, status: int | None, detail: str, after_s: int | None = None
    ) -> Result:
        most = self._settings.max_answer_bytes
        return Result(
            outcome=outcome,
            status=status,
            ms=round((time.monotonic() - self._began) * 1000),
            detail=printable(without_credentials(detail), _DETAIL_CHARS),
            answer=printable(bytes(self._kept[:most]).decode("utf-8", "replace"), most),
            retry_after_s=after_s,
        )


def _where(location: str | None) -> str:
    """The host alone: paths and queries hold tokens."""
    if location is None:
        return "nowhere"
    try:
        return urlsplit(location).hostname or "the same host"
    except ValueError:
        return "no URL"
