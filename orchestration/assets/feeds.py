"""Podcast feeds: sweeps over shards of what is due, and how well the promises are kept."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from ingest.feeds.schedule import overdue
from ingest.feeds.schema import SHARDS, STATE
from ingest.feeds.state import folder_of, read_state
from ingest.feeds.sweep import Swept
from ingest.feeds.visit import Outcome
from ingest.lake import utc_now_us
from orchestration.constants import (
    FEED_DIRECTORIES,
    FEED_NOTICES,
    FEEDS_JOB,
    INGEST_GROUP,
    OWNERS,
    PODCAST_FEEDS,
    SWEEP_BUDGET_S,
    TRACKED_CRON,
    TRACKED_JOB,
    TRACKED_PODCASTS,
)
from orchestration.feed_checks import CHECKS
from orchestration.liveness import hold
from orchestration.partitions import feed_shards
from orchestration.previews import markdown
from orchestration.resources import Installation
from registry.polling import export_registry, sweep_shards


@dg.asset(
    name=PODCAST_FEEDS,
    deps=[FEED_NOTICES, FEED_DIRECTORIES],  # they say who is polled before its time
    group_name=INGEST_GROUP,
    owners=OWNERS,
    kinds={"httpx", "parquet"},
    partitions_def=feed_shards,
    backfill_policy=dg.BackfillPolicy.single_run(),
    description=(
        "The latest good record of every registered podcast and its episodes, by shard, and what changed in "
        "them (`lake/changes`). A run polls what is due in its shards until its time is over; the rest stays "
        "due. Each shard's data version is the number of its last commit."
    ),
)
def podcast_feeds(
    context: dg.AssetExecutionContext, installation: Installation
) -> dg.MaterializeResult[None]:
    settings = installation.settings()
    hold(context.run_id, settings)
    shards = [int(key) for key in context.partition_keys]
    swept = sweep_shards(settings, shards, SWEEP_BUDGET_S)
    for outcome in swept.outcomes:
        if outcome.polled:
            context.log_event(observation(outcome))
    if swept.lost:
        context.log.warning(f"shards another worker took over: {swept.lost}; their polls are made again")
    return dg.MaterializeResult(metadata=told(swept))


def observation(outcome: Outcome) -> dg.AssetObservation:
    """What the UI shows of a shard: its data version and how fresh it is."""
    return dg.AssetObservation(
        PODCAST_FEEDS,
        partition=f"{outcome.shard:03}",
        tags={DATA_VERSION_TAG: str(outcome.generation)},
        metadata={
            "podcasts": outcome.podcasts,
            "polled": outcome.polled,
            "changed": outcome.changed,
            "failed": outcome.failures.total(),
        },
    )


def told(swept: Swept) -> dict[str, Any]:
    """Metadata of a sweep."""
    counts = pl.DataFrame(
        [
            (name, what, count)
            for name in ("changes", "failures")
            for what, count in swept.counted(name).most_common()
        ],
        {"of": pl.String, "what": pl.String, "podcasts": pl.Int64},
        orient="row",
    )
    names = ("podcasts", "due", "polled", "unchanged", "changed", "audits", "mismatches")
    return {
        "shards": len(swept.outcomes),
        **{name: swept.total(name) for name in names},
        "left": swept.left,
        "seconds": round(swept.seconds, 1),
        "told": dg.MetadataValue.md(markdown(counts, rows=40)),
    }


@dg.asset(
    name=TRACKED_PODCASTS,
    deps=[PODCAST_FEEDS],
    output_required=False,  # nothing new: nothing for the marts to build
    group_name=INGEST_GROUP,
    owners=OWNERS,
    kinds={"polars", "parquet"},
    check_specs=[
        dg.AssetCheckSpec(name, asset=TRACKED_PODCASTS, description=check.description)
        for name, check in CHECKS.items()
    ],
    description=(
        "The registry's podcasts as the marts see them (`lake/registry/podcasts.parquet`), and whether each "
        "tier's freshness promise is kept. Made anew only where something changed."
    ),
)
def tracked_podcasts(
    context: dg.AssetExecutionContext, installation: Installation
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    settings, lake = installation.settings(), installation.lake()
    exported = export_registry(settings)
    folders = [folder_of(lake.root, shard) for shard in range(SHARDS)]
    states = [read_state(folder) for folder in folders if folder.exists()]
    state = pl.concat([pl.DataFrame(schema=STATE), *states])
    by_tier = overdue(state, utc_now_us())
    if exported.is_new:
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": exported.podcasts,
                "polled": state.height,
                "tiers": dg.MetadataValue.md(markdown(by_tier)),
            }
        )
    for name, check in CHECKS.items():
        verdict = check.judge(state, by_tier)
        yield dg.AssetCheckResult(
            check_name=name,
            passed=verdict.passed,
            severity=check.severity,
            description=verdict.message,
            metadata={"failing": dg.MetadataValue.md(markdown(verdict.failing, rows=50))}
            if verdict.failing.height
            else {},
        )


feeds_job = dg.define_asset_job(
    FEEDS_JOB,
    selection=[PODCAST_FEEDS],
    partitions_def=feed_shards,
    description="Poll what is due in some shards.",
)

tracked_job = dg.define_asset_job(
    TRACKED_JOB,
    selection=[TRACKED_PODCASTS],
    description="Export the registry, judge the freshness promises.",
)

tracked_schedule = dg.ScheduleDefinition(
    name=TRACKED_JOB,
    job=tracked_job,
    cron_schedule=TRACKED_CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Whether the freshness promises are kept, six times an hour.",
)
