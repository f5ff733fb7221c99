"""Redirects are followed by us, a few, each judged like a first URL."""

from __future__ import annotations

import pytest

from ingest.feeds.fetch import Answer, Ask, Fetcher
from ingest.feeds.reasons import Reason
from tests.ingest.feeds.fetching import FEED, fetched, with_server
from tests.ingest.feeds.raw_server import Handler, RawServer, always, answer, by_path


def to(location: str | bytes, status: int = 301) -> bytes:
    return answer(status, ("Location", location), body=b"over there")


CHAIN = by_path(
    a=to("/b"),
    b=to("/c", 308),
    c=answer(200, body=FEED),
    d=to("/b", 302),
    e=to("f"),
    f=to("/d", 308),
    gone=to("/410"),
)


@pytest.mark.parametrize(
    ("path", "permanent"),
    [("/a", "/c"), ("/b", "/c"), ("/c", None), ("/d", None), ("/e", None), ("/gone", None)],
)
def test_only_a_chain_of_permanent_redirects_to_a_feed_is_a_move(path: str, permanent: str | None) -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> tuple[Answer, str | None]:
        return await fetcher.fetch(Ask(1, server.url(path))), permanent and server.url(permanent)

    found, expected = with_server(CHAIN, go)
    assert found.permanent_url == expected
    assert found.url.endswith("/410" if path == "/gone" else "/c")


def test_validators_go_along() -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> None:
        found = await fetcher.fetch(Ask(1, server.url("/a"), etag='"x"'))
        assert (found.status, found.reason, found.permanent_url) == (304, None, server.url("/b"))
        assert [request.headers["if-none-match"] for request in server.requests] == [b'"x"'] * 2

    with_server(by_path(a=to("/b"), b=answer(304)), go)


@pytest.mark.parametrize("handler", [by_path(a=to("/b"), b=to("/a")), always(to("/a"))])
def test_a_loop_is_named(handler: Handler) -> None:
    found = fetched(handler, path="/a")
    assert (found.status, found.reason) == (301, Reason.REDIRECT_LOOP)
    assert found.detail.startswith("http://127.0.0.1:")
    assert found.detail.endswith("/a")
    assert " → " in found.detail


def test_five_redirects_are_enough() -> None:
    steps = {f"s{number}": to(f"/s{number + 1}", 302) for number in range(7)}
    handler = by_path(**steps, s7=answer(200, body=FEED))
    assert fetched(handler, path="/s2").body == FEED
    assert fetched(handler, path="/s1").reason is Reason.TOO_MANY_REDIRECTS


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://a.example/feed",
        "data:text/xml,<rss/>",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "http://user:secret@a.example/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://017700000001/",
        "http://a.example:99999/",
        "http://[nonsense/",
        "https://",
        b"http://\xff\xfe/",
    ],
)
def test_a_redirect_to_what_is_no_feed_url_is_refused(location: str | bytes) -> None:
    found = fetched(always(to(location)))
    assert (found.status, found.reason) == (301, Reason.BAD_URL)
    assert found.detail.startswith("redirected to ")
    assert found.permanent_url is None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "[::1]",
        "[::ffff:127.0.0.2]",
        "[fe80::1]",
        "[::1%25lo]",
        "0.0.0.0",
    ],
)
def test_a_redirect_to_a_private_address_is_refused(host: str) -> None:
    found = fetched(always(to(f"http://{host}/latest/meta-data/")))
    assert (found.status, found.reason) == (301, Reason.PRIVATE_ADDRESS)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/f\xe9", "/f%E9"),  # latin-1 on the wire
        ("/f\xc3\xa9", "/f%C3%A9"),  # UTF-8 on the wire
        ("/a b", "/a%20b"),
        ("?x=1", "/?x=1"),
        ("../b#part", "/b"),
    ],
)
def test_a_sloppy_location_is_understood(location: str, target: str) -> None:
    async def go(server: RawServer, fetcher: Fetcher) -> str:
        await fetcher.fetch(Ask(1, server.url()))
        return server.requests[1].target

    assert with_server(always(to(location, 302)), go) == target


def test_credentials_in_a_redirect_are_not_kept() -> None:
    found = fetched(always(answer(302, ("Location", "http://user:hunter2@example.com/x"))))
    assert found.reason is Reason.BAD_URL
    assert "hunter2" not in found.detail and "***@example.com" in found.detail
