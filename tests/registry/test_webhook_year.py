"""A year of webhooks in simulated time: each attempt came when docs/webhooks.md says, nothing was lost."""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select

from ingest.feeds.schema import ChangeType, canonical_json, shard_of
from ingest.feeds.state import Commit, opened
from ingest.feeds.urls import podcast_key
from registry.deliveries import Attempt
from registry.delivery_log import replay
from registry.outbox import hand_over
from registry.podcasts import register
from registry.registration import registration
from registry.subscribing import wish
from registry.subscriptions import add, resume
from registry.tables import attempts, deliveries, outbox
from serving.webhooks.breaker import DISABLE_AFTER_S, PAUSES_S, PROBE_AFTER
from serving.webhooks.outcomes import Outcome, Result
from serving.webhooks.schedule import MAX_FAILURES, retry_delay_us
from serving.webhooks.turns import Turned
from tests.registry.webhook_sender import DAY, H, S, Sender

BEGIN_US = 20_454 * DAY  # 2026-01-01
YEAR = 365 * DAY
BERLIN = ZoneInfo("Europe/Berlin")
FEED = "https://feeds.example.com/show.xml"
KEY = podcast_key(FEED)
CHANGES = 200
NEVER = 2**62


@dataclass(frozen=True)
class Outage:
    from_us: int
    to_us: int
    result: Result


def outages(dice: random.Random) -> list[Outage]:
    """Of minutes to nine days; none in the last three weeks."""
    results = (
        Result(Outcome.SERVER_ERROR, 500, detail="500 Oops"),
        Result(Outcome.TIMEOUT, detail="no answer within 15 s"),
        Result(Outcome.BUSY, 429, detail="429", retry_after_s=600),
    )
    found = []
    for longest_us, how_many in ((H, 20), (12 * H, 12), (9 * DAY, 6)):
        for _ in range(how_many):
            from_us = BEGIN_US + dice.randrange(YEAR - 32 * DAY)
            found.append(Outage(from_us, from_us + dice.randrange(longest_us), dice.choice(results)))
    return found


class Endpoint:
    """An endpoint with its outages; its owner resumes it four days after it was disabled, and replays."""

    def __init__(self, engine: Engine, dice: random.Random, name: str, **how: Any) -> None:
        wished = wish(f"https://{name}.example.com/hook", now_us=BEGIN_US, **how)
        self.id = add(engine, wished, BEGIN_US).subscription_id
        self.outages = outages(dice)
        self.disabled_us: list[int] = []
        self.resumed_us: list[int] = []

    def answers(self, now_us: int) -> Result:
        for outage in self.outages:
            if outage.from_us <= now_us < outage.to_us:
                return outage.result
        return Result(Outcome.SENT, 200)


def happens(lake_root: Path, engine: Engine, sequence: int, now_us: int) -> None:
    """A change of the podcast, committed and handed over."""
    fields = [{"field": "title", "old": f"Title {sequence - 1}", "new": f"Title {sequence}"}]
    row = {
        "podcast_key": KEY,
        "sequence": sequence,
        "detected_us": now_us,
        "change": ChangeType.PODCAST_UPDATED.value,
        "is_minor": False,
        "fields": canonical_json(fields),
    }
    with opened(lake_root, shard_of(KEY)) as shard:
        shard.commit(Commit(state=[], changes=[row]))
    assert hand_over(engine, lake_root, shard_of(KEY), now_us) == 1


