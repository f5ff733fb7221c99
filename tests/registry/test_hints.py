"""Hints: the newest notice of a podcast and source, until it is acted on."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from ingest.feeds.schema import shard_of
from ingest.feeds.urls import podcast_key
from registry.hints import Hint, add, pending, settle
from registry.podcasts import Crawled, Registration, deregister, record_crawl, register

A, B = "https://a.example.com/feed.xml", "https://b.example.com/feed.xml"
KEY_A, KEY_B = podcast_key(A), podcast_key(B)
ALL = range(256)


@pytest.fixture
def tracking(engine: Engine) -> Engine:
    register(engine, [Registration(A), Registration(B)], 1)
    return engine


def test_a_notice_waits_for_the_sweep_of_its_shard(tracking: Engine) -> None:
    assert add(tracking, [Hint(KEY_A, "podping", 5)]) == 1
    assert pending(tracking, [shard_of(KEY_A)]) == [Hint(KEY_A, "podping", 5)]
    assert pending(tracking, [shard for shard in ALL if shard != shard_of(KEY_A)]) == []
    assert pending(tracking, []) == []


def test_a_flood_of_notices_leaves_the_newest_a_source(tracking: Engine) -> None:
    flood = [Hint(KEY_A, "podping", at) for at in (3, 9, 5)] + [Hint(KEY_A, "websub", 4)]
    assert add(tracking, flood) == 4
    add(tracking, [Hint(KEY_A, "podping", 2)])  # late
    assert pending(tracking, ALL) == [Hint(KEY_A, "podping", 9), Hint(KEY_A, "websub", 4)]


def test_notices_of_podcasts_that_are_not_polled_are_dropped(tracking: Engine) -> None:
    deregister(tracking, [KEY_B], "default", "asked")
    assert add(tracking, [Hint(KEY_B, "podping", 1), Hint(12345, "podping", 1)]) == 0
    assert pending(tracking, ALL) == []


def test_a_notice_of_where_a_podcast_moved_is_a_notice_of_it(tracking: Engine) -> None:
    new = "https://new.example.com/feed.xml"
    record_crawl(tracking, [Crawled(KEY_A, new)])
    assert add(tracking, [Hint(podcast_key(new), "podping", 1), Hint(KEY_A, "podping", 2)]) == 2
    assert pending(tracking, ALL) == [Hint(KEY_A, "podping", 2)]


def test_what_was_acted_on_is_forgotten_and_what_came_meanwhile_stays(tracking: Engine) -> None:
    add(tracking, [Hint(KEY_A, "podping", 1), Hint(KEY_B, "podping", 1)])
    seen = pending(tracking, ALL)
    add(tracking, [Hint(KEY_B, "podping", 2)])
    settle(tracking, seen)
    assert pending(tracking, ALL) == [Hint(KEY_B, "podping", 2)]


def test_thousands_of_notices_are_taken_in(tracking: Engine) -> None:
    noticed = [Hint(key, "podping", 1) for key in (*range(2500), KEY_A, KEY_B)]
    assert add(tracking, noticed) == 2
