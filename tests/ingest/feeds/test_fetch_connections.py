"""The pool of connections: over thousands of hosts it neither grows nor leaks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.feeds.fetch import Ask, Fetcher
from ingest.feeds.reasons import Reason
from tests.ingest.feeds.fetching import FEED, LOCAL, with_server
from tests.ingest.feeds.raw_server import RawRequest, RawServer, always, answer

HOSTS = 300


def sockets() -> int:
    """Of this process."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            found += str(link.readlink()).startswith("socket:")
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts sockets as Linux lists them")
def test_sockets_are_few_over_many_hosts_and_none_are_left() -> None:
    async def go() -> tuple[int, int, int]:
        before = sockets()
        async with RawServer(always(answer(200, body=FEED))) as server:
            resolve = {f"h{number}.example": server.address for number in range(HOSTS)}
            settings = replace(LOCAL, resolve=resolve, connections=10, idle_connections=20)
            async with Fetcher(settings) as fetcher:

                async def fetch(host: str) -> None:
                    assert (await fetcher.fetch(Ask(1, f"http://{host}/"))).body == FEED

                await asyncio.gather(*map(fetch, resolve))
                await asyncio.sleep(0.1)
                idle, most = server.open, server.most_open
            await asyncio.sleep(0.1)
            assert server.open == 0
        await asyncio.sleep(0.1)
        assert sockets() <= before
        return idle, most, server.connections

    idle, most, ever = asyncio.run(go())
    assert (idle, ever) == (20, HOSTS)
    assert most <= 40  # busy and idle ones, and those just closed


def test_no_more_connections_at_a_time_than_allowed() -> None:
    async def slow(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(answer(200, body=FEED))

    async def go(server: RawServer, fetcher: Fetcher) -> int:
        await asyncio.gather(*(fetcher.fetch(Ask(key, server.url(f"/{key}"))) for key in range(40)))
        return server.most_open

    assert with_server(slow, go, replace(LOCAL, connections=5)) == 5


def test_one_host_behind_many_asks_keeps_its_connections() -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> int:
        await asyncio.gather(*(fetcher.fetch(Ask(key, server.url(f"/{key}"))) for key in range(200)))
        return server.connections

    assert with_server(always(answer(304)), go, replace(LOCAL, connections=5)) <= 5


def test_cancelled_fetches_give_everything_back() -> None:
    async def never(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        if request.target != "/ok":
            await asyncio.sleep(60)
        writer.write(answer(200, body=FEED))

    async def go(server: RawServer, fetcher: Fetcher) -> None:
        for _ in range(3):
            tasks = [asyncio.create_task(fetcher.fetch(Ask(key, server.url(f"/{key}")))) for key in range(20)]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert (await asyncio.wait_for(fetcher.fetch(Ask(1, server.url("/ok"))), 10)).body == FEED

    with_server(never, go, replace(LOCAL, connections=5))


def test_a_fetcher_that_is_closed_has_failed_names_behind_it() -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> Reason | None:
        return (await fetcher.fetch(Ask(1, "http://no-such-name.invalid/"))).reason

    assert with_server(always(b""), go) is Reason.DNS
