"""`earshot deliveries` and `earshot replay`, as typed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
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
SECOND_US = 10**6
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US


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
    assert said.startswith(f"1 message waits for endpoint {idle} since ")
    assert "(60 min ago), and nobody sends: start `earshot run`, or `earshot deliver`" in said
    assert "1 message of 2 changes was made" in said and "1 message waits, not tried yet, due now" in said
    lease = {"shard": (idle + 1) % 16, "owner": "host:1", "expires_us": now_us + HOUR_US, "fence": 1}
    with writing(engine) as connection:
        connection.execute(insert(tables.endpoint_leases).values(lease))
    said = why(idle)
    assert "no sender has come for it: those running are not at its shard" in said and "host:1" not in said

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
    assert "sends to it" not in said
    assert "6 requests failed, busy 503" in said and "503 Slow Down" in said
    assert "paused until" in said and "next attempt: " in said and "last success: " in said

    digest = subscribed(engine, mode="scheduled", cron="0 7 * * *")
    delivery(engine, digest, "batch_1", [1], podcast_key=None, state=DeliveryState.PENDING,
             created_us=now_us, due_us=now_us + HOUR_US)  # fmt: skip
    assert why(digest).startswith(f"1 message waits for endpoint {digest}; the first is due ")

    fine = subscribed(engine)
    attempt(engine, delivery(engine, fine, "evt_4", [1], created_us=hour_ago), started_us=hour_ago)
    said = why(fine)
    assert said.startswith(f"endpoint {fine} is sent to, and answers") and "1 request succeeded" in said
    shown = typed("deliveries", fine, "--since", "2d")
    assert shown.out.startswith(f"endpoint {fine} is sent to") and "evt_4" in shown.out


def answered(typed: Typed, at: int, since: str = "2d") -> tuple[list[str], dict[str, Any]]:
    """(the sentences, how the endpoint fares)."""
    said = json.loads(typed("deliveries", at, "--since", since, "--output", "json").out)
    return said["answer"], said["endpoint"]


def test_a_message_that_fails_and_holds_up_those_behind_it_is_named(typed: Typed, engine: Engine) -> None:
    now_us = utc_now_us()
    at = subscribed(engine, is_ordered=True, failures=2, failing_since_us=now_us - HOUR_US)
    waits = {"state": DeliveryState.PENDING, "created_us": now_us - HOUR_US}
    head = delivery(engine, at, "evt_head", [1], due_us=now_us + HOUR_US, failures=2, attempts=2, **waits)
    for number in (1, 2):
        attempt(
            engine, head, number, started_us=now_us - 9 * MINUTE_US, status=500, outcome="server_error",
            detail="500 Internal Server Error",
        )  # fmt: skip
    for number in range(3):
        delivery(engine, at, f"evt_{number}", [1], due_us=now_us - HOUR_US, attempts=0, **waits)
    (reason, *rest), fares = answered(typed, at)
    assert reason.startswith(
        f"endpoint {at} fails: message evt_head failed 2 times (500 Internal Server Error) "
        "and holds up 3 behind it; next try "
    )
    assert not any("nobody sends" in line or "next attempt: now" in line for line in rest)
    assert (fares["held_up_by"], fares["failed"], fares["waiting"]) == ("evt_head", 1, 4)


def test_who_has_just_sent_is_not_told_to_start(typed: Typed, engine: Engine) -> None:
    """Between two runs of Dagster nobody holds a lease, and all is well."""
    now_us = utc_now_us()
    at, other = subscribed(engine), subscribed(engine)
    attempt(engine, delivery(engine, other, "evt_1"), started_us=now_us - 30 * SECOND_US)
    fresh = {"state": DeliveryState.PENDING, "created_us": now_us, "attempts": 0}
    delivery(engine, at, "evt_2", [1], due_us=now_us - SECOND_US, **fresh)
    sentences, _ = answered(typed, at)
    assert "no sender is at work right now; the last request to anybody was 3" in sentences[-1]
    assert "earshot deliver" not in "".join(sentences)
    delivery(engine, at, "evt_3", [1], due_us=now_us - 9 * MINUTE_US, **fresh)
    sentences, _ = answered(typed, at)
    assert sentences[0].startswith(f"2 messages wait for endpoint {at} since ")
    assert "no sender has come for it; the last request to anybody was 3" in sentences[0]
    assert "earshot deliver" not in "".join(sentences)


def test_a_message_due_for_long_is_told_although_others_arrived(typed: Typed, engine: Engine) -> None:
    now_us = utc_now_us()
    at = subscribed(engine, succeeded_us=now_us - HOUR_US)
    attempt(engine, delivery(engine, at, "evt_1", created_us=now_us - HOUR_US), started_us=now_us - HOUR_US)
    late_us = now_us - 9 * MINUTE_US
    delivery(engine, at, "evt_2", [1], state=DeliveryState.PENDING, created_us=late_us, due_us=late_us)
    lease = {"shard": at % 16, "owner": "vm:7:cafe", "expires_us": now_us + HOUR_US, "fence": 1}
    with writing(engine) as connection:
        connection.execute(insert(tables.endpoint_leases).values(lease))
    sentences, fares = answered(typed, at)
    assert sentences[0].startswith(f"1 message waits for endpoint {at} since ")
    assert sentences[0].endswith("no sender has come for it, although one is running")
    assert sentences[-1] == "a sender is running" and fares["sender"] == "vm:7:cafe"
    # Of a moment with nothing new the same is said, not that nothing changed.
    assert answered(typed, at, "1m")[0][0] == sentences[0]


def test_what_waits_from_before_is_told(typed: Typed, engine: Engine) -> None:
    now_us = utc_now_us()
    at = subscribed(engine)
    delivery(engine, at, "evt_1", [1], state=DeliveryState.PENDING, created_us=now_us - HOUR_US,
             due_us=now_us + HOUR_US)  # fmt: skip
    (reason, *rest), fares = answered(typed, at, "1m")
    assert reason.startswith(f"1 message waits for endpoint {at} from before ")
    assert "nothing new was made for it since; the first is due" in reason
    assert not any("nothing that endpoint" in line for line in rest)
    assert (fares["state"], fares["waiting"], fares["due"]) == ("active", 1, 0) and fares["next_due"]


def test_of_a_disabled_endpoint_it_is_not_said_who_sends(typed: Typed, engine: Engine) -> None:
    at = subscribed(engine, state=SubscriptionState.DISABLED, reason="it answered 410 Gone")
    sentences, fares = answered(typed, at)
    assert "send" not in sentences[-1]
    assert (fares["state"], fares["reason"]) == ("disabled", "it answered 410 Gone")


def test_a_private_address_in_the_log_names_the_setting(typed: Typed, engine: Engine) -> None:
    now_us = utc_now_us()
    at = subscribed(engine)
    tried = delivery(engine, at, "evt_1", [1], created_us=now_us, state=DeliveryState.DEAD)
    attempt(
        engine, tried, started_us=now_us, outcome="private_address", status=None, detail="10.0.0.1 is private"
    )
    assert "EARSHOT_WEBHOOK_TEST_HOSTS" in typed("deliveries", at).out
    assert "EARSHOT_WEBHOOK_TEST_HOSTS" in typed("deliveries", "--id", "evt_1").err


@pytest.mark.parametrize("width", [80, 100, 120, 140])
def test_ids_and_times_stay_whole_in_any_width(
    typed: Typed, engine: Engine, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    now_us = 1_796_083_200_000_000  # 2026-12-01
    at = subscribed(engine, url="https://hooks.example.com/" + "path/" * 20, succeeded_us=now_us)
    outbox = change(engine, KEY, 3)
    ids = ["evt_" + letter * 32 for letter in "ab"]
    for each in ids:
        tried = delivery(engine, at, each, [outbox], created_us=now_us, podcast_key=KEY, reason="x " * 200)
        attempt(engine, tried, started_us=now_us, detail="detail " * 20, answer="answer " * 100)
    monkeypatch.setenv("COLUMNS", str(width))
    for arguments in (["deliveries"], ["deliveries", at], ["deliveries", "--id", ids[0]]):
        said = typed(*arguments)
        assert ids[0] in said.out and "12-01 00:00:00" in said.out and str(KEY) not in said.out
        assert max(map(len, said.out.splitlines()[-4:])) <= width
    assert "12-01 00:00:00" in typed("subscriptions").out


def test_nothing_is_replayed_to_who_has_ended(typed: Typed, engine: Engine) -> None:
    at = subscribed(engine, state=SubscriptionState.ENDED)
    delivery(engine, at, "evt_1", state=DeliveryState.DEAD, created_us=utc_now_us())
    for arguments in ([at, "--failed-since", "1d"], ["--id", "evt_1"]):
        said = typed("replay", *arguments)
        assert said.code == 1 and f"subscription {at}" in said.err and "has ended" in said.err
        assert "earshot resume" not in said.err
    assert all(each.replays == 0 for each in deliveries(engine))


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
    assert said.code == 1 and "no message has the id 'nonsense'" in said.err
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
