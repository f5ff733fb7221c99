"""Endpoints that break, drag or attack: each ends in an outcome, in bounded time and memory."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc

import pytest

from serving.webhooks.outcomes import Outcome, Result
from serving.webhooks.send import Sender
from tests.ingest.feeds.raw_server import Handler, RawRequest, RawServer, always, answer, by_path, once
from tests.serving.webhooks.sending import BODY, HURRIED, LOCAL, posted, with_server

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
CHUNKED = ("Transfer-Encoding", "chunked")


async def drips(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    """Always a byte more, so that no wait is long."""
    writer.write(HEAD)
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def floods(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    """Ten gigabytes, if somebody takes them."""
    writer.write(answer(200, ("Content-Length", str(10**10))))
    while True:
        writer.write(bytes(65536))
        await writer.drain()


async def stops_after_the_head(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(200, ("Content-Length", "100")))
    await writer.drain()
    await asyncio.sleep(60)


async def silence(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def slow_headers(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def headers_for_ever(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n" * 1000)
        await writer.drain()


async def one_header_for_ever(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"y" * 10_000)
        await writer.drain()


async def interim_for_ever(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100)
        await writer.drain()


async def breaks_after_the_head(request: RawRequest, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(200, CHUNKED))
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(b"zz\r\n")


@pytest.mark.parametrize("handler", [drips, floods, stops_after_the_head, breaks_after_the_head])
def test_a_2xx_head_is_success_whatever_the_body_does(handler: Handler) -> None:
    result = posted(handler, HURRIED)
    assert (result.outcome, result.status) == (Outcome.SENT, 200)
    assert len(result.answer) <= 1000


@pytest.mark.parametrize("handler", [drips, floods])
def test_what_comes_beyond_the_limits_is_cut_off(handler: Handler) -> None:
    async def go(server: RawServer, sender: Sender) -> int:
        await sender.post(server.url(), BODY, {})
        await asyncio.sleep(0.2)
        return server.open

    assert with_server(handler, go, HURRIED) == 0


@pytest.mark.parametrize(
    "handler", [silence, slow_headers, headers_for_ever, one_header_for_ever, interim_for_ever]
)
def test_an_answer_that_does_not_begin_is_given_up(handler: Handler) -> None:
    result = posted(handler, HURRIED)
    assert result.outcome in (
        Outcome.TIMEOUT,
        Outcome.BROKEN_ANSWER,
    )
    assert result.status is None  # too many headers, or too much time


@pytest.mark.parametrize("handler", [floods, headers_for_ever, one_header_for_ever, interim_for_ever])
def test_no_answer_fills_the_memory(handler: Handler) -> None:
    tracemalloc.start()
    try:
        posted(handler, HURRIED)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("handler", [floods, headers_for_ever, interim_for_ever, drips])
def test_others_are_sent_to_meanwhile(handler: Handler) -> None:
    async def go(server: RawServer, sender: Sender) -> list[Result]:
        hostile = [asyncio.create_task(sender.post(server.url("/bad"), BODY, {})) for _ in range(3)]
        fine = [await sender.post(server.url("/ok"), BODY, {}) for _ in range(5)]
        for task in hostile:
            task.cancel()
        await asyncio.gather(*hostile, return_exceptions=True)
        return fine

    results = with_server(by_path(bad=handler, ok=answer(204)), go)
    assert all(result.is_success for result in results)


def test_a_bomb_is_kept_as_the_bytes_it_is() -> None:
    bomb = gzip.compress(bytes(200_000_000), 6, mtime=0)
    tracemalloc.start()
    try:
        result = posted(always(answer(200, ("Content-Encoding", "gzip"), body=bomb)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.is_success
    assert result.answer.isprintable()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"<html>this is HTTP/0.9</html>",
        b"HTTP/1.1 nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        answer(200, ("Content-Length", "-1")),
        answer(200, *[(f"X-{number}", "y") for number in range(10_000)]),
        answer(200, ("X", "y" * 100_000)),
    ],
    ids=range(10),
)
def test_what_is_no_http_is_a_broken_answer(data: bytes) -> None:
    result = posted(once(data))
    assert (result.outcome, result.status) == (Outcome.BROKEN_ANSWER, None)
    assert 0 < len(result.detail) < 400
    assert result.detail.isprintable()


@pytest.mark.parametrize(
    "data",
    [
        answer(200, ("Content-Length", "1000"), body=b"short"),  # breaks off
        answer(200, CHUNKED, body=b"5\r\nhello\r\n"),  # breaks off
        answer(200, ("Content-Encoding", "gzip"), body=b"no gzip"),
    ],
    ids=range(3),
)
def test_a_body_that_breaks_off_after_a_2xx_head_is_success(data: bytes) -> None:
    assert posted(once(data)).is_success


def test_after_all_that_the_next_message_arrives() -> None:
    async def go(server: RawServer, sender: Sender) -> None:
        for name in ("flood", "junk", "drips", "slow", "interim"):
            await sender.post(server.url(f"/{name}"), BODY, {})
        assert (await sender.post(server.url("/ok"), BODY, {})).is_success
        await asyncio.sleep(0.1)
        assert server.open == 1  # nothing hangs on

    handlers = by_path(
        flood=floods,
        junk=b"junk\r\n\r\n",
        drips=drips,
        slow=slow_headers,
        interim=interim_for_ever,
        ok=answer(204),
    )
    with_server(handlers, go, HURRIED)


def test_a_cancelled_request_cuts_its_connection() -> None:
    async def go(server: RawServer, sender: Sender) -> int:
        task = asyncio.create_task(sender.post(server.url(), BODY, {}))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        await asyncio.sleep(0.1)
        return server.most_open

    assert with_server(silence, go, LOCAL) == 1
