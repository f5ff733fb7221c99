"""Every source that is called, under every answer that goes wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.feeds.sources.apple import BUSY_STATUSES, Apple
from ingest.feeds.sources.budget import Limits
from ingest.feeds.sources.calls import Calls, SourceReason, SourceUnavailable
from ingest.feeds.sources.change_file import ChangeFile, Cursor
from ingest.feeds.sources.podcastindex import Credentials, PodcastIndex
from ingest.feeds.sources.websub import Subscription, request
from tests.ingest.feeds.sources.server import NOW_US, Clock, Page, Server, json_page, run

Use = Callable[[Calls, str], Awaitable[Any]]


def podcastindex(calls: Calls, url: str) -> Awaitable[Any]:
    return PodcastIndex(calls, Credentials("KEY", "SECRET"), url).by_feed_url("https://a.example/feed")


def podcastindex_recent(calls: Calls, url: str) -> Awaitable[Any]:
    return PodcastIndex(calls, Credentials("KEY", "SECRET"), url).recent(1)


def change_file(calls: Calls, url: str) -> Awaitable[Any]:
    return ChangeFile(calls, url + "/current").read(Cursor())


async def apple(calls: Calls, url: str) -> Any:
    return [one async for one in Apple(calls, url + "/lookup").lookup([1, 2])]


def websub(calls: Calls, url: str) -> Awaitable[Any]:
    wanted = Subscription(url + "/hub", "https://a.example/feed", "https://us.example/cb/1/x", "SECRET")
    return request(calls, wanted)


SOURCES = [podcastindex, podcastindex_recent, change_file, apple, websub]
WITH_BODY = [podcastindex, podcastindex_recent, change_file, apple]


def refusal(tmp_path: Path, server: Server, use: Use, **more: Any) -> SourceUnavailable:
    with pytest.raises(SourceUnavailable) as raised:
        run(tmp_path, lambda calls: use(calls, server.url), **more)
    assert "KEY" not in str(raised.value) and "SECRET" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("use", SOURCES)
def test_a_source_that_is_busy_is_left_alone_for_as_long_as_it_says(
    tmp_path: Path, server: Server, use: Use
) -> None:
    server.pages["*"] = Page(status=429, headers={"Retry-After": "120"})
    error = refusal(tmp_path, server, use)
    assert (error.reason, error.until_us) == (SourceReason.BUSY, NOW_US + 120_000_000)
    # Another process, with the same file: it does not even ask.
    again = refusal(tmp_path, server, use, clock=Clock(NOW_US + 119_000_000))
    assert (again.reason, again.until_us) == (SourceReason.OUT_OF_BUDGET, NOW_US + 120_000_000)
    assert len(server.asked) == 1
    assert refusal(tmp_path, server, use, clock=Clock(NOW_US + 120_000_000)).reason == SourceReason.BUSY
    assert len(server.asked) == 2


@pytest.mark.parametrize("use", SOURCES)
def test_a_wrong_key_is_told_and_not_tried_again_at_once(tmp_path: Path, server: Server, use: Use) -> None:
    server.pages["*"] = Page(b"KEY SECRET", 401)
    error = refusal(tmp_path, server, use)
    assert error.reason == SourceReason.UNAUTHORIZED
    assert error.until_us is not None and error.until_us > NOW_US


@pytest.mark.parametrize("use", SOURCES)
def test_an_answer_that_never_ends_is_a_timeout(tmp_path: Path, server: Server, use: Use) -> None:
    server.pages["*"] = Page(b"{", hangs=True)
    assert refusal(tmp_path, server, use, total_s=0.3).reason == SourceReason.TIMEOUT


@pytest.mark.parametrize("use", SOURCES)
def test_an_answer_of_50_megabytes_is_broken_off(tmp_path: Path, server: Server, use: Use) -> None:
    server.pages["*"] = Page(b" " * (1 << 20), times=50)
    assert refusal(tmp_path, server, use).reason == SourceReason.TOO_LARGE


@pytest.mark.parametrize("use", WITH_BODY)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>busy</html>",
        b"[]",
        b"null",
        b'{"status":"true","feed":{"id":1,"url":"https://a.exa',
        b"{}",
        b'{"feed":7,"data":7,"results":7}',
        b'{"feed":{"id":"x","url":"ftp://a"},"data":{"feeds":{}},"results":{}}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_an_answer_of_another_shape_is_junk(tmp_path: Path, server: Server, use: Use, body: bytes) -> None:
    # Without a feed in `data` there is nothing new: that much recent/data may say.
    if use is podcastindex_recent and b'"feeds":{}' in body:
        return
    server.pages["*"] = Page(body)
    assert refusal(tmp_path, server, use).reason == SourceReason.JUNK


@pytest.mark.parametrize("use", SOURCES)
def test_an_answer_that_breaks_off_is_no_answer(tmp_path: Path, server: Server, use: Use) -> None:
    server.pages["*"] = Page(b'{"status":"true",', claimed=1000)
    assert refusal(tmp_path, server, use).reason == SourceReason.UNREACHABLE


@pytest.mark.parametrize("use", WITH_BODY)
def test_a_compressed_answer_was_not_asked_for(tmp_path: Path, server: Server, use: Use) -> None:
    server.pages["*"] = Page(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert refusal(tmp_path, server, use).reason == SourceReason.JUNK
    assert server.asked[0].headers["accept-encoding"] == "identity"
    assert server.asked[0].headers["user-agent"].startswith("Earshot/")


@pytest.mark.parametrize("use", WITH_BODY)
def test_a_redirect_is_not_followed_with_our_key(tmp_path: Path, server: Server, use: Use) -> None:
    server.pages["*"] = Page(status=302, headers={"Location": "/elsewhere"})
    assert refusal(tmp_path, server, use).reason == SourceReason.REFUSED
    assert len(server.asked) == 1


@pytest.mark.parametrize("use", SOURCES)
def test_a_server_in_trouble_and_one_that_is_not_there_are_told_apart(
    tmp_path: Path, server: Server, use: Use
) -> None:
    server.pages["*"] = Page(status=500)
    assert refusal(tmp_path, server, use).reason == SourceReason.SERVER_ERROR
    server.close()
    assert refusal(tmp_path, server, use).reason == SourceReason.UNREACHABLE


@pytest.mark.parametrize("use", SOURCES)
def test_a_spent_budget_holds_over_a_restart_and_says_when_it_goes_on(
    tmp_path: Path, server: Server, use: Use
) -> None:
    server.pages["*"] = Page(status=500)
    limits, clock = Limits(2, 1000), Clock()
    for _ in range(2):
        refusal(tmp_path, server, use, limits=limits, clock=clock)
        clock.advance(10)
    error = refusal(tmp_path, server, use, limits=limits, clock=clock)
    assert (error.reason, error.until_us) == (SourceReason.OUT_OF_BUDGET, NOW_US + 60_000_000)
    assert len(server.asked) == 2
    assert (
        refusal(tmp_path, server, use, limits=limits, clock=Clock(NOW_US + 60_000_000)).reason != error.reason
    )
    assert len(server.asked) == 3


def test_apple_says_busy_with_403(tmp_path: Path, server: Server) -> None:
    server.pages["*"] = Page(status=403)
    assert refusal(tmp_path, server, apple, busy=BUSY_STATUSES).reason == SourceReason.BUSY


def test_a_good_answer_forgives_former_pauses(tmp_path: Path, server: Server) -> None:
    clock, pauses = Clock(), []
    for status in (429, 429, 200, 429):
        server.pages["*"] = Page(status=429) if status == 429 else json_page({"results": []})
        try:
            run(tmp_path, lambda calls: apple(calls, server.url), clock=clock)
        except SourceUnavailable as error:
            assert error.until_us is not None
            pauses.append((error.until_us - clock.now_us) // 1_000_000)
        clock.advance(3600)
    assert pauses == [60, 120, 60]


def test_a_refusal_is_told_in_the_servers_words(tmp_path: Path, server: Server) -> None:
    said = {"status": "false", "description": "Invalid parameters"}
    server.pages["*"] = json_page(said, status=422)
    assert "Invalid parameters" in refusal(tmp_path, server, podcastindex).detail
