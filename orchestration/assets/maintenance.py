"""The lake kept small: old requests removed, small files merged, once a day."""

import dagster as dg
import polars as pl

from ingest.compaction import Compacted
from ingest.lake import utc_now_us
from orchestration.constants import (
    LAKE_MAINTENANCE,
    MAINTENANCE_CRON,
    MAINTENANCE_JOB,
    OWNERS,
    REQUESTS,
    WAREHOUSE_POOL,
)
from orchestration.liveness import hold
from orchestration.maintaining import maintain
from orchestration.previews import markdown
from orchestration.resources import Installation
from orchestration.subjects import Subject


@dg.asset(
    name=LAKE_MAINTENANCE,
    deps=[REQUESTS],
    group_name=Subject.LOGS.value,
    owners=OWNERS,
    kinds={"polars", "parquet"},
    # Beside no build of the marts. An intake waits for it, or it for an intake, at the lake's own lock, one
    # event day at a time: `earshot maintain` and `earshot restate` know no pools.
    pool=WAREHOUSE_POOL,
    description=(
        "The lake kept small: requests older than `EARSHOT_KEEP_DAYS` and counted are removed (the marts "
        "keep their figures), the small files of each ended event day become few large ones, and the "
        "warehouse's file gives back what is free in it."
    ),
)
def lake_maintenance(
    context: dg.AssetExecutionContext, installation: Installation
) -> dg.MaterializeResult[None]:
    settings, lake = installation.settings(), installation.lake()
    hold(context.run_id, settings)
    done = maintain(
        settings, lake, utc_now_us(), lambda step, n, of: context.log.debug(f"{step}: {n} of {of}")
    )
    for note in done.notes:
        context.log.warning(note)
    merged, expired = compacted_frame(done.compacted), done.expired
    totals = merged.select(pl.exclude("day", "source").sum()).row(0, named=True)
    return dg.MaterializeResult(
        metadata={
            **{name: int(value) for name, value in totals.items()},
            "days": merged["day"].n_unique(),
            "merged": dg.MetadataValue.md(markdown(merged.sort("day", descending=True), rows=30)),
            "warehouse_bytes_before": done.packed.bytes_before,
            "warehouse_bytes": done.packed.bytes_after,
            "removed_landing_files": done.landing,
            "forgotten_keys": done.forgotten,
            "destroyed_keys": len(done.destroyed),
            "removed_days": expired.days,
            "removed_files": expired.files,
            "removed_bytes": expired.bytes,
            "removed_requests": expired.requests,
            "removed_rejects_files": expired.rejects,
            **({"first_kept_day": expired.first_kept_day.isoformat()} if expired.first_kept_day else {}),
            **({"notes": "\n".join(done.notes)} if done.notes else {}),
        }
    )


def compacted_frame(compacted: list[Compacted]) -> pl.DataFrame:
    """One row a (day, source): files and bytes before and after, rows."""
    numbers = ("files_before", "files_after", "bytes_before", "bytes_after", "rows")
    schema = {"day": pl.Date, "source": pl.String, **dict.fromkeys(numbers, pl.Int64)}
    return pl.DataFrame(compacted, schema)


maintenance_job = dg.define_asset_job(
    MAINTENANCE_JOB,
    selection=[LAKE_MAINTENANCE],
    description="Remove what is too old to keep, merge small files.",
)

maintenance_schedule = dg.ScheduleDefinition(
    name=MAINTENANCE_JOB,
    job=maintenance_job,
    cron_schedule=MAINTENANCE_CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Remove what is too old to keep, merge small files, once a day.",
)
