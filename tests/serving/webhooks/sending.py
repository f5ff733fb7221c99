"""What the sending tests share: settings for local servers, and one POST as one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from serving.webhooks.outcomes import Result
from serving.webhooks.send import Sender, SendSettings
from tests.ingest.feeds.raw_server import Handler, RawServer

LOCAL = SendSettings(test_hosts=frozenset({"127.0.0.1"}))
HURRIED = replace(LOCAL, timeout_s=0.5, body_s=0.2)
BODY = b'{"type":"webhook.test"}'
Found = TypeVar("Found")


def with_server(
    handler: Handler, use: Callable[[RawServer, Sender], Awaitable[Found]], settings: SendSettings = LOCAL
) -> Found:
    """What `use` finds with a server and a sender that may reach it."""

    async def go() -> Found:
        async with RawServer(handler) as server, Sender(settings) as sender:
            return await use(server, sender)

    return asyncio.run(go())


def posted(handler: Handler, settings: SendSettings = LOCAL) -> Result:
    """One request to a server that answers so."""

    async def go(server: RawServer, sender: Sender) -> Result:
        return await sender.post(server.url("/hook"), BODY, {"webhook-id": "evt_1"})

    return with_server(handler, go, settings)
