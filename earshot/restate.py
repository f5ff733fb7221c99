"""`earshot restate`: judge the requests of some days again under other lists, and show what that changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from earshot.pipeline import build_marts, reading
from ingest.lake import Lake
from ingest.logs.restate import RestateReport
from ingest.logs.rules import Rules
from ingest.settings import Settings
from orchestration.restating import Progress, days_between, judge_again
from serving.publish import publish


@dataclass(frozen=True)
class Restated:
    """What a restatement did; `differences` is empty when the marts were not built."""

    report: RestateReport
    rules_version: str
    was_built: bool
    differences: pl.DataFrame  # source_class, show_id, figure, before, after, difference


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
        return Restated(report, rules.version, False, pl.DataFrame())
    progress("counting", 0, 2)
    build_marts(settings)
    progress("counting", 1, 2)
    publish(settings.warehouse, settings.published_dir, settings.keep_versions)
    progress("counting", 2, 2)
    with reading(settings.published_dir / "current" / "marts.duckdb") as con:
        # Without pyarrow Polars reads a relation through rows.
        cursor = con.execute(_DIFFERENCES, [now_us])
        names = [column[0] for column in cursor.description or []]
        differences = pl.DataFrame(cursor.fetchall(), schema=names, orient="row", infer_schema_length=None)
    return Restated(report, rules.version, True, differences)


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
