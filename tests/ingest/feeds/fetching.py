"""What the fetch tests share: one feed, settings for local servers, and one fetch as one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ingest.feeds.fetch import Answer, Ask, Fetcher, FetchSettings
from ingest.feeds.hosters import Pace
from tests.ingest.feeds.raw_server import Handler, RawServer

FEED = b'<?xml version="1.0"?><rss version="2.0"><channel><title>A</title></channel></rss>'
LOCAL = FetchSettings(total_s=20, pace=Pace(1000, 50), test_hosts=frozenset({"127.0.0.1"}))
Found = TypeVar("Found")


def with_server(
    handler: Handler, use: Callable[[RawServer, Fetcher], Awaitable[Found]], settings: FetchSettings = LOCAL
) -> Found:
    """What `use` finds with a server and a fetcher that may reach it."""

    async def go() -> Found:
        async with RawServer(handler) as server, Fetcher(settings) as fetcher:
            return await use(server, fetcher)

    return asyncio.run(go())


def fetched(
    handler: Handler,
    settings: FetchSettings = LOCAL,
    path: str = "/",
    etag: str | None = None,
    last_modified: str | None = None,
) -> Answer:
    """One feed of a server that answers so."""

    async def go(server: RawServer, fetcher: Fetcher) -> Answer:
        return await fetcher.fetch(Ask(1, server.url(path), etag, last_modified))

    return with_server(handler, go, settings)
