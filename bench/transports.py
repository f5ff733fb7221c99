"""CPU of one conditional GET that is answered 304, by HTTP client (docs/decisions/0012).

The server is another process; only the client's CPU is counted.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from multiprocessing.connection import Connection

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from bench.report import Figures, show
from ingest.feeds.exchange import Ask as FeedAsk
from ingest.feeds.fetch import Fetcher, FetchSettings
from ingest.feeds.hosters import Pace

ASKS = 6000
WORKERS = 50
HOST = "feeds.example"
ETAG = '"33a64df551425fcc55e4d42a148795d9f25f89d4"'
HEADERS = {
    "User-Agent": "Earshot/0 (bench)",
    "Accept": "application/rss+xml, application/xml;q=0.9, */*;q=0.1",
    "Accept-Encoding": "gzip, br",
    "If-None-Match": ETAG,
    "If-Modified-Since": "Wed, 21 Oct 2015 07:28:00 GMT",
}
_NOT_MODIFIED = (
    b"HTTP/1.1 304 Not Modified\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\nServer: nginx\r\n"
    b"ETag: " + ETAG.encode() + b"\r\nCache-Control: public, max-age=300\r\nVary: Accept-Encoding\r\n"
    b"X-Cache: HIT\r\nAge: 7\r\n\r\n"
)

Ask = Callable[[str], Awaitable[None]]


class _Server(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(_NOT_MODIFIED * data.count(b"\r\n\r\n"))


def _serve(told: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0, backlog=500)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


class _Resolver(aiohttp.abc.AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
        return [
            aiohttp.abc.ResolveResult(hostname=host, host="127.0.0.1", port=port, family=2, proto=0, flags=0)
        ]

    async def close(self) -> None: ...


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=WORKERS, resolver=_Resolver(), ttl_dns_cache=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
    )


@asynccontextmanager
async def httpx_client(transport: httpx.AsyncBaseTransport) -> AsyncIterator[Ask]:
    async with httpx.AsyncClient(transport=transport, timeout=10, trust_env=False) as client:

        async def ask(url: str) -> None:
            async with client.stream("GET", url, headers=HEADERS) as response:
                assert response.status_code == 304
                async for _ in response.aiter_raw():
                    pass

        yield ask


@asynccontextmanager
async def httpx_own() -> AsyncIterator[Ask]:
    async with httpx_client(
        httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=WORKERS, max_keepalive_connections=WORKERS)
        )
    ) as ask:
        yield ask


@asynccontextmanager
async def httpx_on_aiohttp() -> AsyncIterator[Ask]:
    async with httpx_client(AiohttpTransport(client=_session())) as ask:
        yield ask


@asynccontextmanager
async def transport_on_aiohttp() -> AsyncIterator[Ask]:
    async with AiohttpTransport(client=_session()) as transport:

        async def ask(url: str) -> None:
            response = await transport.handle_async_request(httpx.Request("GET", url, headers=HEADERS))
            assert response.status_code == 304
            await response.aclose()

        yield ask


@asynccontextmanager
async def plain_aiohttp() -> AsyncIterator[Ask]:
    async with _session() as session:

        async def ask(url: str) -> None:
            async with session.get(url, headers=HEADERS, allow_redirects=False) as response:
                assert response.status == 304
                await response.content.read()

        yield ask


@asynccontextmanager
async def our_fetcher(port: int) -> AsyncIterator[Ask]:
    resolve = {HOST: f"127.0.0.1:{port}"}
    async with Fetcher(FetchSettings(pace=Pace(1e6, WORKERS), resolve=resolve)) as fetcher:

        async def ask(url: str) -> None:
            answer = await fetcher.fetch(FeedAsk(1, url, ETAG, HEADERS["If-Modified-Since"]))
            assert answer.status == 304

        yield ask


async def _measure(client: AbstractAsyncContextManager[Ask], base: str, asks: int) -> tuple[float, float]:
    """CPU and wall ms of one ask."""
    urls = [f"{base}/feeds/{number}/podcast.xml" for number in range(asks)]
    async with client as ask:
        await ask(urls[0])
        left = iter(urls)

        async def work() -> None:
            for url in left:
                await ask(url)

        began, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(work() for _ in range(WORKERS)))
        return (time.process_time() - began) / asks * 1000, (time.perf_counter() - wall) / asks * 1000


def run(rows: int | None, repeats: int) -> Figures:
    """`rows`: asks of each client; of the repeats the cheapest counts."""
    asks = rows or ASKS
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    server.start()
    port = here.recv()
    clients: dict[str, tuple[Callable[[], AbstractAsyncContextManager[Ask]], str]] = {
        "httpx": (httpx_own, f"127.0.0.1:{port}"),
        "httpx_on_aiohttp": (httpx_on_aiohttp, f"127.0.0.1:{port}"),
        "aiohttp_transport": (transport_on_aiohttp, f"127.0.0.1:{port}"),
        "aiohttp": (plain_aiohttp, f"127.0.0.1:{port}"),
        "fetcher": (partial(our_fetcher, port), HOST),
    }
    try:
        best = {
            name: min(asyncio.run(_measure(make(), f"http://{host}", asks)) for _ in range(repeats))
            for name, (make, host) in clients.items()
        }
    finally:
        server.terminate()
    table: list[list[object]] = [[name, f"{cpu:.3f}", f"{wall:.3f}"] for name, (cpu, wall) in best.items()]
    show(f"One 304, the least of {repeats} times {asks:,}", ["client", "CPU ms", "wall ms"], table)
    return {"asks": asks, **{f"{name}_cpu_ms": round(cpu, 3) for name, (cpu, _) in best.items()}}
