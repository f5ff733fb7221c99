"""Partitions: log files by the hour of intake, restatements by the day of requests, shards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from ingest.feeds.schema import SHARDS
from orchestration.constants import FIRST_ARRIVAL_HOUR, FIRST_EVENT_DAY
from registry.subscriptions import ENDPOINT_SHARDS

# Arrival, not event time: a file holds many event hours, arrives once, and may arrive days late.
# `end_offset=1` gives the hour in progress a partition, which is where files go.
arrival_hours = dg.HourlyPartitionsDefinition(start_date=FIRST_ARRIVAL_HOUR, timezone="UTC", end_offset=1)

event_days = dg.DailyPartitionsDefinition(start_date=FIRST_EVENT_DAY, timezone="UTC", end_offset=1)

endpoint_shards = dg.StaticPartitionsDefinition([f"{shard:02}" for shard in range(ENDPOINT_SHARDS)])

feed_shards = dg.StaticPartitionsDefinition([f"{shard:03}" for shard in range(SHARDS)])

_KEY_FORMAT = "%Y-%m-%d-%H:%M"


def hour_key(now: datetime) -> str:
    """The partition a file taken in at `now` belongs to."""
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0).strftime(_KEY_FORMAT)


def hour_span_us(key: str) -> tuple[int, int]:
    """First microsecond of the hour `key` and first one after it."""
    start = datetime.strptime(key, _KEY_FORMAT).replace(tzinfo=UTC)
    return int(start.timestamp() * 1e6), int((start + timedelta(hours=1)).timestamp() * 1e6)
