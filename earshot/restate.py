"""`earshot restate`: judge the requests of some days again under other lists, and show what that changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from earshot.count import described
from earshot.explain.answer import existing_lake, lists_behind
from earshot.pipeline import build_marts, reading
from ingest.lake import Lake
from ingest.lake import reading as reading_lake
from ingest.logs.found import find_landing_files
from ingest.logs.restate import RestateReport
from ingest.logs.rules import Rules
from ingest.settings import Settings
from orchestration.restating import Progress, days_between, judge_again
from serving.postgres import marts_database
from serving.publish import publish

Row = dict[str, Any]


@dataclass(frozen=True)
class Restated:
    """What a restatement did; `differences` is empty when the marts were not built."""

    report: RestateReport
    rules_version: str
    was_built: bool
    differences: pl.DataFrame  # source_class, show_id, figure, before, after, difference
    totals: list[tuple[str, int, int]]  # source_class, published downloads before and after


@dataclass(frozen=True)
class Plan:
    """What a restatement would judge again; held files, which do not count, are left out."""

    rules_version: str
    days: list[Row]  # day, source_class, files, requests
    files: list[Row]  # file, source_class, requests, judged_from
    lists: list[Row]  # list, judged_under (versions of these requests), version, entries, origin, fetched_on


def plan(settings: Settings, first: date, last: date, lists: str | None) -> Plan:
    """What `restate` would do with the UTC days `first` to `last`; writes nothing.

    Raises NothingToExplain without a lake, and what Rules.load raises.
    """
    lake, rules = existing_lake(settings), Rules.load(settings, version=lists)
    with reading_lake(lake.root):
        parts = (
            lake.requests()
            .filter(pl.col("day").is_between(first, last))
            .group_by("day", "source_class", "source", "file_id", "rules_version")
            .agg(requests=pl.len())
            .collect()
        )
    days = parts.group_by("day", "source_class").agg(
        files=pl.struct("source", "file_id").n_unique(), requests=pl.col("requests").sum()
    )
    landed = {(file.source, file.name, file.size_bytes) for file in find_landing_files(settings)}
    ledger = lake.ledger().sort("taken_in_us", "file_name")
    is_there = [key in landed for key in ledger.select("source", "file_name", "size_bytes").iter_rows()]
    names = (
        ledger.with_columns(is_there=pl.Series(is_there, dtype=pl.Boolean))
        .group_by("source", "file_id")
        .agg(pl.col("file_name").first(), pl.col("is_there").any())
    )
    files = (
        parts.group_by("source", "file_id", "source_class")
        .agg(pl.col("requests").sum())
        .join(names, on=["source", "file_id"])
        .select(
            file=pl.format("{}/{}", "source", "file_name"),
            source_class="source_class",
            requests="requests",
            judged_from=pl.when("is_there").then(pl.lit("landing")).otherwise(pl.lit("lake")),
        )
    )
    former = lists_behind(lake, set(parts["rules_version"]))
    return Plan(
        rules.version,
        days.sort("day", "source_class").with_columns(pl.col("day").cast(pl.String)).to_dicts(),
        files.sort("file").to_dicts(),
        [
            {
                "list": row["list"],
                "judged_under": sorted({was["list_version"] for was in former if was["list"] == row["list"]}),
                **{name: value for name, value in row.items() if name != "list"},
            }
            for row in described(rules)
        ],
    )


def restate(
    settings: Settings, first: date, last: date, lists: str | None, build: bool, progress: Progress
) -> Restated:
    """Judge the requests of the UTC days `first` to `last` again, build the marts and publish them.

    lists: a rules version of before, or None for the lists in force. Raises ValueError, SettingError,
    ReferenceListError, DbtFailed, PublishError.
    """
    rules = Rules.load(settings, version=lists)
    lake = Lake(settings.lake_dir)
    report, now_us = judge_again(settings, lake, days_between(first, last), rules, progress)
    if not build:
        return Restated(report, rules.version, False, pl.DataFrame(), [])
    progress("counting", 0, 2)
    build_marts(settings)
    progress("counting", 1, 2)
    publish(
        settings.warehouse,
        settings.published_dir,
        settings.keep_versions,
        postgres=marts_database(settings),
        lake=settings.lake_dir,
    )
    progress("counting", 2, 2)
    with reading(settings.published_dir / "current" / "marts.duckdb") as con:
        # Without pyarrow Polars reads a relation through rows.
        cursor = con.execute(_DIFFERENCES, [now_us])
        names = [column[0] for column in cursor.description or []]
        differences = pl.DataFrame(cursor.fetchall(), schema=names, orient="row", infer_schema_length=None)
        totals = con.execute(_TOTALS, [now_us]).fetchall()
    return Restated(report, rules.version, True, differences, totals)


_DIFFERENCES = """
    select
        source_class, show_id, coalesce(reason, 'downloads') as figure,
        cast(sum(former_published) as bigint) as before,
        cast(sum(restated_published) as bigint) as after,
        cast(sum(restated_published) - sum(former_published) as bigint) as difference
    from fct_restatements
    where epoch_us(restated_at) = ?
    group by source_class, show_id, reason
    having sum(restated_published) <> sum(former_published)
    -- A show's downloads first, then why, the most changed shows before the others.
    order by
        source_class,
        max(case when reason is null then abs(sum(restated_published) - sum(former_published)) end)
            over (partition by source_class, show_id) desc nulls last,
        show_id, reason is not null, abs(difference) desc, figure
"""
_TOTALS = """
    select
        source_class, cast(sum(former_published) as bigint), cast(sum(restated_published) as bigint)
    from fct_restatements
    where epoch_us(restated_at) = ? and reason is null
    group by source_class
    order by source_class
"""
