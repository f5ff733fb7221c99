"""Fetching one feed from real local servers: what is asked, and what is made of the answer."""

from __future__ import annotations

import asyncio
import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import brotli
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.feeds.fetch import Answer, Ask, Fetcher
from ingest.feeds.reasons import Reason
from tests.ingest.feeds.fetching import FEED, LOCAL, fetched, with_server
from tests.ingest.feeds.raw_server import RawRequest, RawServer, always, answer, by_path, certificate

NOT_MODIFIED = answer(304)


def asked(ask: Ask, reply: bytes = NOT_MODIFIED) -> RawRequest:
    """The request as it reaches the server."""

    async def go(server: RawServer, fetcher: Fetcher) -> RawRequest:
        await fetcher.fetch(replace(ask, url=server.url(ask.url)))
        return server.requests[0]

    return with_server(always(reply), go)


def test_a_feed_comes_with_its_validators() -> None:
    reply = answer(
        200,
        ("Content-Type", "text/xml"),
        ("ETag", 'W/"a"'),
        ("Last-Modified", "yesterday"),
        ("Cache-Control", "max-age=60"),
        body=FEED,
    )
    found = fetched(always(reply), path="/a.xml")
    assert (found.key, found.status, found.reason, found.detail, found.body) == (1, 200, None, "", FEED)
    assert (found.content_type, found.etag, found.last_modified) == ("text/xml", 'W/"a"', "yesterday")
    assert (found.max_age_s, found.retry_after_s, found.permanent_url) == (60, None, None)
    assert found.url.endswith("/a.xml")
    assert found.received_bytes == len(FEED)
    assert found.seconds > 0


def test_a_request_says_who_asks_and_what_for() -> None:
    fields = asked(Ask(1, "/")).headers
    assert fields["user-agent"].startswith(b"Earshot/")
    assert fields["accept"].startswith(b"application/rss+xml")
    assert fields["accept-encoding"] == b"gzip, br"
    assert set(fields) == {"host", "user-agent", "accept", "accept-encoding"}


def test_the_user_agent_names_whom_to_turn_to() -> None:
    assert replace(LOCAL, contact="https://example.com/bot").user_agent.endswith("; https://example.com/bot)")


@pytest.mark.parametrize(
    "target", ["/a%7Eb%2Fc%41.xml?q=%7E&x=[1]&y=a+b'()&z=%5B", "/a;b=c,d//e/../f", "/%C3%A9?a=b?c&&"]
)
def test_the_url_is_asked_for_as_it_is_written(target: str) -> None:
    assert asked(Ask(1, target)).target == target  # a signed one is worth nothing when rewritten


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), min_size=1))
@example('"quoted"')
@example('W/"weak"')
@example("unquoted")
@example('"caf\xe9"')  # latin-1 on the wire, as of a server that puts file names into tags
@example('"caf\xc3\xa9"')  # UTF-8 on the wire
@example('"\xff\xfe\x80"')
@settings(max_examples=30)
def test_validators_go_back_byte_for_byte(etag: str) -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> Answer:
        first = await fetcher.fetch(Ask(1, server.url()))
        await fetcher.fetch(Ask(1, server.url(), first.etag, first.last_modified))
        sent = server.requests[1].headers
        assert sent["if-none-match"] == etag.encode("latin-1")
        assert sent["if-modified-since"] == b"Sat, 1 Jan 2026 \xe9"
        return first

    fields = (("ETag", etag), ("Last-Modified", "Sat, 1 Jan 2026 \xe9"))
    assert with_server(always(answer(200, *fields, body=FEED)), go).etag == etag


@pytest.mark.parametrize("etag", ["a\r\nHost: b", "a\x00", "\u20ac", "", "x" * 5000])
def test_a_validator_that_no_header_can_hold_is_not_sent(etag: str) -> None:
    assert "if-none-match" not in asked(Ask(1, "/", etag=etag)).headers


def test_unchanged_keeps_the_validators_asked_with() -> None:
    found = fetched(
        always(answer(304, ("Cache-Control", "public, max-age=300"))), etag='"a"', last_modified="b"
    )
    assert (found.status, found.reason, found.body) == (304, None, None)
    assert (found.etag, found.last_modified, found.max_age_s) == ('"a"', "b", 300)


def test_unchanged_may_bring_new_validators() -> None:
    found = fetched(always(answer(304, ("ETag", '"b"'))), etag='"a"', last_modified="c")
    assert (found.etag, found.last_modified) == ('"b"', "c")


def test_unchanged_without_a_condition_is_unexpected() -> None:
    found = fetched(always(NOT_MODIFIED))
    assert (found.status, found.reason) == (304, Reason.UNEXPECTED_STATUS)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (204, Reason.UNEXPECTED_STATUS),
        (206, Reason.UNEXPECTED_STATUS),
        (300, Reason.UNEXPECTED_STATUS),
        (301, Reason.UNEXPECTED_STATUS),  # without a Location
        (400, Reason.UNEXPECTED_STATUS),
        (401, Reason.FORBIDDEN),
        (403, Reason.FORBIDDEN),
        (404, Reason.NOT_FOUND),
        (410, Reason.GONE),
        (429, Reason.BUSY),
        (451, Reason.FORBIDDEN),
        (500, Reason.SERVER_ERROR),
        (502, Reason.SERVER_ERROR),
        (503, Reason.BUSY),
    ],
)
def test_each_status_has_its_reason(status: int, reason: Reason) -> None:
    found = fetched(always(answer(status, body=b"" if status == 204 else b"sorry")), etag='"a"')
    assert (found.status, found.reason, found.body) == (status, reason, None)
    assert found.detail
    assert found.etag == '"a"'  # that of the copy we have


