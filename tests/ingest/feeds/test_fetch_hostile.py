"""Servers that break, drag or attack: each ends in a reason, in bounded time and memory."""

from __future__ import annotations

import asyncio
import gzip
import os
import tracemalloc
from dataclasses import replace

import brotli
import pytest

from ingest.feeds.fetch import Answer, Ask, Fetcher
from ingest.feeds.reasons import Reason
from tests.ingest.feeds.fetching import FEED, LOCAL, fetched, with_server
from tests.ingest.feeds.raw_server import Handler, RawRequest, RawServer, always, answer, by_path, once

HURRIED = replace(LOCAL, total_s=0.5)
SMALL = replace(LOCAL, max_bytes=100_000)
CHUNKED = ("Transfer-Encoding", "chunked")


async def never_ends(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    """Always a byte more, so that no wait is long."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"<")
        await writer.drain()
        await asyncio.sleep(0.01)


async def slow_headers(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def silence(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def floods(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(65536))
        await writer.drain()


async def interim_for_ever(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
        await writer.drain()
        await asyncio.sleep(0.01)


def test_a_body_without_end_is_cut_off() -> None:
    found = fetched(never_ends, HURRIED)
    assert (found.status, found.reason, found.body) == (200, Reason.TIMEOUT, None)
    assert "not ended" in found.detail


@pytest.mark.parametrize("handler", [slow_headers, silence, interim_for_ever])
def test_an_answer_that_does_not_begin_is_given_up(handler: Handler) -> None:
    found = fetched(handler, HURRIED)
    assert found.reason in (Reason.TIMEOUT, Reason.BROKEN_ANSWER)  # a hundred headers may be the sooner end
    assert found.status is None


def test_the_time_is_for_all_redirects_together() -> None:
    async def slow(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(answer(302, ("Location", request.target + "x")))

    assert fetched(slow, HURRIED).reason is Reason.TIMEOUT


def test_a_flood_is_cut_off_at_the_cap() -> None:
    found = fetched(floods, SMALL)
    assert (found.reason, found.body) == (Reason.TOO_LARGE, None)
    assert found.received_bytes < 2_000_000


def test_an_announced_flood_is_not_read_at_all() -> None:
    found = fetched(always(answer(200, ("Content-Length", "1000000000"))), SMALL)
    assert (found.reason, found.received_bytes) == (Reason.TOO_LARGE, 0)


def test_what_unpacks_to_too_much_is_cut_off() -> None:
    body = gzip.compress(os.urandom(60_000) * 2)
    assert (
        fetched(always(answer(200, ("Content-Encoding", "gzip"), body=body)), SMALL).reason
        is Reason.TOO_LARGE
    )


ZEROS = bytes(200_000_000)


@pytest.mark.parametrize(
    ("coding", "bomb"),
    [
        ("gzip", gzip.compress(ZEROS, 6, mtime=0)),
        ("br", brotli.compress(ZEROS, quality=5)),
        ("gzip, br", brotli.compress(gzip.compress(ZEROS, 6, mtime=0))),
    ],
    ids=["gzip", "br", "both"],
)
def test_a_bomb_does_not_go_off(coding: str, bomb: bytes) -> None:
    tracemalloc.start()
    try:
        found = fetched(always(answer(200, ("Content-Encoding", coding), body=bomb)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.reason, found.body) == (Reason.BOMB, None)
    assert peak < LOCAL.max_bytes


@pytest.mark.parametrize(
    "data",
    [
        b"<rss>this is HTTP/0.9</rss>",
        b"HTTP/1.1 nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        answer(200, ("Content-Length", "1000"), body=FEED),  # breaks off
        answer(200, CHUNKED, body=b"5\r\nhello\r\n"),  # breaks off
        answer(200, CHUNKED, body=b"zz\r\nhello\r\n0\r\n\r\n"),
        answer(200, CHUNKED, body=b"fffffffffffffffffff\r\nhello"),
        answer(200, ("Content-Length", "-1"), body=FEED),
        answer(200, *[(f"X-{number}", "y") for number in range(10_000)], body=FEED),
        answer(200, ("X", "y" * 100_000), body=FEED),
    ],
    ids=range(14),
)
def test_what_is_no_http_is_a_broken_answer(data: bytes) -> None:
    found = fetched(once(data))
    assert (found.reason, found.body) == (Reason.BROKEN_ANSWER, None)
    assert 0 < len(found.detail) < 400
    assert "\n" not in found.detail


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", FEED),
        ("gzip", gzip.compress(FEED, mtime=0)[:-4]),
        ("br", brotli.compress(FEED)[:-1]),
        ("br", b"\xff" * 100),
        ("deflate", b"\xff" * 100),
        ("compress", FEED),
        ("gzip, gzip, gzip, gzip", FEED),
    ],
)
def test_bad_compression_is_named(coding: str, body: bytes) -> None:
    found = fetched(always(answer(200, ("Content-Encoding", coding), body=body)), etag='"old"')
    assert (found.reason, found.body, found.etag) == (Reason.BAD_COMPRESSION, None, '"old"')


def test_a_closed_port_and_a_name_that_is_none() -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> list[Answer]:
        await server.__aexit__()
        urls = (server.url(), "http://no-such-name.invalid/")
        return [await fetcher.fetch(Ask(1, url)) for url in urls]

    closed, nameless = with_server(always(b""), go)
    assert (closed.status, closed.reason) == (None, Reason.CONNECT)
    assert (nameless.status, nameless.reason) == (None, Reason.DNS)


def test_after_all_that_the_next_feed_is_fetched() -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> None:
        for name in ("flood", "junk", "endless", "slow", "bomb"):
            assert (await fetcher.fetch(Ask(1, server.url(f"/{name}")))).reason is not None
        assert (await fetcher.fetch(Ask(1, server.url("/feed")))).body == FEED
        await asyncio.sleep(0.05)
        assert server.open == 1  # nothing hangs on

    handler = by_path(
        flood=floods,
        junk=b"junk\r\n\r\n",
        endless=never_ends,
        slow=slow_headers,
        bomb=answer(200, ("Content-Encoding", "gzip"), body=gzip.compress(bytes(2_000_000))),
        feed=answer(200, body=FEED),
    )
    with_server(handler, go, replace(HURRIED, max_bytes=1_500_000))


def test_only_a_few_large_bodies_are_read_at_a_time() -> None:
    sent: list[asyncio.StreamWriter] = []

    async def thirty_mb_and_no_end(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(30_000_000))  # more than the system would buffer
        sent.append(writer)
        await asyncio.sleep(60)

    def taken() -> int:
        return sum(writer.transport.get_write_buffer_size() == 0 for writer in sent)

    async def go(server: RawServer, fetcher: Fetcher) -> None:
        tasks = [asyncio.create_task(fetcher.fetch(Ask(key, server.url()))) for key in range(9)]
        while taken() < 4:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        assert taken() == 4
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with_server(thirty_mb_and_no_end, go, replace(LOCAL, total_s=60))


def test_a_server_that_breaks_on_conditional_requests_is_asked_for_the_whole_feed() -> None:
    async def handle(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        is_known = request.headers.get("if-none-match") == b'"a"'
        with_body = answer(304, ("Content-Length", "11")) + b"hello world"
        writer.write(with_body if is_known else answer(200, ("ETag", '"a"'), body=FEED))
        await writer.drain()
        writer.close()

    found = fetched(handle, etag='"a"')
    assert (found.reason, found.status, found.body) == (None, 200, FEED)
