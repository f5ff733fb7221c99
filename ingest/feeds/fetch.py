"""One conditional GET of a feed: guarded, polite, bounded in time and size; every outcome has a reason."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib import metadata
from types import TracebackType
from typing import Literal, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from ingest.feeds import headers
from ingest.feeds.buckets import Closed, HostBuckets
from ingest.feeds.connector import BoundedResponse, ExactRequest, GuardedConnector, Names, trust
from ingest.feeds.exchange import Answer, Ask, Exchange, Failed
from ingest.feeds.guard import Guard
from ingest.feeds.hosters import ANY_HOST, HOSTERS, Pace
from ingest.feeds.reasons import Reason
from ingest.feeds.troubles import ERRORS, NO_ANSWER, judged
from ingest.feeds.unpack import Unpackable, Unpacker
from ingest.feeds.urls import BadFeedUrl, feed_url, host_of
from ingest.web import retry_after_s

__all__ = ["Answer", "Ask", "FetchSettings", "Fetcher"]

_ACCEPT = "application/rss+xml, application/atom+xml;q=0.9, application/xml;q=0.8, text/xml;q=0.8, */*;q=0.1"
_REDIRECTS = (301, 302, 303, 307, 308)
# Bodies beyond this are read a few at a time: fifty hostile servers at once must not fill the memory.
_LARGE_BYTES = 4 * 1024 * 1024
_LARGE_AT_ONCE = 4
_REASONS = {
    401: Reason.FORBIDDEN,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    410: Reason.GONE,
    429: Reason.BUSY,
    451: Reason.FORBIDDEN,
    503: Reason.BUSY,
}


@dataclass(frozen=True)
class FetchSettings:
    """Limits of one fetch and politeness to hosts (UPDATES §4)."""

    total_s: float = 30  # all requests of one ask together, to the last byte
    connect_s: float = 10
    max_bytes: int = 50 * 1000 * 1000  # as sent, and unpacked
    max_ratio: float = 200  # unpacked to sent; the real feeds of our tests reach 12, zeros 1,000
    max_redirects: int = 5
    pace: Pace = ANY_HOST
    hosters: Mapping[str, Pace] = field(default_factory=lambda: HOSTERS)  # by domain
    connections: int = 50  # busy at a time, over all hosts
    idle_connections: int = 100
    pause_scope: Literal["host", "domain"] = "host"
    pause_s: float = 60  # after 429 or 503 without Retry-After
    # One show's broken page must not silence a hoster for a day; the feed itself waits as it was told.
    max_pause_s: float = 3600
    names_s: float = 60  # how long a name's addresses are used
    contact: str = ""  # URL or e-mail address for the User-Agent: whom a hoster can tell that we are too fast
    test_hosts: frozenset[str] = frozenset()  # names, addresses and networks that may be private
    resolve: Mapping[str, str] | None = None  # name → "127.0.0.1:8000", instead of DNS
    ca_file: str | None = None  # PEM; certificates of these authorities count instead of the public ones

    @property
    def user_agent(self) -> str:
        about = "; ".join(("podcast feeds", *filter(None, [self.contact])))
        return f"Earshot/{metadata.version('earshot')} ({about})"


class Fetcher:
    """Fetches feeds over one pool of connections: `async with Fetcher(settings) as fetcher`."""

    def __init__(
        self, settings: FetchSettings | None = None, resolver: AbstractResolver | None = None
    ) -> None:
        """`resolver` replaces that of the system; its answers are checked as any other's are."""
        self.settings = settings = settings or FetchSettings()
        self.buckets = HostBuckets(
            settings.pace, settings.hosters, settings.pause_scope, patience_s=settings.total_s
        )
        self._resolver = resolver
        self._free = asyncio.Semaphore(settings.connections)
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
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
                guard, resolver, trust(settings.ca_file), settings.idle_connections, settings.names_s
            ),
            request_class=ExactRequest,
            response_class=BoundedResponse,
            cookie_jar=aiohttp.DummyCookieJar(),  # nothing of one feed's answer goes to another
            headers={
                "User-Agent": settings.user_agent,
                "Accept": _ACCEPT,
                "Accept-Encoding": "gzip, br",
            },
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_s),
            auto_decompress=False,
        )
        await self._open.enter_async_context(self._session)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    def ready_in(self, url: str) -> float:
        """Seconds until the URL's host takes one more request; a forecast. `url` as of `feed_url`."""
        return self.buckets.ready_in(host_of(url))

    async def fetch(self, ask: Ask) -> Answer:
        """Fetch one feed, in its host's turn. Never raises for what a server or name does."""
        exchange = Exchange(ask)
        try:
            exchange.url = feed_url(ask.url)
            return await self._follow(exchange)
        except BadFeedUrl as error:
            return exchange.failed(Reason.BAD_URL, str(error))
        except Failed as failed:
            return exchange.failed(failed.reason, failed.detail, failed.retry_after_s)
        except Closed as closed:
            return exchange.failed(closed.reason, closed.detail, int(closed.left_s) + 1)

    async def _follow(self, exchange: Exchange) -> Answer:
        """Request after request, each in its own host's turn, until one is no redirect."""
        seen: list[str] = []
        while True:
            if exchange.url in seen:
                raise Failed(Reason.REDIRECT_LOOP, _chain([*seen, exchange.url]))
            seen.append(exchange.url)
            if len(seen) > self.settings.max_redirects + 1:
                raise Failed(
                    Reason.TOO_MANY_REDIRECTS, f"more than {self.settings.max_redirects}: {_chain(seen)}"
                )
            host = host_of(exchange.url)
            await self.buckets.enter(host)
            try:
                async with self._free:
                    answer = await self._in_time(exchange, host)
            except Failed as failed:
                if failed.reason is not Reason.BROKEN_ANSWER or not exchange.conditions:
                    raise
                # Some servers break where they should say 304, with a body say: theirs is asked for whole.
                exchange.conditions.clear()
                seen.pop()
                continue
            finally:
                self.buckets.leave(host)
            if answer is not None:
                return answer

    async def _in_time(self, exchange: Exchange, host: str) -> Answer | None:
        """One request within what is left of the time; what goes wrong on the way gets its reason."""
        left_s = self.settings.total_s - exchange.seconds
        exchange.begin()
        try:
            async with asyncio.timeout(left_s):
                return await self._request(exchange, host)
        except ERRORS as error:
            reason, detail = judged(
                error, host, exchange.has_answered, self.settings.connect_s, self.settings.total_s
            )
            if reason in NO_ANSWER and not exchange.has_answered:
                self.buckets.unreached(host, reason, detail)
            raise Failed(reason, detail) from None
        finally:
            exchange.end()

    async def _request(self, exchange: Exchange, host: str) -> Answer | None:
        """One request; None: it was redirected, to `exchange.url`."""
        async with self._session.get(
            URL(exchange.url, encoded=True), headers=exchange.conditions, allow_redirects=False
        ) as response:
            exchange.has_answered, exchange.status = True, response.status
            self.buckets.reached(host)
            status, fields = response.status, response.headers
            if status == 304:
                if not exchange.conditions:
                    raise Failed(Reason.UNEXPECTED_STATUS, "304 to a request without validators")
                return exchange.unchanged(response)
            if status == 200:
                body = await self._body(exchange, response)
                if not body:
                    raise Failed(Reason.EMPTY, "200 with an empty body")
                return exchange.good(response, body)
            if status in _REDIRECTS:
                exchange.redirect(status, fields.get("Location"))
                return None
            retry_after = retry_after_s(fields.get("Retry-After"), time.time_ns() // 1000)
            if (reason := _REASONS.get(status)) is Reason.BUSY:
                pause_s = self.settings.pause_s if retry_after is None else max(1, retry_after)
                self.buckets.pause(host, min(pause_s, self.settings.max_pause_s))
            if reason is None:
                reason = Reason.SERVER_ERROR if status >= 500 else Reason.UNEXPECTED_STATUS
            raise Failed(
                reason, f"{status} {headers.latin1(response.reason or '')[:100]}".strip(), retry_after
            )

    async def _body(self, exchange: Exchange, response: aiohttp.ClientResponse) -> bytes:
        """The unpacked body of an answer, within the caps. Raises Failed."""
        most = self.settings.max_bytes
        if (response.content_length or 0) > most:
            raise Failed(
                Reason.TOO_LARGE, f"announces {response.content_length:,} bytes, of {most:,} allowed"
            )
        coding = ",".join(response.headers.getall("Content-Encoding", ()))
        try:
            unpacker = Unpacker(coding, most, self.settings.max_ratio)
            async with AsyncExitStack() as stack:
                is_large = False
                while chunk := await response.content.readany():
                    exchange.received += len(chunk)
                    unpacker.feed(chunk)
                    if not is_large and unpacker.size > _LARGE_BYTES:
                        is_large = True
                        await stack.enter_async_context(self._large)
                return unpacker.finish()
        except Unpackable as error:
            raise Failed(error.reason, error.detail) from None


def _chain(urls: list[str]) -> str:
    return " → ".join(url[:200] for url in urls)
