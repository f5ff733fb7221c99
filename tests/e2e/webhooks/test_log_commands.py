"""`earshot deliveries` and `earshot replay`, as typed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from sqlalchemy import Engine, insert

from ingest.feeds.urls import podcast_key
from ingest.lake import utc_now_us
from registry import tables
from registry.database import writing
from registry.delivery_log import deliveries
from registry.podcasts import Registration, register
from registry.tables import DeliveryState, SubscriptionState
from tests.e2e.webhooks.cli import Typed, earshot
from tests.registry.webhook_rows import attempt, change, delivery
from tests.registry.webhook_rows import endpoint as subscribed

FEED = "https://a.example.com/feed.xml"
KEY = podcast_key(FEED)
HOUR_US = 3600 * 10**6


def test_deliveries_are_listed_and_narrowed(typed: Typed, engine: Engine) -> None:
    now_us = utc_now_us()
    at, other = subscribed(engine), subscribed(engine)
    outbox = change(engine, KEY, 3)
    delivery(engine, at, "evt_old", [outbox], created_us=now_us - 50 * HOUR_US)
    delivery(engine, at, "evt_dead", [outbox], created_us=now_us - HOUR_US, state=DeliveryState.DEAD)
    delivery(engine, other, "evt_new", [outbox], created_us=now_us, podcast_key=KEY)

    def ids(*arguments: object) -> list[str]:
        return [row["message_id"] for row in typed("deliveries", *arguments, "--output", "json").rows]

    assert ids() == ["evt_new", "evt_dead", "evt_old"]
    assert ids(at) == ["evt_dead", "evt_old"]
    assert ids("--since", "2d") == ["evt_new", "evt_dead"]
    assert ids("--until", "30min") == ["evt_dead", "evt_old"]
    assert ids("--state", "dead", "--state", "pending") == ["evt_dead"]
    assert ids("--limit", 1) == ["evt_new"]
    text = typed("deliveries", "--output", "csv").out
    first = next(csv.DictReader(io.StringIO(text)))
    assert (first["podcast_key"], first["sequence"], first["type"]) == (str(KEY), "3", "episode.created")
    shown = typed("deliveries")
    assert "evt_new" in shown.out and str(KEY) not in shown.err
    assert typed("deliveries", "--state", "eaten").code == 2
    assert typed("deliveries", "--since", "Tuesday").code == 2
    assert typed("deliveries", "--since", "1d", "--until", "2d").code == 2


def test_a_message_is_shown_with_all_its_attempts(typed: Typed, engine: Engine) -> None:
    at = subscribed(engine)
    tried = delivery(engine, at, "evt_1")
    attempt(engine, tried, 1, outcome="server_error", status=500, ms=99, answer="\x1b[31moh")
    attempt(engine, tried, 2)
    (row,) = typed("deliveries", "--id", "evt_1", "--output", "json").rows
    assert [(each["outcome"], each["status"], each["ms"]) for each in row["log"]] == [
        ("server_error", 500, 99),
        ("sent", 200, 12),
    ]
    shown = typed("deliveries", "--id", "evt_1").out
    assert "server_error" in shown and "oh" in shown and "\x1b[31m" not in shown
    assert "evt_2" in typed("deliveries", "--id", "evt_2").err
    assert typed("deliveries", "--id", "evt_2").code == 1


def test_why_nothing_came_is_answered_for_each_reason(typed: Typed, engine: Engine) -> None:
    """`deliveries ID --since`: the first sentence is the reason."""
    now_us = utc_now_us()
    hour_ago = now_us - HOUR_US

    def why(at: int) -> str:
        return typed("deliveries", at, "--since", "2d", "--output", "json").answer

    nothing = subscribed(engine, types=["podcast.live"], created_us=now_us - 99 * HOUR_US)
    said = why(nothing)
    assert said.startswith(f"nothing that endpoint {nothing} asks for changed since")
    assert "it asks for: podcast.live; of all podcasts that default tracks" in said
    assert "default tracks no podcast" in said
    register(engine, [Registration(FEED)], 0)
    assert "nothing changed in the 1 podcast that default tracks" in why(nothing)

    given = {"state_us": hour_ago, "reason": "it answered 410 Gone"}
    off = subscribed(engine, state=SubscriptionState.DISABLED, **given)
    delivery(engine, off, "evt_1", [1], state=DeliveryState.DEAD, created_us=hour_ago)
    said = why(off)
    assert said.startswith(f"endpoint {off} is disabled since") and "it answered 410 Gone" in said
    assert f"earshot resume {off}" in said and "1 dead letter kept" in said

    left = subscribed(engine, state=SubscriptionState.ENDED, state_us=hour_ago)
    assert why(left).startswith(f"endpoint {left} was unsubscribed")

    idle = subscribed(engine)
    delivery(engine, idle, "evt_2", [1, 2], state=DeliveryState.PENDING, created_us=hour_ago, due_us=hour_ago)
    said = why(idle)
    assert said.startswith(f"1 message to endpoint {idle} due for 60 min, and nobody sends")
    assert "`earshot deliver`" in said and "1 message of 2 changes was made" in said
    lease = {"shard": (idle + 1) % 16, "owner": "host:1", "expires_us": now_us + HOUR_US, "fence": 1}
    with writing(engine) as connection:
        connection.execute(insert(tables.endpoint_leases).values(lease))
    assert "senders are at work, but none at shard" in why(idle)

    failing = subscribed(
        engine, failures=6, failing_since_us=hour_ago, paused_until_us=now_us + HOUR_US, succeeded_us=hour_ago
    )
    tried = delivery(
        engine,
        failing,
        "evt_3",
        [1],
        state=DeliveryState.PENDING,
        created_us=hour_ago,
        due_us=hour_ago,
        failures=6,
    )
    for number in range(1, 7):
        attempt(
            engine,
            tried,
            number,
            started_us=hour_ago + number,
            outcome="busy",
            status=503,
            detail="503 Slow Down",
        )
    said = why(failing)
    assert said.startswith(f"endpoint {failing} fails: 6 times in a row")
    assert "6 requests failed, busy 503" in said and "503 Slow Down" in said
    assert "paused until" in said and "next attempt: " in said and "last success: " in said

    digest = subscribed(engine, mode="scheduled", cron="0 7 * * *")
    delivery(engine, digest, "batch_1", [1], podcast_key=None, state=DeliveryState.PENDING,
             created_us=now_us, due_us=now_us + HOUR_US)  # fmt: skip
    assert why(digest).startswith(f"1 message to endpoint {digest} wait")

    fine = subscribed(engine)
    attempt(engine, delivery(engine, fine, "evt_4", [1], created_us=hour_ago), started_us=hour_ago)
    said = why(fine)
    assert said.startswith(f"endpoint {fine} is sent to, and answers") and "1 request succeeded" in said
    shown = typed("deliveries", fine, "--since", "2d")
    assert shown.out.startswith(f"endpoint {fine} is sent to") and "evt_4" in shown.out


def test_a_replay_is_counted_first_and_then_done_once(data: Path, engine: Engine) -> None:
    """With the real command."""
    at = subscribed(engine)
    day = 1_796_083_200_000_000  # 2026-12-01
    for hour in (-1, 0, 23, 24):
        delivery(engine, at, f"evt_{hour}", created_us=day + hour * HOUR_US, attempts=2)
    delivery(engine, at, "evt_wait", state=DeliveryState.PENDING, created_us=day)
    arguments = ("replay", at, "--from", "2026-12-01", "--to", "2026-12-01", "--output", "json")
    (row,) = json.loads(earshot(data, *arguments, "--dry-run").stdout)
    assert (row["would_send"], row["waiting_anyway"]) == (2, 1)
    assert all(each.replays == 0 for each in deliveries(engine))
    (row,) = json.loads(earshot(data, *arguments).stdout)
    assert row["queued"] == 2
    replayed = [(each.message_id, each.state, each.replays) for each in deliveries(engine) if each.replays]
    assert sorted(replayed) == [("evt_0", DeliveryState.PENDING, 1), ("evt_23", DeliveryState.PENDING, 1)]
    (row,) = json.loads(earshot(data, *arguments).stdout)
    assert (row["queued"], row["waiting_anyway"]) == (0, 3)


def test_messages_and_all_that_failed_are_replayed(typed: Typed, engine: Engine) -> None:
    now_us = utc_now_us()
    at, other = subscribed(engine), subscribed(engine, state=SubscriptionState.DISABLED)
    for to in (at, other):
        delivery(engine, to, "evt_1", state=DeliveryState.DEAD, created_us=now_us - HOUR_US)
    said = typed("replay", "--failed-since", "2h", "--dry-run", "--output", "json")
    assert (said.rows[0]["would_send"], said.rows[0]["endpoint_not_active"]) == (1, 1)
    assert f"earshot resume {other}" in said.err
    assert typed("replay", "--failed-since", "30min", "--output", "json").rows[0]["queued"] == 0
    assert typed("replay", "--id", "evt_1", "--output", "json").rows[0]["queued"] == 1
    said = typed("replay", "--id", "nonsense")
    assert said.code == 1 and "no message is like that" in said.err
    for wrong in (
        ["replay"],
        ["replay", at],
        ["replay", "--from", "1d"],
        ["replay", at, "--to", "1d"],
        ["replay", at, "--from", "1d", "--to", "2d"],
        ["replay", "--id", "evt_1", "--failed-since", "1d"],
        ["replay", "--failed-since", "Tuesday"],
    ):
        assert typed(*wrong).code == 2, wrong
