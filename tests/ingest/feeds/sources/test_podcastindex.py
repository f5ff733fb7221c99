"""The Podcast Index: ids by any name, what is new, the walk back through its change files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from ingest.feeds.sources.budget import Limits
from ingest.feeds.sources.calls import SourceReason, SourceUnavailable
from ingest.feeds.sources.change_file import ChangeFile, Changes, Cursor
from ingest.feeds.sources.podcastindex import Credentials, PodcastIndex, Recent
from ingest.feeds.sources.values import Ids
from ingest.feeds.urls import podcast_key
from tests.ingest.feeds.sources.server import NOW_S, NOW_US, Asked, Clock, Page, Server, json_page, run

FEED = {
    "id": 75075,
    "podcastGuid": "9B024349-CCF0-5F69-A609-6B82873EAB3C",
    "title": "Batman University",
    "url": "https://Feeds.example/batman",
    "originalUrl": "https://feeds.example/batman",
    "itunesId": 1441923632,
    "dead": 0,
}
IDS = Ids(
    "source",
    "https://feeds.example/batman",
    "9b024349-ccf0-5f69-a609-6b82873eab3c",
    1441923632,
    75075,
    None,
    "Batman University",
)


def index(tmp_path: Path, server: Server, ask: Any) -> Any:
    return run(tmp_path, lambda calls: ask(PodcastIndex(calls, Credentials("KEY", "SECRET"), server.url)))


@pytest.mark.parametrize(
    ("ask", "path", "query"),
    [
        (
            lambda api: api.by_feed_url("https://a.example/?b=c&d"),
            "byfeedurl",
            {"url": "https://a.example/?b=c&d"},
        ),
        (lambda api: api.by_guid("abc"), "byguid", {"guid": "abc"}),
        (lambda api: api.by_itunes_id(17), "byitunesid", {"id": "17"}),
    ],
)
def test_a_podcast_is_found_by_url_guid_and_apples_id(
    tmp_path: Path, server: Server, ask: Any, path: str, query: dict[str, str]
) -> None:
    server.pages[f"/podcasts/{path}"] = json_page({"status": "true", "feed": FEED, "description": "Found"})
    assert index(tmp_path, server, ask) == IDS
    (asked,) = server.asked
    assert asked.query == query
    assert asked.headers["x-auth-key"] == "KEY" and asked.headers["x-auth-date"] == str(NOW_S)
    assert asked.headers["authorization"] == hashlib.sha1(f"KEYSECRET{NOW_S}".encode()).hexdigest()


@pytest.mark.parametrize(
    "page",
    [
        json_page({"status": "true", "feed": [], "description": "No feeds match this guid."}),
        json_page({"status": "false", "description": "Feed url not found."}, status=400),
        json_page({"status": "false", "description": "Not found"}, status=404),
    ],
)
def test_a_podcast_that_the_index_does_not_know_is_none(tmp_path: Path, server: Server, page: Page) -> None:
    server.pages["*"] = page
    assert index(tmp_path, server, lambda api: api.by_guid("abc")) is None


def test_values_that_cannot_be_are_left_out(tmp_path: Path, server: Server) -> None:
    odd = {
        "id": 5,
        "url": "file:///etc/passwd",
        "itunesId": 0,
        "podcastGuid": "\0",
        "title": ["x"],
        "newUrl": 7,
    }
    server.pages["*"] = json_page({"status": "true", "feed": odd})
    assert index(tmp_path, server, lambda api: api.by_guid("abc")) == Ids("source", podcastindex_id=5)


def test_a_key_is_never_shown() -> None:
    assert "SECRET" not in repr(Credentials("KEY", "SECRET")) and "KEY" not in repr(
        Credentials("KEY", "SECRET")
    )


def data(position: int, feeds: list[int], items: list[int] = []) -> dict[str, Any]:  # noqa: B006
    return {
        "position": position,
        "feeds": [{"feedId": n, "feedUrl": f"https://f.example/{n}", "feedItunesId": None} for n in feeds],
        "items": [{"feedId": n, "episodeId": 1, "episodeAdded": NOW_S - 100 + n} for n in items],
    }


def test_recent_podcasts_are_hints_and_the_cursor_only_grows(tmp_path: Path, server: Server) -> None:
    answer = {"status": "true", "nextSince": NOW_S - 50, "data": data(9, [1], [1, 2])}
    server.pages["/recent/data"] = json_page(answer)
    found: Recent = index(tmp_path, server, lambda api: api.recent(NOW_S - 500))
    assert server.asked[0].query == {"since": str(NOW_S - 500), "max": "1000"}
    assert [(hint.podcastindex_id, hint.feed_url, hint.noticed_us) for hint in found.hints] == [
        (1, "https://f.example/1", NOW_US),
        (2, None, NOW_US - 98_000_000),
    ]
    assert found.hints[0].podcast_key == podcast_key("https://f.example/1")
    assert found.ids == [Ids("source", "https://f.example/1", podcastindex_id=1)]
    assert found.next_since_s == NOW_S - 50
    server.pages["/recent/data"] = json_page({**answer, "nextSince": 10**15})
    assert index(tmp_path, server, lambda api: api.recent(NOW_S - 500)).next_since_s == NOW_S
    server.pages["/recent/data"] = json_page({**answer, "nextSince": 7, "data": data(9, [])})
    assert index(tmp_path, server, lambda api: api.recent(NOW_S - 500)).next_since_s == NOW_S - 500


class Tracking:
    """Change files 1 … newest; file n has the podcast n and position n × 10."""

    def __init__(self, server: Server, newest: int) -> None:
        self.server, self.newest, self.oldest = server, newest, 1
        server.pages["*"] = self.answer
        self.broken: dict[int, Page] = {}

    def answer(self, asked: Asked) -> Page:
        number = self.newest if asked.path == "/current" else int(asked.path[1:])
        tag = f'"{number}"'
        if number in self.broken:
            return self.broken[number]
        if asked.headers.get("if-none-match") == tag:
            return Page(status=304)
        if number < self.oldest:
            return Page(b"gone", 404)
        previous = f"{self.server.url}/{number - 1}"
        page = json_page(
            {"status": "true", "previousTrackingUrl": previous, "data": data(number * 10, [number])}
        )
        page.headers["ETag"] = tag
        return page

    def read(self, tmp_path: Path, cursor: Cursor, max_files: int = 40) -> tuple[Changes, list[int]]:
        """What a pass finds; also which podcasts."""
        address = self.server.url + "/current"
        found = run(tmp_path, lambda calls: ChangeFile(calls, address, max_files).read(cursor))
        return found, [hint.podcastindex_id for hint in found.hints]


def test_the_first_time_only_the_newest_change_file_is_read(tmp_path: Path, server: Server) -> None:
    found, podcasts = Tracking(server, 5).read(tmp_path, Cursor())
    assert podcasts == [5] and found.cursor == Cursor(50, '"5"')


def test_everything_since_the_last_pass_is_read_once(tmp_path: Path, server: Server) -> None:
    tracking = Tracking(server, 5)
    cursor = tracking.read(tmp_path, Cursor())[0].cursor
    found, podcasts = tracking.read(tmp_path, Cursor.parse(cursor.text()))
    assert podcasts == [] and found.cursor == cursor
    tracking.newest = 8
    found, podcasts = tracking.read(tmp_path, cursor)
    assert podcasts == [8, 7, 6] and found.cursor == Cursor(80, '"8"') and found.stopped is None


def test_a_long_absence_is_caught_up_with_over_several_passes(tmp_path: Path, server: Server) -> None:
    tracking = Tracking(server, 3)
    cursor, seen = tracking.read(tmp_path, Cursor())[0].cursor, []
    for newest in (13, 13, 15, 15, 15, 15, 15):
        tracking.newest = newest
        found, podcasts = tracking.read(tmp_path, cursor, max_files=3)
        cursor = Cursor.parse(found.cursor.text())
        assert found.files <= 4
        seen += podcasts
    assert set(seen) == set(range(4, 16))
    assert cursor == Cursor(150, '"15"')


def test_files_that_are_no_longer_kept_end_the_walk(tmp_path: Path, server: Server) -> None:
    tracking = Tracking(server, 9)
    tracking.oldest = 7
    found, podcasts = tracking.read(tmp_path, Cursor(20))
    assert podcasts == [9, 8, 7] and found.cursor == Cursor(90, '"9"')


def test_a_walk_that_breaks_off_goes_on_where_it_stopped(tmp_path: Path, server: Server) -> None:
    tracking = Tracking(server, 9)
    tracking.broken[7] = Page(status=500)
    found, podcasts = tracking.read(tmp_path, Cursor(50))
    assert podcasts == [9, 8]
    assert isinstance(found.stopped, SourceUnavailable) and found.stopped.reason == SourceReason.SERVER_ERROR
    del tracking.broken[7]
    again, podcasts = tracking.read(tmp_path, found.cursor)
    assert podcasts == [7, 6] and again.cursor == Cursor(90, '"9"')


def test_a_file_of_junk_ends_the_walk_for_good(tmp_path: Path, server: Server) -> None:
    tracking = Tracking(server, 9)
    tracking.broken[7] = Page(b"<html>")
    found, podcasts = tracking.read(tmp_path, Cursor(50))
    assert podcasts == [9, 8] and found.cursor == Cursor(90, '"9"')


@pytest.mark.parametrize("previous", ["https://elsewhere.example/1", "//x/", "http://[", 7, None])
def test_a_change_file_does_not_send_us_elsewhere(tmp_path: Path, server: Server, previous: object) -> None:
    server.pages["*"] = json_page({"previousTrackingUrl": previous, "data": data(90, [9])})
    found = run(tmp_path, lambda calls: ChangeFile(calls, server.url + "/current").read(Cursor(10)))
    assert found.files == 1 and len(server.asked) == 1 and found.stopped is None


def test_change_files_that_lead_in_a_circle_are_left(tmp_path: Path, server: Server) -> None:
    server.pages["*"] = json_page({"previousTrackingUrl": server.url + "/x", "data": data(90, [9])})
    found = run(tmp_path, lambda calls: ChangeFile(calls, server.url + "/current").read(Cursor(10)))
    assert len(server.asked) == 2 and found.stopped is not None and found.stopped.reason == SourceReason.JUNK


@pytest.mark.parametrize("text", [None, "", "x", "[]", '{"position":"x"}', '{"position":-1}', '{"etag":7}'])
def test_what_is_no_cursor_is_the_beginning(text: str | None) -> None:
    assert Cursor.parse(text) == Cursor()


def test_the_budget_bounds_a_walk(tmp_path: Path, server: Server) -> None:
    Tracking(server, 9)
    clock = Clock()

    def read(calls: Any) -> Any:
        return ChangeFile(calls, server.url + "/current").read(cursor)

    cursor = Cursor(10)
    found = run(tmp_path, read, clock=clock, limits=Limits(3, 100))
    assert found.files == 3 and found.stopped.reason == SourceReason.OUT_OF_BUDGET
    assert found.cursor.gap_url == server.url + "/6"
    clock.advance(60)
    cursor = found.cursor
    assert run(tmp_path, read, clock=clock, limits=Limits(100, 100)).cursor == Cursor(90, '"9"')
