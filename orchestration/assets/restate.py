"""Days judged again under other lists: materialise the days (a backfill is one run), the marts follow."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from ingest.logs.restate import RestateReport
from ingest.logs.rules import Rules
from orchestration import explained
from orchestration.constants import EVENT_DAYS, OWNERS, RESTATED_DAYS
from orchestration.liveness import hold
from orchestration.partitions import event_days
from orchestration.previews import markdown
from orchestration.resources import Installation
from orchestration.restating import judge_again
from orchestration.subjects import Subject


class RestateConfig(dg.Config):
    """Under which lists to judge again: a rules_version of dim_rules; none: the lists in force."""

    lists: str = Field(default="")


@dg.multi_asset(
    name=RESTATED_DAYS,
    specs=[
        dg.AssetSpec(
            RESTATED_DAYS,
            group_name=Subject.LOGS.value,
            owners=OWNERS,
            kinds={"polars", "parquet"},
            description=explained.asset(
                "Event days (UTC) whose requests were judged again, from the landing files that are there, "
                "else from the evidence in the lake. The figures published before stay in "
                "`fct_restatements`.",
                ("R34",),
            ),
        )
    ],
    partitions_def=event_days,
    backfill_policy=dg.BackfillPolicy.single_run(),  # a month is one restatement, not thirty
)
def restated_days(
    context: dg.AssetExecutionContext, config: RestateConfig, installation: Installation
) -> dg.MaterializeResult[None]:
    settings, lake = installation.settings(), installation.lake()
    hold(context.run_id, settings)
    rules = Rules.load(settings, version=config.lists or None)
    days = sorted(date.fromisoformat(key) for key in context.partition_keys)
    report, _ = judge_again(
        settings, lake, days, rules, lambda step, done, of: context.log.info(f"{step}: {done} of {of}")
    )
    return dg.MaterializeResult(metadata=told(report, days, rules.version))


def told(report: RestateReport, days: Sequence[date], rules_version: str) -> dict[str, Any]:
    """Metadata of a restatement of these event days."""
    return {
        EVENT_DAYS: [day.isoformat() for day in days],
        "rules_version": rules_version,
        "requests": report.requests,
        "changed": report.changed,
        "files_read_again": report.read_again,
        "files_judged_from_the_lake": report.from_lake,
        "moved": dg.MetadataValue.md(markdown(report.moved, rows=30)),
        **({"notes": "\n".join(report.notes)} if report.notes else {}),
    }
