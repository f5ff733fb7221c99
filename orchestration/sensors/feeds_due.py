"""Asks for a sweep of the shards that are due longest; the parts take turns, so that none starves."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from ingest.feeds.schema import SHARDS
from ingest.feeds.state import NO_TIME_US, next_due_of
from ingest.lake import utc_now_us
from orchestration.assets.feeds import feeds_job
from orchestration.constants import (
    FEEDS_INTERVAL_S,
    FEEDS_JOB,
    FEEDS_TAG,
    FEW_PODCASTS,
    SHARDS_PER_RUN,
)
from orchestration.liveness import report_dead_runs
from orchestration.resources import Installation
from orchestration.sensors.runs import NO_AUTOMATIC_RETRY, UNDER_WAY
from registry import hints
from registry import shards as registry_shards
from registry.database import connected
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
    with connected(settings.registry, settings.data) as engine:
        versions, noticed = registry_shards.versions(engine), hints.noticed_shards(engine)
        at_a_time = SHARDS_PER_RUN if are_more_than(engine, FEW_PODCASTS) else SHARDS
    if not versions:
        return dg.SensorResult(skip_reason="no podcast is registered: `earshot register URL`")
    seen = read_cursor(context.cursor)
    now_us = utc_now_us()
    due = {shard: next_due_of(settings.lake_dir, shard)[1] for shard in versions}
    for shard, version in versions.items():
        if seen.get(shard) != version:  # registered, deregistered or noticed since its last sweep
            due[shard] = min(due[shard], now_us)
    for shard in noticed:
        due[shard] = min(due.get(shard, NO_TIME_US), now_us)
    first = longest_due(due, now_us, at_a_time)
    if first is None:
        return dg.SensorResult(skip_reason=f"nothing is due before {told(min(due.values()), now_us)}")
    part = range(first, first + at_a_time)
    seen.update({shard: versions[shard] for shard in part if shard in versions})
    request = dg.RunRequest(
        tags={
            "dagster/asset_partition_range_start": f"{part[0]:03}",
            "dagster/asset_partition_range_end": f"{part[-1]:03}",
            FEEDS_TAG: f"{part[0]:03}-{part[-1]:03}",
            **NO_AUTOMATIC_RETRY,
        }
    )
    return dg.SensorResult(run_requests=[request], cursor=write_cursor(seen))


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


def read_cursor(text: str | None) -> dict[int, int]:
    """shard → version of the registry at its last sweep."""
    versions = [int(word) if word else -1 for word in (text or "").split(",")]
    return dict(enumerate(versions)) if len(versions) == SHARDS else {}


def write_cursor(seen: Mapping[int, int]) -> str:
    return ",".join(str(seen.get(shard, "")) for shard in range(SHARDS))
