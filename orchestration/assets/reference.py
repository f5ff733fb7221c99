"""The reference lists, fetched once a day: the last good one stays wherever that fails."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from ingest.lake import utc_now_us
from ingest.logs.listeners import KeyRing
from ingest.logs.rules import Rules
from ingest.reference import overview
from ingest.reference.address_lists import VALID_DAYS
from ingest.reference.refresh import Outcome, refresh
from ingest.reference.store import ListStore
from orchestration import explained
from orchestration.constants import (
    ADDRESS_LISTS,
    LISTS_CRON,
    LISTS_JOB,
    OWNERS,
    REFERENCE_LISTS,
)
from orchestration.liveness import hold
from orchestration.previews import markdown
from orchestration.resources import Installation
from orchestration.subjects import Subject
from serving import rule_numbers

_SPECS = {
    REFERENCE_LISTS: (
        explained.asset(
            "Lists the rules need: user agents, prefixes, data centres, referrers, excluded and included "
            "addresses. Fetched where they changed, validated, kept in versions by content.",
            ("R9", "R10", "R11", "R12"),
        )
    ),
    ADDRESS_LISTS: "One row an excluded or included address by its key, so that the marts can know of it.",
}
_CHECKS = {  # name: (description, severity of a failure)
    "lists_valid": (
        explained.check(
            "No newer list was refused.",
            "the last good one is in use meanwhile. The table says what is wrong with the new one: mend a "
            "list of your own; wait for, or report, a public one.",
        ),
        dg.AssetCheckSeverity.ERROR,
    ),
    "lists_fresh": (
        explained.check(
            "Every list was confirmed within its max_age_days.",
            "does this machine reach the network? `earshot lists refresh` says why not; a list of your own "
            "is confirmed by writing it anew.",
        ),
        dg.AssetCheckSeverity.WARN,
    ),
    "inclusions_validated": (
        explained.check(
            f"No included address is past its {VALID_DAYS} days: {rule_numbers.sources(['R12'])}. One that "
            "is no longer acts.",
            "look at those places again, and write the new date into `included_addresses.csv`.",
        ),
        dg.AssetCheckSeverity.WARN,
    ),
}


@dg.multi_asset(
    name=REFERENCE_LISTS,
    specs=[
        dg.AssetSpec(
            name,
            description=description,
            group_name=Subject.REFERENCE.value,
            owners=OWNERS,
            kinds={"polars", "parquet"},
        )
        for name, description in _SPECS.items()
    ],
    check_specs=[
        dg.AssetCheckSpec(name, asset=REFERENCE_LISTS, description=description)
        for name, (description, _) in _CHECKS.items()
    ],
)
def reference_lists(
    context: dg.AssetExecutionContext, installation: Installation
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    settings, lake = installation.settings(), installation.lake()
    hold(context.run_id, settings)
    now_us = utc_now_us()
    refreshed = refresh(settings, now_us=now_us)
    for each in refreshed:
        if each.reason:
            context.log.warning(f"{each.name} {each.outcome}: {each.reason}")
    rules = Rules.load(settings)
    rules.remember(settings, lake)
    rules.write_address_lists(lake, KeyRing.of(settings))
    shown = overview.listed(rules.lists.values(), refreshed, ListStore.of(settings))
    outcomes = [each.outcome for each in refreshed]
    yield dg.MaterializeResult(
        asset_key=REFERENCE_LISTS,
        metadata={
            "dagster/row_count": int(shown.filter("in_use")["entries"].sum()),
            "rules_version": rules.version,
            **{outcome.value: outcomes.count(outcome) for outcome in Outcome},
            "lists": dg.MetadataValue.md(markdown(shown, rows=50)),
        },
    )
    keyed = pl.read_parquet(lake.address_lists_path)
    yield dg.MaterializeResult(
        asset_key=ADDRESS_LISTS,
        metadata={
            "dagster/row_count": keyed.height,
            "lists": dg.MetadataValue.md(markdown(keyed.group_by("list").len("keys").sort("list"))),
        },
    )
    told = {
        "lists_valid": overview.valid(refreshed),
        "lists_fresh": overview.fresh(refreshed, now_us),
        "inclusions_validated": overview.inclusions_validated(
            rules.included_addresses, datetime.fromtimestamp(now_us / 1e6, UTC).date()
        ),
    }
    for name, verdict in told.items():
        yield dg.AssetCheckResult(
            check_name=name,
            asset_key=REFERENCE_LISTS,
            passed=verdict.passed,
            severity=_CHECKS[name][1],
            description=verdict.message,
            metadata={"failing": dg.MetadataValue.md(markdown(verdict.failing, rows=50))}
            if verdict.failing.height
            else {},
        )


lists_job = dg.define_asset_job(
    LISTS_JOB,
    selection=list(_SPECS),
    description="Look for newer reference lists.",
)

lists_schedule = dg.ScheduleDefinition(
    name=LISTS_JOB,
    job=lists_job,
    cron_schedule=LISTS_CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Look for newer reference lists once a day.",
)
