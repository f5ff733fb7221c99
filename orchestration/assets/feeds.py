"""Podcast feeds: sweeps over shards of what is due, and how well the promises are kept."""

import hashlib
from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from pydantic import Field

from ingest.feeds.schedule import overdue
from ingest.feeds.schema import SHARDS, STATE
from ingest.feeds.state import folder_of, read_state
from ingest.feeds.sweep import Swept
from ingest.feeds.visit import Outcome
from ingest.lake import utc_now_us
from orchestration.constants import (
    COLLABORATIONS,
    FEED_DIRECTORIES,
    FEED_NOTICES,
    FEEDS_JOB,
    OWNERS,
    PODCAST_FEEDS,
    SEARCH_INDEX,
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
from orchestration.subjects import Subject
from registry.polling import export_registry, sweep_shards


class SweepConfig(dg.Config):
    """The shards of a run that is not of partitions: Dagster would write two events for each of those,
    however few are due.
    """

    first: int = Field(default=0, ge=0, lt=SHARDS, description="first shard")
    last: int = Field(default=SHARDS - 1, ge=0, lt=SHARDS, description="last shard")


@dg.asset(
    name=PODCAST_FEEDS,
    deps=[FEED_NOTICES, FEED_DIRECTORIES],  # they say who is polled before its time
    group_name=Subject.FEEDS.value,
    owners=OWNERS,
    kinds={"python", "parquet"},
    partitions_def=feed_shards,
    backfill_policy=dg.BackfillPolicy.single_run(),
    output_required=False,  # an event for each shard that was polled, not for each that was asked for
    description=(
        "The latest good record of every registered podcast and its episodes, by shard, and what changed in "
        "them (`lake/changes`). A run polls what is due in its shards until its time is over; the rest stays "
        "due. Each shard's data version is the number of its last commit."
    ),
)
def podcast_feeds(
    context: dg.AssetExecutionContext, config: SweepConfig, installation: Installation
) -> Iterator[dg.MaterializeResult[None]]:
    settings = installation.settings()
    hold(context.run_id, settings)
    is_of_partitions = context.has_partition_key or context.has_partition_key_range
    shards = map(int, context.partition_keys) if is_of_partitions else range(config.first, config.last + 1)
    swept = sweep_shards(settings, list(shards), SWEEP_BUDGET_S)
    for outcome in swept.outcomes:
        if outcome.polled:
            context.log_event(materialized(outcome))
    context.log_event(dg.AssetObservation(PODCAST_FEEDS, metadata=told(swept)))
    if swept.lost:
        context.log.warning(f"shards another worker took over: {swept.lost}; their polls are made again")
    if swept.broken:
        raise dg.Failure(
            f"shards that cannot be read or written: {', '.join(map(str, swept.broken))}; the others were "
            "swept. Mend the disk, or restore their folder `lake/catalog/shard=NNN` or remove it: then its "
            "podcasts are fetched anew",
            metadata={str(shard): reason for shard, reason in swept.broken.items()},
            allow_retries=False,
        )
    yield from ()


def materialized(outcome: Outcome) -> dg.AssetMaterialization:
    """What the UI shows of a shard: its data version, how fresh it is, and what its last sweep came to."""
    return dg.AssetMaterialization(
        PODCAST_FEEDS,
        partition=f"{outcome.shard:03}",
        tags={DATA_VERSION_TAG: str(outcome.generation)},
        metadata={
            "dagster/partition_row_count": outcome.podcasts,
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
    names = ("podcasts", "due", "polled", "first", "unchanged", "changed", "audits", "mismatches")
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
    group_name=Subject.FEEDS.value,
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
    hold(context.run_id, settings)
    exported = export_registry(settings)
    folders = [folder_of(lake.root, shard) for shard in range(SHARDS)]
    states = [read_state(folder) for folder in folders if folder.exists()]
    state = pl.concat([pl.DataFrame(schema=STATE), *states])
    by_tier = overdue(state, utc_now_us())
    # Not "was it written just now": as in `collaborations`, a run may have died between file and event.
    version = hashlib.sha256(lake.registered_path.read_bytes()).hexdigest()[:16]
    newest = context.instance.get_latest_materialization_event(context.asset_key_for_output())
    told = newest.asset_materialization if newest else None
    is_told = (told.tags or {}).get(DATA_VERSION_TAG) == version if told else not exported.podcasts
    if not is_told:
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(version),
            metadata={
                "dagster/row_count": exported.podcasts,
                "polled": state.height,
                "tiers": dg.MetadataValue.md(markdown(by_tier)),
            },
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
    selection=[TRACKED_PODCASTS, COLLABORATIONS, SEARCH_INDEX],
    description="Export the registry, judge the freshness promises, keep the search index up.",
)

tracked_schedule = dg.ScheduleDefinition(
    name=TRACKED_JOB,
    job=tracked_job,
    cron_schedule=TRACKED_CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="What the registry says, and whether the freshness promises are kept, six times an hour.",
)
