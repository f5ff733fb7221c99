"""Change webhooks: what is due is sent to who asked, and how well the endpoints are told."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from ingest.lake import utc_now_us
from ingest.settings import Settings
from orchestration.constants import (
    CHANGE_WEBHOOKS,
    DEAD_LETTERS_S,
    DELIVERY_BUDGET_S,
    OWNERS,
    PODCAST_FEEDS,
    SHOWN_ENDPOINTS,
    WEBHOOKS_CRON,
    WEBHOOKS_JOB,
    WEBHOOKS_SCHEDULE,
    WEBHOOKS_TAG,
)
from orchestration.liveness import hold
from orchestration.partitions import endpoint_shards
from orchestration.previews import markdown
from orchestration.resources import Installation
from orchestration.subjects import Subject
from orchestration.webhook_checks import CHECKS, endpoints
from registry.database import connected
from registry.dead_letters import given_up
from registry.delivery_log import summary
from registry.subscriptions import ENDPOINT_SHARDS
from serving.webhooks.deliver import Delivered, DeliverSettings, ShardDelivered, deliver, send_settings

# A run that sensor or schedule asks for sends to all endpoints. It is one of all partitions: without any,
# Dagster would ask it for its partitions nevertheless, to look up those of `podcast_feeds`.
ALL_SHARDS = {
    ASSET_PARTITION_RANGE_START_TAG: endpoint_shards.get_first_partition_key() or "",
    ASSET_PARTITION_RANGE_END_TAG: endpoint_shards.get_last_partition_key() or "",
    WEBHOOKS_TAG: "all",
}


@dg.asset(
    name=CHANGE_WEBHOOKS,
    deps=[PODCAST_FEEDS],
    group_name=Subject.WEBHOOKS.value,
    owners=OWNERS,
    kinds={"python", "json"},
    partitions_def=endpoint_shards,
    backfill_policy=dg.BackfillPolicy.single_run(),
    output_required=False,  # an event for each shard of endpoints that was sent something
    check_specs=[
        dg.AssetCheckSpec(name, asset=CHANGE_WEBHOOKS, description=check.description)
        for name, check in CHECKS.items()
    ],
    description=(
        "Changes of podcasts told to who subscribed, as signed webhooks, at once or as digests. A run sends "
        "what is due until nothing is or its time is over; a partition is a shard of endpoints. "
        "`earshot deliver` does the same without Dagster."
    ),
)
def change_webhooks(
    context: dg.AssetExecutionContext, installation: Installation
) -> Iterator[dg.AssetCheckResult]:
    settings = installation.settings()
    hold(context.run_id, settings)
    how = DeliverSettings(budget_s=DELIVERY_BUDGET_S, send=send_settings(settings))
    delivered = deliver(settings, list(map(int, context.partition_keys)), how)
    rows = look(settings)
    for shard, of_shard in sorted(delivered.shards.items()):
        if of_shard.sent:
            context.log_event(materialized(shard, of_shard, rows))
    context.log_event(dg.AssetObservation(CHANGE_WEBHOOKS, metadata=told(delivered, rows)))
    if delivered.lost:
        context.log.warning(f"shards another sender took over: {delivered.lost}; it goes on there")
    for name, check in CHECKS.items():
        verdict = check.judge(rows)
        yield dg.AssetCheckResult(
            check_name=name,
            passed=verdict.passed,
            severity=check.severity,
            description=verdict.message,
            metadata={"failing": dg.MetadataValue.md(markdown(verdict.failing, rows=SHOWN_ENDPOINTS))}
            if verdict.failing.height
            else {},
        )


def look(settings: Settings) -> pl.DataFrame:
    """ENDPOINTS rows of now."""
    now_us = utc_now_us()
    with connected(settings.registry, settings.data) as engine:
        newly_dead = given_up(engine, now_us - DEAD_LETTERS_S * 1_000_000)
        return endpoints(summary(engine, now_us), newly_dead, now_us)


def materialized(shard: int, of_shard: ShardDelivered, rows: pl.DataFrame) -> dg.AssetMaterialization:
    """What the UI shows of a shard of endpoints: what its last run came to, and what that left."""
    mine = rows.filter(pl.col("subscription") % ENDPOINT_SHARDS == shard)
    counts = {"sent": of_shard.sent, "failed": of_shard.failed, "dead": of_shard.dead}
    return dg.AssetMaterialization(
        CHANGE_WEBHOOKS, partition=f"{shard:02}", metadata={**counts, **left(mine)}
    )


def told(delivered: Delivered, rows: pl.DataFrame) -> dict[str, Any]:
    """Metadata of a run: what it sent, and what its end left."""
    return {
        **{name: delivered.total(name) for name in ("sent", "failed", "dead")},
        "disabled": len(delivered.disabled),
        "seconds": round(delivered.seconds, 1),
        **left(rows),
    }


def left(rows: pl.DataFrame) -> dict[str, Any]:
    """What still waits for these ENDPOINTS."""
    waits_s = rows["waits_s"].drop_nulls().to_list()
    return {
        "due": int(rows["due"].sum()),
        "oldest_due_s": round(max(waits_s, default=0.0), 1),
        "endpoints": dg.MetadataValue.md(markdown(rows, rows=SHOWN_ENDPOINTS)),
    }


webhooks_job = dg.define_asset_job(
    WEBHOOKS_JOB,
    selection=[CHANGE_WEBHOOKS],
    partitions_def=endpoint_shards,
    description="Send what is due to who subscribed.",
)


@dg.schedule(
    name=WEBHOOKS_SCHEDULE,
    job=webhooks_job,
    cron_schedule=WEBHOOKS_CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Whether the endpoints are well, also where nothing is sent.",
)
def webhooks_schedule() -> dg.RunRequest:
    return dg.RunRequest(tags=ALL_SHARDS)