def test_a_year_of_outages_goes_as_documented_and_loses_nothing(tmp_path: Path, engine: Engine) -> None:
    dice = random.Random(1)
    register(engine, [registration(FEED)], BEGIN_US)
    digest_at = {"mode": "scheduled", "cron": "0 7 * * *", "time_zone": "Europe/Berlin", "batch_size": 5}
    immediate, ordered, digest = (
        Endpoint(engine, dice, "immediate"),
        Endpoint(engine, dice, "ordered", is_ordered=True),
        Endpoint(engine, dice, "digest", **digest_at),
    )
    endpoints = {each.id: each for each in (immediate, ordered, digest)}
    sender = Sender(engine, BEGIN_US).take(ttl_s=400 * 86_400)
    coming = [(BEGIN_US + dice.randrange(YEAR - 25 * DAY), 0) for _ in range(CHANGES)]
    heapq.heapify(coming)

    def answer(attempt: Attempt, now_us: int) -> Result:
        return endpoints[attempt.subscription.subscription_id].answers(now_us)

    def note(turned: Turned) -> None:
        for one in turned.disabled:
            endpoints[one].disabled_us.append(sender.now_us)
            heapq.heappush(coming, (sender.now_us + 4 * DAY, one))

    def wakes_up(one: Endpoint) -> None:
        resume(engine, one.id, sender.now_us)
        replay(engine, subscription_id=one.id, failed_since_us=0, now_us=sender.now_us)
        one.resumed_us.append(sender.now_us)

    told_us: list[int] = []
    while coming:
        at_us, one = heapq.heappop(coming)
        sender.goes_on(answer, max(at_us, sender.now_us), note)
        if one:
            wakes_up(endpoints[one])
        else:
            told_us.append(sender.now_us)
            happens(tmp_path, engine, len(told_us), sender.now_us)
    sender.goes_on(answer, BEGIN_US + YEAR, note)
    for each in endpoints.values():  # what was given up after ten attempts
        wakes_up(each)
    sender.goes_on(answer, BEGIN_US + YEAR + DAY, note)

    with engine.connect() as connection:
        rows = list(connection.execute(select(deliveries).order_by(deliveries.c.delivery_id)))
        in_time = select(attempts).order_by(attempts.c.started_us, attempts.c.delivery_id)
        log = list(connection.execute(in_time))
        sequences = dict(connection.execute(select(outbox.c.outbox_id, outbox.c.sequence)).tuples().all())
    assert sum(len(one.disabled_us) for one in endpoints.values()) > 0  # else the year was too kind
    for each in endpoints.values():
        by_id = {row.delivery_id: row for row in rows if row.subscription_id == each.id}
        mine = [row for row in by_id.values() if row.notice is None]
        assert {row.state for row in mine} == {"sent"}
        heard = [sequences[number] for row in mine for number in row.outbox_ids]
        assert sorted(heard) == list(range(1, CHANGES + 1))
        went_as_documented(each, by_id, [row for row in log if row.delivery_id in by_id])
        if each is ordered:
            replayed = {row.delivery_id for row in mine if row.replays}
            sent = [row.delivery_id for row in log if row.delivery_id in by_id and row.outcome == "sent"]
            assert [one for one in sent if one not in replayed] == sorted(set(sent) - replayed)
        if each is digest:
            digests_came_in_time(mine, log, [told_us[one - 1] for one in heard], each)


def went_as_documented(one: Endpoint, by_id: dict[int, Any], log: list[Any]) -> None:
    """Reads the log beside the tables of docs/webhooks.md."""
    streak, since_us, paused_us, last_us, failed_us = 0, 0, 0, 0, 0
    failures: dict[int, int] = defaultdict(int)
    due_us = {row.delivery_id: row.created_us for row in by_id.values() if row.podcast_key}
    resumed, disabled = list(one.resumed_us), list(one.disabled_us)
    for row in log:
        at_us, key = row.started_us, row.delivery_id
        while resumed and resumed[0] <= at_us:
            again_us = resumed.pop(0)
            if disabled and disabled[0] < again_us:
                disabled.pop(0)
                streak, paused_us = 0, 0
            for given_up in [each for each, count in failures.items() if count]:
                if due_us[given_up] == NEVER or paused_us == 0:
                    failures[given_up], due_us[given_up] = 0, again_us
        assert not disabled or at_us <= disabled[0]
        assert at_us == last_us or at_us >= max(paused_us, due_us.get(key, 0))
        if key in due_us and at_us != last_us:
            assert at_us == max(due_us[key], paused_us)
        last_us = at_us
        if row.outcome == "sent":
            paused_us = 0 if streak >= PROBE_AFTER else paused_us
            streak = 0
            continue
        is_counted = at_us > failed_us  # else it was out already when another failed
        streak, failed_us = streak + is_counted, at_us
        since_us = at_us if streak == 1 and is_counted else since_us
        asked_us = 600 * S if row.outcome == "busy" else 0
        rest_us = (
            PAUSES_S[min(streak - PROBE_AFTER, len(PAUSES_S) - 1)] * S
            if streak >= PROBE_AFTER and is_counted
            else 0
        )
        paused_us = max(paused_us, at_us + max(asked_us, rest_us) if asked_us or rest_us else 0)
        failures[key] += 1
        if failures[key] < MAX_FAILURES:
            wait_us = retry_delay_us(by_id[key].message_id, failures[key])
            due_us[key] = at_us + max(wait_us, asked_us)
        else:
            due_us[key] = NEVER
        assert (at_us - since_us >= DISABLE_AFTER_S * S) == (at_us in one.disabled_us)


def digests_came_in_time(rows: list[Any], log: list[Any], told_us: list[int], one: Endpoint) -> None:
    """Each at the first 07:00 in Berlin after its changes, summer and winter, unless the endpoint failed."""
    first_us: dict[int, int] = {}
    for row in log:
        first_us.setdefault(row.delivery_id, row.started_us)
    times, late = iter(told_us), 0
    for row in rows:
        assert len(row.outbox_ids) <= 5
        (due_us,) = {_next_seven(next(times)) for _ in row.outbox_ids}
        if first_us[row.delivery_id] != due_us:
            late += 1
            assert any(
                outage.from_us < first_us[row.delivery_id] < outage.to_us + 6 * DAY for outage in one.outages
            )
    assert late < len(rows) / 2


def _next_seven(after_us: int) -> int:
    day = datetime.fromtimestamp(after_us / 1e6, BERLIN).date()
    for date in (day, day + timedelta(days=1)):
        due_us = round(datetime(date.year, date.month, date.day, 7, tzinfo=BERLIN).timestamp() * 1e6)
        if due_us > after_us:
            return due_us
    raise AssertionError("a day without seven o'clock")
