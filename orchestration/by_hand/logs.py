"""Log files by hand: take in now, rebuild a month, restate some days under other lists."""

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from pydantic import Field

from ingest.lake import utc_now_us
from ingest.logs.intake import find_landing_files, take_in
from ingest.logs.ranges import ReferenceListError
from ingest.logs.rules import Rules
from ingest.settings import SettingError
from orchestration.assets.ingest import check_results, choose_files, describe, reasons_of
from orchestration.assets.restate import told
from orchestration.by_hand.started import TAGS, preset, refuse, tag_run
from orchestration.constants import (
    REBUILD_MONTH_JOB,
    RESTATE_JOB,
    RESTATED_DAYS,
    TAKE_IN_JOB,
)
from orchestration.liveness import hold
from orchestration.partitions import hour_key
from orchestration.resources import Installation
from orchestration.restating import days_between, judge_again
from orchestration.sensors.marts_plan import days_tag


class TakeInConfig(dg.Config):
    """Which of the landed files."""

    source: str = Field(
        default="", description="a folder of `landing/`, or a source of sources.toml; empty: all"
    )


@dg.op(description="Take in the landed files that the ledger does not know.")
def take_in_files(context: dg.OpExecutionContext, config: TakeInConfig, installation: Installation) -> None:
    settings, lake = installation.settings(), installation.lake()
    hold(context.run_id, settings)
    now_us = utc_now_us()
    try:
        landed = find_landing_files(settings)
    except SettingError as error:
        raise refuse(str(error)) from error
    sources = sorted({file.source for file in landed})
    if config.source and config.source not in sources:
        raise refuse(f"no file of source {config.source!r} has landed, but of {', '.join(sources) or 'none'}")
    hour = hour_key(datetime.fromtimestamp(now_us / 1e6, UTC))
    new = choose_files(landed, lake.ledger(), [], [hour], now_us).files
    files = [file for file in new if config.source in ("", file.source)]
    tag_run(context, files=str(len(files)), source=config.source or "all")
    if not files:
        context.log.info(f"the ledger knows all {len(landed)} files: nothing to take in")
        return
    report = take_in(files, settings, lake, now_us=now_us)
    tag_run(context, days=days_tag([day.isoformat() for day in report.days]))
    ledger = lake.ledger()
    for asset, metadata in describe(report, ledger, reasons_of(lake, report.files), hour, now_us).items():
        context.log_event(dg.AssetMaterialization(asset, partition=hour, metadata=metadata))
    for verdict in check_results(report, ledger, settings, now_us):
        assert verdict.check_name and verdict.asset_key
        if not verdict.passed:  # of a job by hand it stops nothing: who started it is to see it
            context.log.warning(f"{verdict.check_name}: {verdict.description}")
        context.log_event(
            dg.AssetCheckEvaluation(  # type: ignore[arg-type]  # taken, though the annotation forgets it
                asset_key=verdict.asset_key,
                check_name=verdict.check_name,
                passed=verdict.passed,
                severity=verdict.severity,
                description=verdict.description,
                metadata=verdict.metadata,
            )
        )


class MonthConfig(dg.Config):
    """Which month."""

    month: str = Field(default="last", description="`YYYY-MM` in UTC, or `last`: the one before this one")


class RestateConfig(dg.Config):
    """Which days, under which lists."""

    first_day: str = Field(default="yesterday", description="`YYYY-MM-DD` in UTC, or `yesterday`")
    last_day: str = Field(default="yesterday", description="the same; it is one of them")
    lists: str = Field(
        default="", description="a `rules_version` of the mart `dim_rules`; empty: lists in force"
    )


@dg.op(description="Read a month's requests again and have its figures counted anew.")
def judge_month_again(
    context: dg.OpExecutionContext, config: MonthConfig, installation: Installation
) -> None:
    first = month_of(config.month, _today())
    last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    _judge_again(context, installation, first, min(last, _today()), "")


@dg.op(description="Judge the requests of some days again and have their figures counted anew.")
def judge_days_again(
    context: dg.OpExecutionContext, config: RestateConfig, installation: Installation
) -> None:
    first, last = (day_of(day, _today()) for day in (config.first_day, config.last_day))
    _judge_again(context, installation, first, last, config.lists)


def month_of(text: str, today: date) -> date:
    """The first day of the month that `text` names. Raises dg.Failure."""
    if text == "last":
        return (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    first = _read(text, lambda given: datetime.strptime(given, "%Y-%m").date(), "month is YYYY-MM or last")
    if first > today:
        raise refuse(f"{text} has not begun")
    return first


def day_of(text: str, today: date) -> date:
    """The day that `text` names. Raises dg.Failure."""
    if text == "yesterday":
        return today - timedelta(days=1)
    return _read(text, date.fromisoformat, "a day is YYYY-MM-DD or yesterday")


def _read(text: str, read: Callable[[str], date], allowed: str) -> date:
    try:
        return read(text)
    except ValueError as error:
        raise refuse(f"{allowed}, not {text[:40]!r}") from error


def _today() -> date:
    return datetime.now(UTC).date()


def _judge_again(
    context: dg.OpExecutionContext, installation: Installation, first: date, last: date, lists: str
) -> None:
    settings, lake = installation.settings(), installation.lake()
    hold(context.run_id, settings)
    try:
        days, rules = days_between(first, last), Rules.load(settings, version=lists or None)
    except (ValueError, ReferenceListError) as error:
        raise refuse(str(error)) from error
    tag_run(context, days=days_tag([day.isoformat() for day in days]), lists=rules.version)
    report, _ = judge_again(
        settings, lake, days, rules, lambda step, done, of: context.log.info(f"{step}: {done} of {of}")
    )
    if not report.days:
        context.log.warning(f"the lake holds no request of {first} to {last}: nothing to judge")
    for day in report.days:
        metadata = told(report, [day], rules.version)
        context.log_event(
            dg.AssetMaterialization(RESTATED_DAYS, partition=day.isoformat(), metadata=metadata)
        )


@dg.job(
    name=TAKE_IN_JOB,
    tags=TAGS,
    config=preset("take_in_files", source=""),
    description=(
        "Take in the log files that have landed, now and all in one run. The sensor does so by itself within "
        "seconds: this is for when it is switched off, or waits an hour after runs in "
        "vain and you have mended the cause."
    ),
)
def take_in_job() -> None:
    take_in_files()


@dg.job(
    name=REBUILD_MONTH_JOB,
    tags=TAGS,
    config=preset("judge_month_again", month="last"),
    description=(
        "Read all requests of a month again, from its landing files where they still lie there, else from "
        "the lake, under the lists in force; the marts follow by themselves. For after a fault in a source's "
        "settings or an address database. What it changes is told in `fct_restatements`."
    ),
)
def rebuild_month_job() -> None:
    judge_month_again()


@dg.job(
    name=RESTATE_JOB,
    tags=TAGS,
    config=preset("judge_days_again", first_day="yesterday", last_day="yesterday", lists=""),
    description=(
        "Judge the requests of some days again under newer or former lists (R34); the marts follow by "
        "themselves, and the figures published before stay in `fct_restatements`. `earshot restate "
        "--dry-run` tells beforehand what it would judge."
    ),
)
def restate_job() -> None:
    judge_days_again()