def test_an_empty_body_is_no_feed() -> None:
    found = fetched(always(answer(200, ("ETag", '"new"'))), etag='"old"')
    assert (found.status, found.reason, found.body, found.etag) == (200, Reason.EMPTY, None, '"old"')


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(FEED, mtime=0)),
        ("br", brotli.compress(FEED)),
        ("gzip, br", brotli.compress(gzip.compress(FEED, mtime=0))),
        ("identity", FEED),
    ],
)
def test_a_packed_body_is_unpacked(coding: str, packed: bytes) -> None:
    found = fetched(always(answer(200, ("Content-Encoding", coding), body=packed)))
    assert (found.body, found.received_bytes) == (FEED, len(packed))


def test_a_body_that_ends_with_the_connection_is_whole() -> None:
    async def until_closed(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + FEED)
        await writer.drain()
        writer.close()

    assert fetched(until_closed).body == FEED


def test_a_chunked_body_is_put_together() -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (FEED[:10], FEED[10:])) + b"0\r\n\r\n"
    assert fetched(always(answer(200, ("Transfer-Encoding", "chunked"), body=chunks))).body == FEED


def test_no_cookie_goes_from_one_feed_to_another_nor_comes_back() -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> None:
        for path in ("/a", "/a", "/b"):
            await fetcher.fetch(Ask(1, server.url(path)))
        assert all("cookie" not in request.headers for request in server.requests)

    with_server(always(answer(200, ("Set-Cookie", "who=a; Path=/"), body=FEED)), go)


def test_a_url_that_is_none_is_told_so() -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> None:
        for url in (
            "",
            "mailto:a@b.example",
            "http://",
            "http://a:b@c.example/",
            "http://0x7f.1/",
            "http://2130706433/",
        ):
            found = await fetcher.fetch(Ask(7, url))
            assert (found.key, found.url, found.status, found.reason) == (7, url, None, Reason.BAD_URL)

    with_server(always(b""), go)


def test_a_busy_server_says_when_to_come_back() -> None:
    for fields, seconds in (
        ((("Retry-After", "120"),), 120),
        (((("Retry-After", "9" * 30)),), 86400),
        ((), None),
    ):
        found = fetched(always(answer(503, *fields)))
        assert (found.reason, found.retry_after_s) == (Reason.BUSY, seconds)


def test_connections_are_used_again() -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> int:
        for path in ("/gone", "/moved", "/feed", "/feed"):
            await fetcher.fetch(Ask(1, server.url(path)))
        return server.connections

    handler = by_path(
        gone=answer(410, body=b"gone"),
        moved=answer(302, ("Location", "/feed"), body=b"there"),
        feed=answer(body=FEED),
    )
    assert with_server(handler, go) == 1


def test_a_connection_closed_while_idle_is_replaced() -> None:
    async def closing(request: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=FEED))
        await writer.drain()
        writer.close()

    async def go(server: RawServer, fetcher: Fetcher) -> None:
        for _ in range(3):
            assert (await fetcher.fetch(Ask(1, server.url()))).reason is None

    with_server(closing, go)


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes the certificate")


@needs_openssl
def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    context, authority = certificate(tmp_path)

    async def go() -> tuple[Answer, Answer]:
        async with RawServer(always(answer(body=FEED)), context) as server:
            async with Fetcher(LOCAL) as fetcher:
                refused = await fetcher.fetch(Ask(1, server.url()))
            async with Fetcher(replace(LOCAL, ca_file=str(authority))) as fetcher:
                return refused, await fetcher.fetch(Ask(1, server.url()))

    refused, accepted = asyncio.run(go())
    assert (refused.status, refused.reason) == (None, Reason.TLS)
    assert accepted.body == FEED


def test_plain_http_where_tls_is_spoken_is_named() -> None:
    async def speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(400))
        await writer.drain()
        writer.close()

    async def go() -> Answer:
        server = await asyncio.start_server(speak_http, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Fetcher(LOCAL) as fetcher:
            return await fetcher.fetch(Ask(1, f"https://127.0.0.1:{port}/"))

    assert asyncio.run(go()).reason is Reason.TLS


@needs_openssl
def test_from_https_to_http_is_followed_but_is_no_move(tmp_path: Path) -> None:
    context, authority = certificate(tmp_path)

    async def go() -> Answer:
        async with RawServer(always(answer(body=FEED))) as plain:
            moved = always(answer(301, ("Location", plain.url("/feed"))))
            async with (
                RawServer(moved, context) as secure,
                Fetcher(replace(LOCAL, ca_file=str(authority))) as fetcher,
            ):
                return await fetcher.fetch(Ask(1, secure.url()))

    found = asyncio.run(go())
    assert (found.body, found.permanent_url) == (FEED, None)
    assert found.url.startswith("http:")
