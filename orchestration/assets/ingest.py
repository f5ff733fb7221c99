"""Requests, rejects and the ledger of files: what one intake of landing files yields."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import dagster as dg
import polars as pl
from pydantic import Field

from ingest.lake import Lake, utc_now_us
from ingest.logs.intake import IntakeReport, LandingFile, find_landing_files, take_in
from ingest.schema import DAY_US, FileStatus
from ingest.settings import Settings
from orchestration import checks, explained
from orchestration.by_hand.started import refuse_run
from orchestration.charts import bars
from orchestration.constants import (
    DRIFT_FACTOR,
    EARLIEST_YEAR,
    EVENT_DAYS,
    FILES,
    INGEST_JOB,
    OPEN_PROBLEM_DAYS,
    OWNERS,
    REJECTS,
    REQUESTS,
    TAKE_IN_JOB,
)
from orchestration.liveness import hold
from orchestration.partitions import arrival_hours, hour_key, hour_span_us
from orchestration.previews import markdown
from orchestration.resources import Installation
from orchestration.subjects import Subject

OP = "take_in_logs"
HOUR_US = DAY_US // 24

_SPECS = {
    REQUESTS: (
        explained.asset(
            "One row a logged request, cleaned: canonical enclosure URL, keyed listener, served bytes, app, "
            "exclusion reason. Partitioned here by the hour of arrival, in the lake by event day.",
            ("R3", "R4", "R6", "R7", "R8", "R9", "R10", "R11", "R20", "R33"),
        )
    ),
    REJECTS: "One row a line, or a whole file, that could not be read: file, line, reason, cleaned text.",
    FILES: "The ledger, one row a landing file: lines, requests, rejects, times, what became of it.",
}

_CHECKS = {  # name: (asset, description, does it block)
    "lines_accounted_for": (
        REQUESTS,
        explained.check(
            "Every data line of a file is a request or a reject: nothing is dropped silently.",
            "it is a fault in the reader of that format. The file is held back; report it with the file.",
        ),
        True,
    ),
    "times_in_reason": (
        REQUESTS,
        explained.check(
            f"Request times lie between {EARLIEST_YEAR} and shortly after now.",
            "the clock of the server that wrote the file is wrong, and the file is held back. Set it, "
            "deliver the file again; or raise EARSHOT_MAX_FUTURE_H.",
        ),
        True,
    ),
    "reject_share": (
        REQUESTS,
        explained.check(
            "No file has a larger share of lines that cannot be read than EARSHOT_MAX_REJECT_SHARE.",
            "the file is held back, the others count. The asset `rejects` shows lines and reasons: most "
            "often the sender changed the format. Deliver it mended under the same name.",
        ),
        True,
    ),
    "files_readable": (
        REQUESTS,
        explained.check(
            "No file was refused as a whole or cut off.",
            "the table names file and reason. Deliver it again, whole, under the same name.",
        ),
        False,
    ),
    "volume_drift": (
        REQUESTS,
        explained.check(
            f"The last 24 h brought between 1/{DRIFT_FACTOR:g} and {DRIFT_FACTOR:g} times the usual requests "
            "of the source.",
            "does the sender still send all of its files? Was something moved to another source, or is there "
            "a flood of bots (`fct_exclusions_daily`)? A real rise settles by itself within days.",
        ),
        False,
    ),
    "nothing_held_back": (
        FILES,
        explained.check(
            f"No file of the last {OPEN_PROBLEM_DAYS} days is still held back or refused.",
            "deliver each named file mended under the same name: it takes the place of the bad one.",
        ),
        False,
    ),
}


class IntakeConfig(dg.Config):
    """Which landing files to take in, as "source/name"; none: what the partition stands for."""

    files: list[str] = Field(default=[])


@dg.multi_asset(
    name=OP,
    specs=[
        dg.AssetSpec(
            name,
            description=description,
            group_name=Subject.LOGS.value,
            owners=OWNERS,
            kinds={"polars", "parquet"},
        )
        for name, description in _SPECS.items()
    ],
    check_specs=[
        dg.AssetCheckSpec(name, asset=asset, description=description, blocking=blocking)
        for name, (asset, description, blocking) in _CHECKS.items()
    ],
    partitions_def=arrival_hours,
    backfill_policy=dg.BackfillPolicy.single_run(),  # a run costs 3 CPU-s, however little it takes in
)
def take_in_logs(
    context: dg.AssetExecutionContext, config: IntakeConfig, installation: Installation
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    if not (context.has_partition_key or context.has_partition_key_range):
        raise refuse_run(
            context,
            f"`{INGEST_JOB}` takes in the files of an hour, and this run names none: choose a partition, the "
            f"current hour for all that is new, or start the job `{TAKE_IN_JOB}`",
        )
    settings, lake = installation.settings(), installation.lake()
    hold(context.run_id, settings)
    now_us = utc_now_us()
    landed = find_landing_files(settings)
    chosen = choose_files(landed, lake.ledger(), config.files, context.partition_keys, now_us)
    context.log.info(f"{len(chosen.files)} of {len(landed)} landing files to take in")
    if chosen.gone:
        context.log.warning(f"no longer there, or changing: {', '.join(chosen.gone)}")
    report = take_in(chosen.files, settings, lake, now_us=now_us, force=chosen.again)
    for file, reason in report.changed:
        context.log.warning(f"{file.source}/{file.name} is asked for again later: {reason}")
    ledger = lake.ledger()
    told = describe(report, ledger, reasons_of(lake, report.files), context.partition_keys[-1], now_us)
    for name, metadata in told.items():
        yield dg.MaterializeResult(asset_key=name, metadata=metadata)
    yield from check_results(report, ledger, settings, now_us)


@dataclass(frozen=True)
class Chosen:
    """The files to take in; `again`: although the ledger knows files of their name, size and time."""

    files: list[LandingFile]
    again: bool = False
    gone: tuple[str, ...] = ()  # named but not there


def choose_files(
    landed: Sequence[LandingFile],
    ledger: pl.DataFrame,
    named: Sequence[str],
    hours: Sequence[str],
    now_us: int,
) -> Chosen:
    """What a run takes in.

    Files that are named, unless they were taken in since they were named; else, in the current hour, all that
    the ledger does not know; else, in past hours, those taken in then that still lie there, once more.
    """
    by_name = {f"{file.source}/{file.name}": file for file in landed}
    taken_in = {
        (source, name, size, modified): at
        for source, name, size, modified, at in ledger.select(
            "source", "file_name", "size_bytes", "modified_ns", "taken_in_us"
        )
        .sort("taken_in_us")
        .iter_rows()
    }
    if named:
        there = [by_name[name] for name in named if name in by_name]
        files = [f for f in there if taken_in.get(f.identity, 0) * 1000 <= f.changed_ns]
        # Its content was replaced under an old time, else nobody would have named it.
        again = any(file.identity in taken_in for file in files)
        return Chosen(files, again, tuple(name for name in named if name not in by_name))
    if list(hours) == [hour_key(_instant(now_us))]:
        return Chosen([file for file in landed if file.identity not in taken_in])
    spans = [hour_span_us(hour) for hour in hours]
    then = ledger.filter(
        pl.any_horizontal(
            [pl.col("taken_in_us").is_between(start, end, closed="left") for start, end in spans]
        )
    )
    names = {f"{source}/{name}" for source, name in then.select("source", "file_name").iter_rows()}
    return Chosen([file for name, file in by_name.items() if name in names], again=True)


def describe(
    report: IntakeReport, ledger: pl.DataFrame, reject_reasons: pl.DataFrame, hour: str, now_us: int
) -> dict[str, dict[str, Any]]:
    """Metadata of each asset: counts, event days, what came in, and where the list of files stands."""
    files = report.files
    status = dict(files.group_by("status").len().iter_rows())
    counts = {
        "files": files.height,
        "taken": status.get(FileStatus.TAKEN.value, 0),
        "held": status.get(FileStatus.HELD.value, 0),
        "rejected": status.get(FileStatus.REJECTED.value, 0),
        "duplicates": status.get(FileStatus.DUPLICATE.value, 0),
    }
    lines, requests, rejects, size = (
        int(files.get_column(name).sum()) for name in ("lines", "requests", "rejects", "size_bytes")
    )
    shown = files.select(
        "source", "file_name", "status", "lines", "requests", "rejects", "reason",
        first_at=pl.from_epoch("first_us", time_unit="us"),
        last_at=pl.from_epoch("last_us", time_unit="us"),
    )  # fmt: skip
    return {
        REQUESTS: {
            "arrivals": dg.MetadataValue.md(arrivals(ledger, now_us)),
            "dagster/partition_row_count": requests,
            "lines": lines,
            "rejects": rejects,
            "bytes": size,
            **counts,
            "file list": dg.MetadataValue.url(
                f"/assets/{FILES}?view=partitions&partition={quote(hour, safe='')}"
            ),
            EVENT_DAYS: [day.isoformat() for day in report.days],
            "judged": dg.MetadataValue.md(markdown(report.preview)),
        },
        REJECTS: {
            "dagster/partition_row_count": rejects,
            "share": round(rejects / lines, 6) if lines else 0.0,
            "reasons": dg.MetadataValue.md(markdown(reject_reasons, rows=20)),
        },
        FILES: {
            "dagster/partition_row_count": files.height,
            **counts,
            "preview": dg.MetadataValue.md(markdown(shown, rows=20)),
        },
    }


def reasons_of(lake: Lake, files: pl.DataFrame) -> pl.DataFrame:
    """How many lines of these files were rejected for which reason, with one example each."""
    paths = [
        lake.rejects_path(source, file_id) for source, file_id in files.select("source", "file_id").rows()
    ]
    there = [path for path in paths if path.exists()]
    if not there:
        return pl.DataFrame(schema={"reason": pl.String, "lines": pl.UInt32, "example": pl.String})
    return (
        pl.scan_parquet(there)
        .group_by("reason")
        .agg(
            lines=pl.len(),
            example=pl.format("{} line {}", pl.col("file_name").first(), pl.col("line_number").first()),
        )
        .sort("lines", "reason", descending=[True, False])
        .collect()
    )


def check_results(
    report: IntakeReport, ledger: pl.DataFrame, settings: Settings, now_us: int
) -> Iterator[dg.AssetCheckResult]:
    """The verdicts on this intake as asset checks."""
    files = report.files
    sources = files.get_column("source").unique().to_list()
    for verdict in (
        checks.lines_accounted_for(files),
        checks.times_in_reason(files, now_us, settings.max_future_h),
        checks.reject_share(files, settings.max_reject_share),
        checks.files_readable(files),
        checks.volume_drift(ledger, sources, now_us),
        checks.nothing_held_back(ledger, now_us),
    ):
        asset, _, blocking = _CHECKS[verdict.name]
        yield dg.AssetCheckResult(
            check_name=verdict.name,
            asset_key=asset,
            passed=verdict.passed,
            severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
            description=verdict.message,
            metadata={"files": dg.MetadataValue.md(markdown(_shown(verdict.failing), rows=20))}
            if verdict.failing.height
            else {},
        )


def intake_config(names: Sequence[str]) -> dict[str, Any]:
    """Run config that takes in the files of these names."""
    return {"ops": {OP: {"config": {"files": list(names)}}}}


def _shown(failing: pl.DataFrame) -> pl.DataFrame:
    wanted = ["source", "file_name", "status", "lines", "requests", "rejects", "reason", "usual"]
    return failing.select([name for name in wanted if name in failing.columns])


def arrivals(ledger: pl.DataFrame, now_us: int) -> str:
    """A chart of the requests taken in by hour of arrival, over the last two days; empty without any."""
    first, last = (at_us // HOUR_US for at_us in (now_us - 2 * DAY_US, now_us))
    hours = dict(
        ledger.filter(pl.col("taken_in_us") >= first * HOUR_US)
        .group_by(pl.col("taken_in_us") // HOUR_US)
        .agg(pl.col("requests").sum())
        .iter_rows()
    )
    points = [(hour_key(_instant(hour * HOUR_US)), hours.get(hour) or 0) for hour in range(first, last + 1)]
    return bars("requests by hour of arrival", points) if hours else ""


def _instant(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)


ingest_job = dg.define_asset_job(
    INGEST_JOB,
    selection=list(_SPECS),
    description="Take landed log files in.",
)
