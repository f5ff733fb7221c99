"""Asks for a sweep of the shards that are due longest; the parts take turns, so that none starves."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from ingest.feeds.schema import SHARDS
from ingest.feeds.state import NO_TIME_US
from ingest.lake import utc_now_us
from orchestration.assets.feeds import SweepConfig, feeds_job
from orchestration.constants import (
    FEEDS_INTERVAL_S,
    FEEDS_JOB,
    FEEDS_TAG,
    FEW_PODCASTS,
    PODCAST_FEEDS,
    SHARDS_PER_RUN,
)
from orchestration.liveness import report_dead_runs
from orchestration.resources import Installation
from orchestration.sensors.runs import NO_AUTOMATIC_RETRY, UNDER_WAY
from registry.database import connected
from registry.due import due_shards
from registry.podcasts import are_more_than


@dg.sensor(
    job=feeds_job,
    minimum_interval_seconds=FEEDS_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Podcasts are due: poll a part of the shards, the one that waits longest first.",
)
def feeds_due_sensor(context: dg.SensorEvaluationContext, installation: Installation) -> dg.SensorResult:
    settings = installation.settings()
    for run_id in report_dead_runs(context.instance, FEEDS_JOB, settings):
        context.log.warning(f"run {run_id} has lost its process; its shards are swept again")
    if context.instance.get_runs(dg.RunsFilter(job_name=FEEDS_JOB, statuses=UNDER_WAY), limit=1):
        return dg.SensorResult(skip_reason="a sweep is under way")
    now_us = utc_now_us()
    with connected(settings.registry, settings.data) as engine:
        due = due_shards(engine, settings.lake_dir, now_us)
        at_a_time = SHARDS_PER_RUN if are_more_than(engine, FEW_PODCASTS) else SHARDS
        is_empty = not are_more_than(engine, 0)
    if is_empty:
        return dg.SensorResult(skip_reason="no podcast is registered: `earshot register URL`")
    if not due:
        return dg.SensorResult(skip_reason="another worker is at all shards")
    first = longest_due(due, now_us, at_a_time)
    if first is None:
        return dg.SensorResult(skip_reason=f"nothing is due before {told(min(due.values()), now_us)}")
    last = first + at_a_time - 1
    request = dg.RunRequest(
        run_config=dg.RunConfig(ops={PODCAST_FEEDS: SweepConfig(first=first, last=last)}),
        tags={FEEDS_TAG: f"{first:03}-{last:03}", **NO_AUTOMATIC_RETRY},
    )
    return dg.SensorResult(run_requests=[request])


def longest_due(due: Mapping[int, int], now_us: int, at_a_time: int) -> int | None:
    """First shard of the part whose longest due podcast waits longest; None: none is due."""
    parts: dict[int, int] = {}
    for shard, due_us in due.items():
        first = shard // at_a_time * at_a_time
        parts[first] = min(parts.get(first, NO_TIME_US), due_us)
    ready = [(due_us, first) for first, due_us in parts.items() if due_us <= now_us]
    return min(ready)[1] if ready else None


def told(due_us: int, now_us: int) -> str:
    """How long until then, for people."""
    return (
        "something is registered" if due_us == NO_TIME_US else f"{(due_us - now_us) / 6e7:.1f} min from now"
    )
