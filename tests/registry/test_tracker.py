"""What sweeps learn stands in the registry: on both databases, whoever dies in between."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from ingest.feeds import visit
from ingest.feeds.detect import Previous
from ingest.feeds.fetch import FetchSettings
from ingest.feeds.hosters import Pace
from ingest.feeds.schema import shard_of
from ingest.feeds.state import Shard, folder_of
from ingest.feeds.sweep import SweepSettings, Swept, sweep
from ingest.feeds.urls import derived_guid, podcast_key
from ingest.lake import utc_now_us
from ingest.logs.prefixes import PrefixRules
from registry import hints, leases, podcasts
from registry.database import connect
from registry.due import due_shards
from registry.podcasts import Crawled, Podcast, Registration, deregister, find, register, tracked_version
from registry.shards import seen_of
from registry.tracker import leased

DECLARED, OTHER = "917393e3-1b1e-5cef-ace4-edaa54e1f810", "2d3b7bb2-7d3c-5f8e-9d3c-0d8c1b2f5f11"
URL = "http://pod.example.com/feed.xml"
KEY, SHARD = podcast_key(URL), shard_of(podcast_key(URL))
DERIVED = derived_guid(URL)
HOUR, NOW_US = 3_600_000_000, 1_800_000_000_000_000


@dataclass
class Feed:
    """One feed on a local server: `guid` is what it declares. Answers 304 while nothing changed."""

    guid: str | None = None
    status: int = 200
    asked: list[int] = field(default_factory=list)  # the statuses answered
    port: int = 0

    def body(self) -> bytes:
        declared = f"<podcast:guid>{self.guid}</podcast:guid>" if self.guid else ""
        return (
            '<?xml version="1.0"?><rss version="2.0" xmlns:podcast="https://podcastindex.org/namespace/1.0">'
            f"<channel><title>T</title>{declared}<item><title>One</title><guid>episode-one</guid>"
            "<pubDate>Tue, 01 Sep 2026 06:00:00 GMT</pubDate>"
            '<enclosure url="https://cdn.example.com/1.mp3" length="9" type="audio/mpeg"/></item>'
            "</channel></rss>"
        ).encode()


@contextmanager
def serving(served: Feed) -> Iterator[Feed]:
    """It is served until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body, etag = served.body(), f'"{served.guid}"'
            is_known = self.headers.get("If-None-Match") == etag
            status = 304 if served.status == 200 and is_known else served.status
            served.asked.append(status)
            self.send_response(status)
            self.send_header("ETag", etag)
            self.send_header("Content-Length", "0" if status != 200 else str(len(body)))
            self.end_headers()
            self.wfile.write(body if status == 200 else b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def feed() -> Iterator[Feed]:
    with serving(Feed()) as served:
        yield served


def poll(
    engine: Engine,
    lake: Path,
    port: int,
    at_us: int,
    lease_s: float = 60,
    pace: Pace = Pace(10_000, 50),
    budget_s: float = 30,
) -> Swept:
    """What is due at `at_us` is polled."""
    fetch = FetchSettings(
        pace=pace,
        hosters={},
        test_hosts=frozenset({"127.0.0.0/8"}),
        resolve={"pod.example.com": f"127.0.0.1:{port}"},
    )
    how = SweepSettings(budget_s=budget_s, tick_s=0, parsers=1, fetch=fetch)
    with leased(engine, lake, [SHARD], lease_s=lease_s) as tracker:
        return sweep(lake, tracker.shards, tracker, how, PrefixRules.built_in(), lambda: at_us)


def only(engine: Engine, what: str = URL) -> Podcast:
    (podcast,) = find(engine, what)
    return podcast


NOW = 1_788_220_800_000_000  # 2026-09-01
MONTH = 31 * 24 * HOUR


def test_after_its_first_poll_a_podcast_is_found_by_its_guid(
    engine: Engine, tmp_path: Path, feed: Feed
) -> None:
    register(engine, [Registration(URL)], NOW)
    poll(engine, tmp_path, feed.port, NOW)
    assert (only(engine, DERIVED).podcast_key, only(engine).show_id) == (KEY, DERIVED)
    feed.guid = DECLARED
    poll(engine, tmp_path, feed.port, NOW + MONTH)
    assert find(engine, DERIVED) == []
    assert (only(engine, DECLARED.upper()).podcast_key, only(engine).show_id) == (KEY, DECLARED)


def test_a_derived_guid_ends_neither_a_registered_nor_a_declared_one(
    engine: Engine, tmp_path: Path, feed: Feed
) -> None:
    register(engine, [Registration(URL, podcast_guid=OTHER)], NOW)
    poll(engine, tmp_path, feed.port, NOW)
    assert only(engine).podcast_guid == OTHER
    feed.guid = DECLARED
    poll(engine, tmp_path, feed.port, NOW + MONTH)
    assert only(engine).podcast_guid == DECLARED
    feed.guid = None
    assert poll(engine, tmp_path, feed.port, NOW + 2 * MONTH).total("changed") == 1
    assert only(engine).podcast_guid == DECLARED


def test_a_guid_registered_later_takes_the_place_of_a_derived_one_only(
    engine: Engine, tmp_path: Path, feed: Feed
) -> None:
    register(engine, [Registration(URL)], NOW)
    poll(engine, tmp_path, feed.port, NOW)
    assert register(engine, [Registration(URL, podcast_guid=OTHER)], NOW).updated == 1
    assert only(engine).podcast_guid == OTHER
    assert register(engine, [Registration(URL, podcast_guid=DECLARED)], NOW).updated == 0
    assert only(engine).podcast_guid == OTHER


def test_a_show_id_of_its_own_stays(engine: Engine, tmp_path: Path, feed: Feed) -> None:
    register(engine, [Registration(URL, show_id="show-1")], NOW)
    poll(engine, tmp_path, feed.port, NOW)
    assert (only(engine).podcast_guid, only(engine).show_id) == (DERIVED, "show-1")


def test_an_unchanged_podcast_costs_no_look_at_its_record_and_no_write(
    engine: Engine, tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(engine, [Registration(URL)], NOW)
    poll(engine, tmp_path, feed.port, NOW)
    version = tracked_version(engine, SHARD)
    monkeypatch.delattr(Shard, "podcasts")
    monkeypatch.delattr(podcasts, "record_crawl")
    assert poll(engine, tmp_path, feed.port, NOW + MONTH).total("unchanged") == 1
    assert feed.asked == [200, 304] and tracked_version(engine, SHARD) == version


def test_what_was_committed_by_a_worker_killed_before_it_told_is_learnt_without_a_poll(
    engine: Engine, url: str, tmp_path: Path, feed: Feed
) -> None:
    register(engine, [Registration(URL)], NOW)
    poll(engine, tmp_path, feed.port, NOW)
    feed.guid = DECLARED
    dying = subprocess.run(
        [sys.executable, "-m", "tests.registry.test_tracker", url, str(tmp_path), str(feed.port)],
        timeout=120,
    )
    assert dying.returncode == -signal.SIGKILL
    assert only(engine).podcast_guid == DERIVED  # it died between the two
    asked = len(feed.asked)
    is_free = False
    while not is_free:  # until the dead one's lease is over
        with leased(
            engine, tmp_path, [SHARD]
        ) as tracker:  # who ends before it comes to the shard leaves it to the next
            is_free = bool(tracker.shards)
        time.sleep(0.05)
    assert poll(engine, tmp_path, feed.port, NOW + MONTH).total("due") == 0
    assert only(engine).podcast_guid == DECLARED and len(feed.asked) == asked
    (lease,) = leases.claim(engine, "next", [SHARD], 1, utc_now_us())
    assert lease.was_given_back


def test_what_the_registry_refused_is_learnt_by_the_next_sweep(
    engine: Engine, tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(engine, [Registration(URL, podcast_guid=OTHER)], NOW)
    feed.guid = DECLARED

    def failing(*_: object) -> int:
        raise OSError("the registry is gone")

    with monkeypatch.context() as broken, pytest.raises(OSError, match="gone"):
        broken.setattr(podcasts, "record_crawl", failing)
        poll(engine, tmp_path, feed.port, NOW)
    assert poll(engine, tmp_path, feed.port, NOW).total("polled") == 0
    assert only(engine).podcast_guid == DECLARED


def test_a_registry_made_anew_over_an_old_lake_learns_what_the_lake_knows(
    engine: Engine, tmp_path: Path, feed: Feed
) -> None:
    before = connect(None, tmp_path / "old")
    feed.guid = DECLARED
    register(before, [Registration(URL)], NOW)
    poll(before, tmp_path, feed.port, NOW)
    before.dispose()
    poll(engine, tmp_path, feed.port, NOW)  # its leases are no news any more when the podcast comes
    register(engine, [Registration(URL)], NOW)
    poll(engine, tmp_path, feed.port, NOW + 1)
    assert only(engine).podcast_guid == DECLARED


def test_a_worker_that_slept_after_its_commit_tells_nothing_old(
    engine: Engine, tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(engine, [Registration(URL)], NOW)
    feed.guid = OTHER
    recording = podcasts.record_crawl

    def asleep(engine: Engine, learnt: list[Crawled], lease: leases.Lease) -> int:
        monkeypatch.setattr(podcasts, "record_crawl", recording)
        leases.abandon(engine, [lease])  # its time is over
        feed.guid = DECLARED
        poller = threading.Thread(target=poll, args=(engine, tmp_path, feed.port, NOW + MONTH))
        poller.start()
        poller.join()
        return recording(engine, learnt, lease)

    monkeypatch.setattr(podcasts, "record_crawl", asleep)
    poll(engine, tmp_path, feed.port, NOW)
    assert feed.asked == [200, 200]
    assert only(engine).podcast_guid == DECLARED


def test_the_guid_of_a_podcast_nobody_tracks_any_more_is_not_looked_up(
    engine: Engine, tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(engine, [Registration(URL)], NOW)
    feed.status = 404
    poll(engine, tmp_path, feed.port, NOW)
    deregister(engine, [KEY], "default", "asked")
    monkeypatch.delattr(Shard, "podcasts")
    poll(engine, tmp_path, feed.port, NOW + MONTH)
    assert (only(engine).state, only(engine).podcast_guid) == ("deregistered", None)


def _die(*_: object) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


if __name__ == "__main__":
    podcasts.record_crawl = _die
    address, folder, port_text = sys.argv[1:]
    poll(connect(address, Path()), Path(folder), int(port_text), NOW + MONTH, lease_s=0.5)


def test_a_shard_of_which_all_was_seen_is_not_read_again_until_something_changes(
    engine: Engine, tmp_path: Path
) -> None:
    def visit() -> bool:
        """Whether the shard was read; nothing is due in it."""
        with leased(engine, tmp_path, [SHARD]) as tracker:
            rows = tracker.tracked(SHARD, 0)
            tracker.notices(SHARD)
            tracker.concluded(SHARD, 0, [], [])
            return rows is not None

    register(engine, [Registration(url=URL)], NOW_US)
    assert not seen_of(engine, SHARD).is_all(0)
    assert [visit(), visit()] == [True, False] and seen_of(engine, SHARD).is_all(0)
    register(engine, [Registration(url=URL, labels=("lead",))], NOW_US)
    assert [visit(), visit()] == [True, False]


def test_what_is_registered_while_a_sweep_is_under_way_is_seen_by_the_next(
    engine: Engine, tmp_path: Path
) -> None:
    register(engine, [Registration(url=URL)], NOW_US)
    with leased(engine, tmp_path, [SHARD]) as tracker:
        tracker.tracked(SHARD, 0)
        tracker.notices(SHARD)
        register(engine, [Registration(url=URL, labels=("lead",))], NOW_US)
        tracker.concluded(SHARD, 0, [], [])
    assert not seen_of(engine, SHARD).is_all(0)


def test_shards_that_a_worker_is_at_are_not_due_and_those_it_left_behind_are(
    engine: Engine, tmp_path: Path
) -> None:
    register(engine, [Registration(url=URL)], NOW_US)
    assert due_shards(engine, tmp_path, NOW_US) == {SHARD: NOW_US}
    with leased(engine, tmp_path, [SHARD]) as tracker:
        tracker.tracked(SHARD, 0)
        tracker.notices(SHARD)
        assert due_shards(engine, tmp_path, NOW_US) == {}
        tracker.concluded(SHARD, 0, [], [])
    assert due_shards(engine, tmp_path, NOW_US)[SHARD] > NOW_US
    leases.abandon(engine, leases.claim(engine, "dead", [SHARD], 60, NOW_US))
    assert due_shards(engine, tmp_path, NOW_US) == {SHARD: NOW_US}


def test_what_a_sweep_had_no_time_for_stays_due(engine: Engine, tmp_path: Path, feed: Feed) -> None:
    urls = (f"http://pod.example.com/{n}.xml" for n in itertools.count())
    some = list(itertools.islice((url for url in urls if shard_of(podcast_key(url)) == SHARD), 3))
    register(engine, [Registration(url) for url in some], NOW)
    one_in_an_hour = Pace(1 / 3600, 1)

    def left_over(at_us: int) -> tuple[int, int]:
        swept = poll(engine, tmp_path, feed.port, at_us, pace=one_in_an_hour, budget_s=0.5)
        return swept.total("polled"), swept.left

    assert left_over(NOW) == (1, 2)
    assert due_shards(engine, tmp_path, NOW)[SHARD] <= NOW
    assert left_over(NOW) == (1, 1)
    assert left_over(NOW) == (1, 0)
    assert due_shards(engine, tmp_path, NOW)[SHARD] > NOW
    # A notice of what was left over is not forgotten with those that were followed.
    hints.add(engine, [hints.Hint(podcast_key(url), "podping", NOW + HOUR) for url in some])
    assert [left_over(NOW + HOUR) for _ in some] == [(1, 2), (1, 1), (1, 0)]


def test_what_is_asked_for_is_polled_at_once_and_is_no_notice_of_the_publisher(
    engine: Engine, tmp_path: Path, feed: Feed
) -> None:
    register(engine, [Registration(URL)], NOW)
    assert poll(engine, tmp_path, feed.port, NOW).total("first") == 1
    assert poll(engine, tmp_path, feed.port, NOW + 1).total("polled") == 0
    feed.status = 404
    for later in (2, 3):  # failing podcasts, too, which a notice brings back after an hour at the soonest
        hints.add(engine, [hints.Hint(KEY, hints.ASKED, NOW), hints.Hint(KEY, "podping", NOW)])
        assert poll(engine, tmp_path, feed.port, NOW + later).counted("failures") == {"not_found": 1}
    state = Shard(tmp_path, SHARD).state()
    assert state["hinted_us"].to_list() == [None]
    assert hints.pending(engine, [SHARD]) == []


def test_a_lake_that_was_lost_or_restored_is_polled_again(engine: Engine, tmp_path: Path, feed: Feed) -> None:
    register(engine, [Registration(URL)], NOW)
    poll(engine, tmp_path, feed.port, NOW)
    shutil.copytree(tmp_path / "catalog", tmp_path / "backup")
    poll(engine, tmp_path, feed.port, NOW + MONTH)
    assert due_shards(engine, tmp_path, NOW + MONTH)[SHARD] > NOW + MONTH
    for lake in (tmp_path / "nothing", tmp_path):
        shutil.rmtree(tmp_path / "catalog", ignore_errors=True)
        if lake == tmp_path:
            (tmp_path / "backup").rename(tmp_path / "catalog")
        assert due_shards(engine, lake, NOW + MONTH)[SHARD] <= NOW + MONTH
        assert poll(engine, lake, feed.port, NOW + MONTH).total("polled") == 1


def test_a_clock_that_was_wrong_once_does_not_end_polling(engine: Engine, tmp_path: Path, feed: Feed) -> None:
    register(engine, [Registration(URL)], NOW)
    poll(engine, tmp_path, feed.port, NOW + 48 * MONTH)
    assert due_shards(engine, tmp_path, NOW)[SHARD] <= NOW
    assert poll(engine, tmp_path, feed.port, NOW).total("polled") == 1
    assert due_shards(engine, tmp_path, NOW)[SHARD] > NOW
    assert poll(engine, tmp_path, feed.port, NOW + 1).total("polled") == 0


def test_a_notice_does_not_bring_back_what_nobody_tracks_any_more(
    engine: Engine, tmp_path: Path, feed: Feed
) -> None:
    register(engine, [Registration(URL)], NOW)
    poll(engine, tmp_path, feed.port, NOW)
    hints.add(engine, [hints.Hint(KEY, "podping", NOW + HOUR)])
    deregister(engine, [KEY], "default", "enough")
    for later in (HOUR, MONTH):
        assert poll(engine, tmp_path, feed.port, NOW + later).total("polled") == 0


def test_a_feed_that_breaks_our_judgement_costs_that_feed_alone(
    engine: Engine, tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = (f"http://pod.example.com/{n}.xml" for n in itertools.count())
    other = next(url for url in urls if shard_of(podcast_key(url)) == SHARD)
    register(engine, [Registration(URL), Registration(other)], NOW)
    honest = visit.detect

    def detect(previous: Previous, *rest: Any) -> Any:
        if previous.state["podcast_key"] == KEY:
            raise OverflowError("too much for us")
        return honest(previous, *rest)

    monkeypatch.setattr(visit, "detect", detect)
    swept = poll(engine, tmp_path, feed.port, NOW)
    assert (swept.total("first"), swept.counted("failures")) == (1, {"parser_failed": 1})
    assert "too much for us" in Shard(tmp_path, SHARD).state().filter(podcast_key=KEY)["detail"][0]


def test_a_shard_whose_files_are_broken_costs_no_other(engine: Engine, tmp_path: Path, feed: Feed) -> None:
    register(engine, [Registration(URL)], NOW)
    poll(engine, tmp_path, feed.port, NOW)
    folder_of(tmp_path, SHARD).joinpath("state.parquet").write_bytes(b"no parquet")
    assert SHARD not in due_shards(engine, tmp_path, NOW)
    swept = poll(engine, tmp_path, feed.port, NOW + MONTH)
    assert list(swept.broken) == [SHARD]
    shutil.rmtree(folder_of(tmp_path, SHARD))
    assert due_shards(engine, tmp_path, NOW)[SHARD] <= NOW
    assert poll(engine, tmp_path, feed.port, NOW + MONTH).total("first") == 1


def test_only_what_publishers_say_slows_the_polls(engine: Engine, tmp_path: Path, feed: Feed) -> None:
    register(engine, [Registration(URL)], NOW)
    poll(engine, tmp_path, feed.port, NOW)
    for source, hinted in (("podcastindex_changes", None), ("podping", NOW + 2 * HOUR)):
        at_us = NOW + (1 if hinted is None else 2) * HOUR
        hints.add(engine, [hints.Hint(KEY, source, at_us)])
        assert poll(engine, tmp_path, feed.port, at_us).total("polled") == 1
        assert Shard(tmp_path, SHARD).state()["hinted_us"].to_list() == [hinted]
