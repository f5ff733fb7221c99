"""What a sweep committed is in the outbox once, with its deliveries: on both databases, whoever dies."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, RowMapping, event, insert, select, update

from ingest.feeds.crawl import new_state
from ingest.feeds.diff import FieldChange
from ingest.feeds.schema import EPISODES, PODCASTS, ChangeType, Record, shard_of
from ingest.feeds.state import Commit, opened
from ingest.feeds.told import change_row, told
from ingest.feeds.urls import podcast_key
from ingest.lake import utc_now_us
from registry import leases, outbox, shards, subscriptions
from registry.database import connect
from registry.outbox import hand_over
from registry.podcasts import Registration, deregister, record_crawl, register
from registry.shards import seen_of
from registry.subscribing import wish
from registry.subscriptions import add
from registry.tables import DeliveryState, SubscriptionState, deliveries
from registry.tables import outbox as outbox_table
from registry.tracker import leased
from tests.registry.test_tracker import DECLARED, MONTH, NOW, Feed, feed, poll
from tests.registry.test_tracker import SHARD as FEED_SHARD
from tests.registry.test_tracker import URL as FEED_URL

__all__ = ["feed"]

HOOK = "https://hooks.example.com/"
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
NOW_US = 1_790_000_000_000_000  # 2026-09-21T14:13:20Z
NEXT_HOUR_US = NOW_US + 2_800_000_000
HOURLY: dict[str, Any] = {"mode": "scheduled", "cron": "0 * * * *"}
URL = "https://pod.example.com/feed"
KEY, SHARD = podcast_key(URL), shard_of(podcast_key(URL))
TITLE = {"title": ("Old", "New")}


def same_shard(number: int) -> list[str]:
    """URLs of further podcasts of the shard."""
    urls = (f"https://pod.example.com/{count}" for count in range(100_000))
    return [url for url in urls if shard_of(podcast_key(url)) == SHARD][:number]


def change(
    kind: ChangeType, fields: dict[str, tuple[Any, Any]], episode: int | None = None, minor: bool = False
) -> Record:
    changed = [FieldChange(name, old, new, minor) for name, (old, new) in fields.items()]
    return change_row(kind, changed, episode_key=episode, guid=None if episode is None else f"g{episode}")


def updated(fields: dict[str, tuple[Any, Any]] = TITLE, minor: bool = False) -> Record:
    return change(ChangeType.PODCAST_UPDATED, fields, minor=minor)


def commit(lake: Path, *changes: Record, url: str = URL, at_us: int = NOW_US, **rows: list[Record]) -> None:
    """A commit of a sweep that found these changes of a podcast."""
    lake.mkdir(exist_ok=True)
    key = podcast_key(url)
    with opened(lake, SHARD) as shard:
        known = {row["podcast_key"]: row for row in shard.state().iter_rows(named=True)}
        state, found = told(known.get(key) or new_state(key, url), changes, at_us)
        shard.commit(Commit(state=[state], changes=found, **rows))


def rows_of(engine: Engine, table: Any) -> list[RowMapping]:
    with engine.connect() as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key)).mappings())


def sent(engine: Engine) -> list[tuple[int, list[int], str]]:
    """(subscription, sequences, state) of each delivery."""
    sequences = {row["outbox_id"]: row["sequence"] for row in rows_of(engine, outbox_table)}
    return [
        (row["subscription_id"], [sequences[one] for one in row["outbox_ids"]], row["state"])
        for row in rows_of(engine, deliveries)
    ]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def registered(engine: Engine) -> Engine:
    register(engine, [Registration(URL, labels=("lead",))], NOW_US)
    return engine


# --- what is handed over


def test_a_change_is_told_once_however_often_it_is_handed_over(registered: Engine, lake: Path) -> None:
    some = [add(registered, wish(HOOK), NOW_US).subscription_id for _ in range(2)]
    commit(lake, updated())
    assert [hand_over(registered, lake, SHARD, NOW_US) for _ in range(3)] == [1, 0, 0]
    commit(lake)  # polled, nothing new
    assert hand_over(registered, lake, SHARD, NOW_US) == 0
    commit(lake, updated(), updated())
    assert hand_over(registered, lake, SHARD, NOW_US) == 2
    assert sent(registered) == [(one, [number], "pending") for number in (1, 2, 3) for one in some]
    assert seen_of(registered, SHARD).handed == 3


def test_a_row_of_the_outbox_says_what_the_lake_and_the_registry_know(registered: Engine, lake: Path) -> None:
    add(registered, wish(HOOK), NOW_US)
    row = dict.fromkeys(EPISODES) | {
        "podcast_key": KEY,
        "episode_key": -5,
        "title": "One",
        "enclosure_url": "https://cdn.example.com/1.mp3",
        "enclosure_canonical": "https://cdn.example.com/1.mp3",
        "published_us": NOW_US,
    }
    enclosures = ("https://cdn.example.com/1.mp3?a", "https://cdn.example.com/1.mp3")
    fields = {"title": ("Uno", "One"), "enclosure_url": enclosures}
    commit(
        lake,
        change(ChangeType.EPISODE_UPDATED, fields, episode=-5),
        podcasts=[dict.fromkeys(PODCASTS) | {"podcast_key": KEY, "title": "Show"}],
        episodes=[row],
    )
    assert hand_over(registered, lake, SHARD, NOW_US) == 1
    (found,) = rows_of(registered, outbox_table)
    assert (found["podcast_key"], found["sequence"], found["detected_us"]) == (KEY, 1, NOW_US)
    assert found["change"] == "episode.updated"
    assert found["data"] == {
        "podcast": {"guid": None, "feed_url": URL, "title": "Show"},
        "episode": {
            "key": "-5",
            "guid": "g-5",
            "title": "One",
            "enclosure_url": "https://cdn.example.com/1.mp3",
            "published": "2026-09-21T14:13:20.000000Z",
        },
        "changes": [
            {"field": "enclosure_url", "old": enclosures[0], "new": enclosures[1]},
            {"field": "title", "old": "Uno", "new": "One"},
        ],
        "is_minor": False,
        "minor_fields": ["enclosure_url"],  # the canonical one is there and did not change
    }
    (delivery,) = rows_of(registered, deliveries)
    assert delivery["message_id"].startswith("evt_") and delivery["podcast_key"] == KEY
    assert (delivery["created_us"], delivery["due_us"], delivery["notice"]) == (NOW_US, NOW_US, None)
    assert 0 < len(orjson.dumps(found["data"])) - 100 < delivery["size"] < 2_000


def test_where_the_lake_has_no_record_its_names_are_null(registered: Engine, lake: Path) -> None:
    add(registered, wish(HOOK), NOW_US)
    commit(lake, change(ChangeType.EPISODE_REMOVED, {"removed_us": (None, NOW_US)}, episode=5))
    hand_over(registered, lake, SHARD, NOW_US)
    (found,) = rows_of(registered, outbox_table)
    assert found["data"]["podcast"]["title"] is None
    named = {"title": None, "enclosure_url": None, "published": None}
    assert found["data"]["episode"] == {"key": "5", "guid": "g5", **named}


def test_values_of_a_megabyte_are_cut_and_still_differ(registered: Engine, lake: Path) -> None:
    who = add(registered, wish(HOOK, coalesce_s=60), NOW_US)
    one, other = "é" * 500_000 + "1", "é" * 500_000 + "2"
    commit(lake, updated({"description": (one, other), "keywords": (["k"] * 100_000, None)}))
    hand_over(registered, lake, SHARD, NOW_US)
    (found,) = rows_of(registered, outbox_table)
    description, keywords = found["data"]["changes"]
    assert description["is_shortened"] and keywords["is_shortened"]
    assert description["old"] != description["new"] and description["old"].startswith("éé")
    assert len(orjson.dumps(found["data"])) < 70_000
    commit(lake, updated({"description": (other, one), "keywords": (None, ["k"] * 100_000)}))
    hand_over(registered, lake, SHARD, NOW_US + 1)
    assert sent(registered) == [(who.subscription_id, [1, 2], "void")]  # back, as its hash says


def test_a_feed_that_is_huge_throughout_stays_within_bounds(registered: Engine, lake: Path) -> None:
    add(registered, wish(HOOK), NOW_US)
    names = (
        "author",
        "copyright",
        "description",
        "description_html",
        "generator",
        "link",
        "subtitle",
        "title",
    )
    commit(lake, updated(dict.fromkeys(names, ("x" * 100000, "y" * 100000))))
    hand_over(registered, lake, SHARD, NOW_US)
    (found,) = rows_of(registered, outbox_table)
    assert len(orjson.dumps(found["data"])) < 70_000 and len(found["data"]["changes"]) == len(names)


@contextlib.contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("begin"):
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def test_a_hundred_changes_cost_no_more_statements_than_one(engine: Engine, lake: Path) -> None:
    urls = same_shard(100)
    register(engine, [Registration(url) for url in urls], NOW_US)
    for said in ({}, HOURLY, {"coalesce_s": 60}, {"fields": ["title"]}):
        add(engine, wish(HOOK, **said), NOW_US)
    numbers = []
    for some in (urls[:1], urls, urls):
        for url in some:
            commit(lake, updated(), url=url)
        with counted(engine) as statements:
            assert hand_over(engine, lake, SHARD, NOW_US) == len(some)
        numbers.append(len(statements))
    assert max(numbers) <= 20
    with counted(engine) as statements:
        hand_over(engine, lake, SHARD, NOW_US)
    assert len(statements) == 1


# --- who is told


def test_only_what_somebody_hears_of_is_in_the_outbox(registered: Engine, lake: Path) -> None:
    other = podcast_key(second := same_shard(1)[0])
    register(registered, [Registration(second, "acme", labels=("lead",))], NOW_US)
    named = add(registered, wish(HOOK, podcasts=[KEY], types=["podcast.updated"], fields=["generator"]), 0)
    commit(
        lake,
        change(ChangeType.PODCAST_ADDED, TITLE),
        updated(),
        updated({"generator": (1, 2)}, minor=True),
        change(ChangeType.PODCAST_GONE, {"tier": (1, 2)}),
    )
    assert hand_over(registered, lake, SHARD, NOW_US) == 1
    labelled = add(registered, wish(HOOK, tenant="acme", labels=["lead"]), 0)
    commit(lake, updated())
    commit(lake, updated(), url=second)
    assert hand_over(registered, lake, SHARD, NOW_US) == 1
    found = [(row["podcast_key"], row["sequence"]) for row in rows_of(registered, outbox_table)]
    assert found == [(KEY, 3), (other, 1)]
    told_to = [row["subscription_id"] for row in rows_of(registered, deliveries)]
    assert told_to == [named.subscription_id, labelled.subscription_id]


def test_what_was_found_while_nobody_was_subscribed_is_not_told_later(registered: Engine, lake: Path) -> None:
    commit(lake, updated())
    assert hand_over(registered, lake, SHARD, NOW_US) == 0
    assert seen_of(registered, SHARD).handed == 1
    ended = add(registered, wish(HOOK), NOW_US).subscription_id
    subscriptions.end(registered, ended, NOW_US)
    commit(lake, updated())
    assert hand_over(registered, lake, SHARD, NOW_US) == 0 and seen_of(registered, SHARD).handed == 2
    add(registered, wish(HOOK), NOW_US)
    assert hand_over(registered, lake, SHARD, NOW_US) == 0


def test_a_podcast_that_nobody_tracks_any_more_is_not_told_of(registered: Engine, lake: Path) -> None:
    add(registered, wish(HOOK), NOW_US)
    commit(lake, updated())
    deregister(registered, [KEY], "default", "asked")
    assert hand_over(registered, lake, SHARD, NOW_US) == 0


def test_a_subscription_that_ends_or_fails_meanwhile_is_treated_as_it_is_now(
    registered: Engine, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, fails = (add(registered, wish(HOOK), NOW_US).subscription_id for _ in range(2))
    reading = outbox.data_of

    def meanwhile(*args: Any) -> Any:
        subscriptions.end(registered, ends, NOW_US)
        with registered.begin() as connection:
            table = subscriptions.subscriptions
            one = update(table).where(table.c.subscription_id == fails)
            connection.execute(one.values(state=SubscriptionState.DISABLED))
        return reading(*args)

    monkeypatch.setattr(outbox, "data_of", meanwhile)
    commit(lake, updated())
    assert hand_over(registered, lake, SHARD, NOW_US) == 1
    assert sent(registered) == [(fails, [1], "dead")]


# --- messages that wait


def test_a_change_within_the_window_becomes_part_of_the_message_that_waits(
    registered: Engine, lake: Path
) -> None:
    who = add(registered, wish(HOOK, coalesce_s=60), NOW_US).subscription_id
    for second in (0, 30, 59):
        commit(lake, updated({"title": (second, second + 1)}))
        hand_over(registered, lake, SHARD, NOW_US + second * 1_000_000)
    (message,) = rows_of(registered, deliveries)
    assert len(message["outbox_ids"]) == 3 and message["due_us"] == NOW_US + 60_000_000
    commit(lake, updated())
    hand_over(registered, lake, SHARD, NOW_US + 60_000_000)
    assert sent(registered) == [(who, [1, 2, 3], "pending"), (who, [4], "pending")]


def test_what_changes_back_within_the_window_is_not_sent(registered: Engine, lake: Path) -> None:
    who = add(registered, wish(HOOK, coalesce_s=60), NOW_US).subscription_id
    commit(lake, updated({"title": ("a", "b")}))
    hand_over(registered, lake, SHARD, NOW_US)
    commit(lake, updated({"title": ("b", "a")}))
    hand_over(registered, lake, SHARD, NOW_US + 1)
    (message,) = rows_of(registered, deliveries)
    assert (message["state"], message["reason"], message["ended_us"]) == ("void", "changed back", NOW_US + 1)
    commit(lake, updated({"title": ("a", "c")}))
    hand_over(registered, lake, SHARD, NOW_US + 2)
    assert sent(registered) == [(who, [1, 2], "void"), (who, [3], "pending")]


@pytest.mark.parametrize(
    "is_under_way", [{"attempts": 1}, {"replays": 1}, {"state": "sending"}, {"state": "sent"}, {"due_us": 0}]
)
@pytest.mark.parametrize("said", [{"coalesce_s": 60}, HOURLY])
def test_a_message_that_is_under_way_stays_as_it_is(
    registered: Engine, lake: Path, said: dict[str, Any], is_under_way: dict[str, Any]
) -> None:
    add(registered, wish(HOOK, **said), NOW_US)
    commit(lake, updated())
    hand_over(registered, lake, SHARD, NOW_US)
    with registered.begin() as connection:
        connection.execute(update(deliveries).values(is_under_way))
    before = rows_of(registered, deliveries)
    commit(lake, updated())
    hand_over(registered, lake, SHARD, NOW_US + 1)
    assert rows_of(registered, deliveries)[:1] == before and [one[1] for one in sent(registered)] == [
        [1],
        [2],
    ]


def test_a_batch_is_filled_until_its_time_has_come(registered: Engine, lake: Path) -> None:
    who = add(registered, wish(HOOK, batch_size=3, **HOURLY), NOW_US).subscription_id
    for at_us, number in ((NOW_US, 2), (NOW_US + 1, 2), (NEXT_HOUR_US, 1)):
        commit(lake, *[updated() for _ in range(number)])
        hand_over(registered, lake, SHARD, at_us)
    assert sent(registered) == [(who, [1, 2, 3], "pending"), (who, [4], "pending"), (who, [5], "pending")]
    found = rows_of(registered, deliveries)
    assert [row["due_us"] - NEXT_HOUR_US for row in found] == [0, 0, HOUR_US]
    assert all(row["podcast_key"] is None and row["message_id"].startswith("batch_") for row in found)


def test_a_notice_of_ours_is_no_batch(registered: Engine, lake: Path) -> None:
    who = add(registered, wish(HOOK, **HOURLY), NOW_US)
    row = {
        "message_id": "ntc_1",
        "subscription_id": who.subscription_id,
        "shard": who.shard,
        "outbox_ids": [],
        "notice": {"type": "webhook.test", "data": {}},
        "state": DeliveryState.PENDING,
        "due_us": NEXT_HOUR_US,
        **dict.fromkeys(("size", "created_us", "attempts", "failures", "replays"), 0),
    }
    with registered.begin() as connection:
        connection.execute(insert(deliveries), [row])
    commit(lake, updated())
    hand_over(registered, lake, SHARD, NOW_US)
    assert [one[1] for one in sent(registered)] == [[], [1]]


def test_what_a_disabled_endpoint_misses_can_be_replayed(registered: Engine, lake: Path) -> None:
    add(registered, wish(HOOK), NOW_US)
    with registered.begin() as connection:
        connection.execute(update(subscriptions.subscriptions).values(state=SubscriptionState.DISABLED))
    commit(lake, updated())
    hand_over(registered, lake, SHARD, NOW_US)
    (message,) = rows_of(registered, deliveries)
    assert (message["state"], message["reason"], message["ended_us"]) == ("dead", "endpoint disabled", NOW_US)


# --- lakes come and go


def test_a_lake_that_was_lost_is_told_anew_and_an_older_copy_not_again(
    registered: Engine, lake: Path, tmp_path: Path
) -> None:
    add(registered, wish(HOOK), NOW_US)
    for number in range(3):
        if number == 2:
            shutil.copytree(lake, tmp_path / "copy")
        commit(lake, updated(), at_us=NOW_US + number)
        hand_over(registered, lake, SHARD, NOW_US + number)
    shutil.rmtree(lake)
    (tmp_path / "copy").rename(lake)  # its third change is lost
    assert hand_over(registered, lake, SHARD, NOW_US + HOUR_US) == 0
    commit(lake, updated(), at_us=NOW_US + HOUR_US)
    assert hand_over(registered, lake, SHARD, NOW_US + HOUR_US) == 1
    shutil.rmtree(lake)
    assert hand_over(registered, lake, SHARD, NOW_US) == 0 and seen_of(registered, SHARD).handed == 0
    commit(lake, updated(), at_us=NOW_US + 2 * HOUR_US)
    assert hand_over(registered, lake, SHARD, NOW_US + 2 * HOUR_US) == 1
    assert [one[1] for one in sent(registered)] == [[1], [2], [3], [3], [1]]


def test_a_registry_made_anew_does_not_tell_the_history_of_an_old_lake(
    registered: Engine, lake: Path
) -> None:
    for days in (400, 2, 0):
        commit(lake, updated(), at_us=NOW_US - days * DAY_US)
    add(registered, wish(HOOK), NOW_US)
    assert hand_over(registered, lake, SHARD, NOW_US) == 1
    assert [one[1] for one in sent(registered)] == [[3]]


def test_what_waited_for_long_after_a_crash_is_told(registered: Engine, lake: Path) -> None:
    add(registered, wish(HOOK), NOW_US)
    commit(lake, updated(), at_us=NOW_US)
    hand_over(registered, lake, SHARD, NOW_US)
    commit(lake, updated(), at_us=NOW_US + 1)
    assert hand_over(registered, lake, SHARD, NOW_US + 30 * DAY_US) == 1


# --- two at once, and the dead


def test_two_that_hand_over_at_once_make_one_set_of_deliveries(registered: Engine, lake: Path) -> None:
    who = [add(registered, wish(HOOK, **said), NOW_US).subscription_id for said in ({}, HOURLY)]
    for _ in range(5):
        commit(lake, *[updated() for _ in range(4)])
        start, counts = threading.Barrier(3), []

        def run(start: threading.Barrier = start, counts: list[int] = counts) -> None:
            start.wait()
            counts.append(hand_over(registered, lake, SHARD, NOW_US))

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(counts) == [0, 0, 4]
    told_of = sent(registered)
    assert [one[1] for one in told_of if one[0] == who[0]] == [[number] for number in range(1, 21)]
    assert [one[1] for one in told_of if one[0] == who[1]] == [list(range(1, 21))]


def test_shards_that_are_handed_over_at_once_fill_one_batch(engine: Engine, lake: Path) -> None:
    lake.mkdir()
    urls = [f"https://pod.example.com/{number}" for number in range(6)]
    register(engine, [Registration(url) for url in urls], NOW_US)
    add(engine, wish(HOOK, **HOURLY), NOW_US)
    for url in urls:
        key = podcast_key(url)
        with opened(lake, shard_of(key)) as shard:
            state, found = told(new_state(key, url), [updated()], NOW_US)
            shard.commit(Commit(state=[state], changes=found))
    numbers = {shard_of(podcast_key(url)) for url in urls}
    assert len(numbers) == len(urls)
    threads = [threading.Thread(target=hand_over, args=(engine, lake, one, NOW_US)) for one in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (batch,) = rows_of(engine, deliveries)
    assert len(batch["outbox_ids"]) == len(urls)


def _died(url: str, lake: Path, port: int, where: str) -> None:
    """A worker of its own polls, commits, and is killed: before it hands over, or in the midst of it."""
    dying = subprocess.run(
        [sys.executable, "-m", "tests.registry.test_outbox", url, str(lake), str(port), where], timeout=120
    )
    assert dying.returncode == -signal.SIGKILL


def _wait_for_its_lease(engine: Engine, lake: Path) -> None:
    is_free = False
    while not is_free:
        with leased(engine, lake, [FEED_SHARD]) as tracker:
            is_free = bool(tracker.shards)
        time.sleep(0.05)


@pytest.mark.parametrize("where", ["before", "within"])
def test_what_was_committed_by_a_worker_that_was_killed_is_handed_over_once_by_the_next(
    engine: Engine, url: str, tmp_path: Path, feed: Feed, where: str
) -> None:
    register(engine, [Registration(FEED_URL)], NOW)
    add(engine, wish(HOOK), NOW)
    poll(engine, tmp_path, feed.port, NOW)
    feed.guid = DECLARED
    _died(url, tmp_path, feed.port, where)
    assert sent(engine) == [] and rows_of(engine, outbox_table) == []
    _wait_for_its_lease(engine, tmp_path)
    asked = len(feed.asked)
    assert poll(engine, tmp_path, feed.port, NOW + MONTH).total("due") == 0 and len(feed.asked) == asked
    told_of = sent(engine)
    assert len(told_of) == 1 and told_of[0][2] == "pending"
    poll(engine, tmp_path, feed.port, NOW + MONTH)
    assert sent(engine) == told_of
    (row,) = rows_of(engine, outbox_table)
    assert row["change"] == "podcast.updated" and row["data"]["podcast"]["guid"] == DECLARED


def test_a_worker_that_lost_its_lease_leaves_the_changes_to_the_next(
    engine: Engine, tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(engine, [Registration(FEED_URL)], NOW)
    add(engine, wish(HOOK), NOW)
    poll(engine, tmp_path, feed.port, NOW)
    handed = seen_of(engine, FEED_SHARD).handed
    feed.guid = DECLARED

    def asleep(engine: Engine, learnt: Any, lease: leases.Lease) -> int:
        monkeypatch.setattr("registry.podcasts.record_crawl", record_crawl)
        leases.abandon(engine, [lease])
        leases.abandon(engine, leases.claim(engine, "other", [FEED_SHARD], 60, utc_now_us()))
        return record_crawl(engine, learnt, lease)

    monkeypatch.setattr("registry.podcasts.record_crawl", asleep)
    poll(engine, tmp_path, feed.port, NOW + MONTH)
    assert sent(engine) == [] and seen_of(engine, FEED_SHARD).handed == handed
    poll(engine, tmp_path, feed.port, NOW + MONTH)
    assert len(sent(engine)) == 1


def test_a_worker_that_slept_over_the_hand_over_of_another_tells_nothing_twice(
    engine: Engine, tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(engine, [Registration(FEED_URL)], NOW)
    add(engine, wish(HOOK), NOW)
    poll(engine, tmp_path, feed.port, NOW)
    feed.guid = DECLARED
    marking = shards.handed_over

    def asleep(*args: Any) -> bool:
        monkeypatch.setattr(shards, "handed_over", lambda *_: True)  # as if no watermark held it back
        return marking(*args)

    monkeypatch.setattr(shards, "handed_over", asleep)
    poll(engine, tmp_path, feed.port, NOW + MONTH)
    told_of = sent(engine)
    with engine.begin() as connection:
        connection.execute(update(shards.shards).values(handed=1))
    assert hand_over(engine, tmp_path, FEED_SHARD, utc_now_us()) == 0
    assert len(told_of) == 1 and sent(engine) == told_of


def test_what_could_not_be_handed_over_is_by_the_next_sweep(
    engine: Engine, tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(engine, [Registration(FEED_URL)], NOW)
    add(engine, wish(HOOK), NOW)
    poll(engine, tmp_path, feed.port, NOW)
    feed.guid = DECLARED

    def failing(*_: object) -> int:
        raise OSError("the lake is gone")

    with monkeypatch.context() as broken, pytest.raises(OSError, match="gone"):
        broken.setattr(outbox, "data_of", failing)
        poll(engine, tmp_path, feed.port, NOW + MONTH)
    assert sent(engine) == []
    poll(engine, tmp_path, feed.port, NOW + MONTH)
    assert len(sent(engine)) == 1


def _die(*_: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    address, folder, port_text, place = sys.argv[1:]
    if place == "before":
        outbox.hand_over = _die
    else:
        outbox._write = _die  # the outbox's rows are there, their deliveries are not
    poll(connect(address, Path()), Path(folder), int(port_text), NOW + MONTH, lease_s=0.5)
