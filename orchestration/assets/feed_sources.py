"""What tells us of feeds beside polling them: notices that land as files, and directories that are called."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from ingest.feeds.sources.settings import FILE, FeedSources
from ingest.lake import utc_now_us
from ingest.settings import SettingError
from orchestration import explained
from orchestration.constants import (
    DIRECTORIES_CRON,
    DIRECTORIES_EVERY_MIN,
    DIRECTORIES_JOB,
    FEED_DIRECTORIES,
    FEED_NOTICES,
    NOTICES_JOB,
    OWNERS,
    SHOWN_FINDINGS,
)
from orchestration.liveness import hold, report_dead_runs
from orchestration.previews import markdown
from orchestration.resources import Installation
from orchestration.sensors.runs import NO_AUTOMATIC_RETRY, UNDER_WAY
from orchestration.subjects import Subject
from registry.directories import DirectoriesRead, called_sources, read_directories, waits_until
from registry.noticed import Taken, take_notices

NOTICES_READABLE = "notices_readable"


@dg.asset(
    name=FEED_NOTICES,
    group_name=Subject.FEEDS.value,
    owners=OWNERS,
    kinds={"json"},
    check_specs=[
        dg.AssetCheckSpec(
            NOTICES_READABLE,
            asset=FEED_NOTICES,
            description=explained.check(
                "Every notice file could be read, and all that stands in it used.",
                "the table names file, line and reason: mend what writes them (docs/feeds.md). Podcasts are "
                "polled in their turn meanwhile.",
            ),
        )
    ],
    description=(
        "Notices that a podcast has news (podping, WebSub), taken from the files in `landing/hints`: they "
        "pull its next poll forward. Those of podcasts that nobody tracks are dropped."
    ),
)
def feed_notices(
    context: dg.AssetExecutionContext, installation: Installation
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    settings = installation.settings()
    hold(context.run_id, settings)
    taken = take_notices(settings)
    if not taken.is_complete:
        context.log.info("more notices are waiting: the next run takes them")
    counts = pl.DataFrame(
        [vars(each) for each in taken.sources.values()],
        {name: pl.String if name == "source" else pl.Int64 for name in COUNTED},
    )
    yield dg.MaterializeResult(
        metadata={
            "dagster/row_count": taken.total("hints"),
            **{name: taken.total(name) for name in COUNTED if name != "source"},
            "sources": dg.MetadataValue.md(markdown(counts.sort("source"), rows=SHOWN_FINDINGS)),
        }
    )
    yield readable(taken)


COUNTED = ("source", "files", "hints", "tracked", "rejected")


def readable(taken: Taken) -> dg.AssetCheckResult:
    """Whether all of the notices could be used."""
    rejected = taken.total("rejected")
    rejects = pl.DataFrame(
        [
            (source, one.file, one.line, str(one.reason), one.detail)
            for source, one in taken.rejects[:SHOWN_FINDINGS]
        ],
        {"source": pl.String, "file": pl.String, "line": pl.Int64, "reason": pl.String, "detail": pl.String},
        orient="row",
    )
    return dg.AssetCheckResult(
        check_name=NOTICES_READABLE,
        asset_key=FEED_NOTICES,
        passed=not rejected,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{rejected:,} of what stood in {taken.total('files'):,} files could not be used"
        if rejected
        else f"{taken.total('files'):,} files read, all of them usable",
        metadata={"rejects": dg.MetadataValue.md(markdown(rejects, rows=SHOWN_FINDINGS))} if rejected else {},
    )


@dg.asset(
    name=FEED_DIRECTORIES,
    group_name=Subject.FEEDS.value,
    owners=OWNERS,
    kinds={"python", "json"},
    description=(
        "What the directories that are switched on (Podcast Index, Apple) saw change, and what ids and "
        "addresses they have of tracked podcasts: gaps are filled, what differs is a finding for a person "
        "(`earshot status KEY`)."
    ),
)
def feed_directories(
    context: dg.AssetExecutionContext, installation: Installation
) -> dg.MaterializeResult[None]:
    settings = installation.settings()
    hold(context.run_id, settings)
    read = read_directories(settings, DIRECTORIES_EVERY_MIN * 60)
    for source in read.sources:
        if source.reason:
            context.log.warning(f"{source.source}: {source.reason}")
    return dg.MaterializeResult(metadata=told(read))


def told(read: DirectoriesRead) -> dict[str, Any]:
    """Metadata of a pass."""
    numbers = ("hints", "tracked", "ids", "looked_up", "updates", "findings")
    sources = pl.DataFrame(
        [vars(source) for source in read.sources],
        {"source": pl.String, **dict.fromkeys(numbers, pl.Int64), "reason": pl.String},
    )
    findings = pl.DataFrame(
        [
            (str(one.podcast_key), one.source, one.field, one.ours, one.theirs, str(one.reason))
            for one in read.findings[:SHOWN_FINDINGS]
        ],
        dict.fromkeys(("podcast", "source", "field", "ours", "theirs", "reason"), pl.String),
        orient="row",
    )
    return {
        "dagster/row_count": read.total("hints"),
        **{name: read.total(name) for name in numbers},
        "sources": dg.MetadataValue.md(markdown(sources)),
        "found": dg.MetadataValue.md(markdown(findings, rows=SHOWN_FINDINGS)),
    }


notices_job = dg.define_asset_job(
    NOTICES_JOB, selection=[FEED_NOTICES], description="Take in the notices that have landed."
)

directories_job = dg.define_asset_job(
    DIRECTORIES_JOB, selection=[FEED_DIRECTORIES], description="Ask the directories that are switched on."
)


@dg.schedule(
    name=DIRECTORIES_JOB,
    job=directories_job,
    cron_schedule=DIRECTORIES_CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Ask the directories that are switched on, every three minutes.",
)
def directories_schedule(
    context: dg.ScheduleEvaluationContext, installation: Installation
) -> dg.RunRequest | dg.SkipReason:
    settings = installation.settings()
    try:
        sources = FeedSources.load(settings)
    except SettingError as error:
        return dg.SkipReason(f"no directory is asked: {error}")
    if not called_sources(sources):
        return dg.SkipReason(
            f"no directory is switched on; to do so, write `[podcastindex_changes]` and `on = true` into "
            f"{settings.data / FILE} (docs/feeds.md)"
        )
    for run_id in report_dead_runs(context.instance, DIRECTORIES_JOB, settings):
        context.log.warning(f"run {run_id} has lost its process; the next one reads what it read")
    if context.instance.get_runs(dg.RunsFilter(job_name=DIRECTORIES_JOB, statuses=UNDER_WAY), limit=1):
        return dg.SkipReason("the directories are being asked")
    now_us = utc_now_us()
    until_us = waits_until(settings, sources, now_us)
    if until_us is not None:
        return dg.SkipReason(f"nothing may, or need, be asked for {(until_us - now_us) / 6e7:.0f} min")
    return dg.RunRequest(tags=NO_AUTOMATIC_RETRY)
