"""`earshot report`: counts of the published marts over any period, exact in any time zone.

Every figure is counted from fct_downloads, one row a download: listeners are distinct over the row's whole
period (R26), and a period of another zone is no sum of days.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from earshot.pipeline import reading
from earshot.published import Published, current
from ingest.schema import SourceClass
from ingest.settings import Settings, Window

Row = dict[str, Any]


class By(StrEnum):
    """What a row stands for."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    EPISODE = "episode"
    SHOW = "show"
    APP = "app"
    COUNTRY = "country"
    DEVICE = "device"
    DEVICE_CATEGORY = "device_category"
    OS = "os"
    NETWORK_KIND = "network_kind"
    ASN = "asn"
    SOURCE = "source"


PERIODS = (By.HOUR, By.DAY, By.WEEK, By.MONTH)
_KEYS = {  # columns of a row: expression over `downloads`, below
    By.EPISODE: {"show_id": "show_id", "episode_id": "episode_id", "episode_title": "min(episode_title)"},
    By.SHOW: {"show_id": "show_id", "show_title": "min(show_title)"},
    By.ASN: {"asn": "coalesce(cast(asn as varchar), 'unknown')", "network": "min(network)"},
}


class ReportError(ValueError):
    """A question the marts cannot answer; the message names what there is."""


_ZONES = timedelta(days=2)  # they differ by 26 hours at most


@dataclass(frozen=True)
class Question:
    """What to count, and over what."""

    by: By = By.DAY
    show: str | None = None
    episode: str | None = None
    first: date | None = None  # both inclusive, in time_zone
    last: date | None = None
    time_zone: str = "UTC"
    source_class: SourceClass | None = None
    window: Window | None = None  # None: the published one
    compare: bool = False  # all rules side by side


@dataclass(frozen=True)
class Report:
    """The rows asked for, the same figures over all of them, and what must be said beside."""

    rows: list[Row]
    columns: list[str]
    total: Row
    source_class: SourceClass
    window: Window
    published: Published
    notes: list[str] = field(default_factory=list)


def report(question: Question, settings: Settings) -> Report:
    """Answer `question` from the published marts. Raises NothingPublished, ReportError."""
    if question.first and question.last and question.first > question.last:
        raise ReportError(f"--from {question.first} is later than --to {question.last}")
    published = current(settings)
    window = question.window or published.window
    with reading(published.database) as con:
        _check(con, question, published)
        source_class, notes = _source_class(con, question)
        measures = _measures(window, question.compare)
        keys = _keys(question.by)
        rows = _rows(con, question, source_class, window, keys, measures)
        [total] = _rows(con, question, source_class, window, {}, measures)
        if not rows:
            notes += _dates(con, question, source_class, window)
    named = {"source_class": str(source_class), "window": str(window)}
    return Report(
        [{**named, **_readable(row, question)} for row in rows],
        [*named, *(question.by if name == "period" else name for name in keys), *measures],
        total,
        source_class,
        window,
        published,
        [*notes, *_compare_notes(question, window), *_zone_notes(question, settings)],
    )


def _measures(window: Window, compare: bool) -> dict[str, str]:
    of_rule = f"filter (downloads_{window} = 1)"
    listeners = {"listeners": f"count(distinct listener_key) {of_rule}"}
    # A prefix sees no bytes and needs no threshold: null.
    estimated = {
        "estimated_share": "round(avg(case when threshold_source <> 'episode' then 1 "
        f"when threshold_source is not null then 0 end) {of_rule}, 4)"
    }
    if compare:
        downloads = {f"downloads_{rule}": f"cast(sum(downloads_{rule}) as bigint)" for rule in Window}
        return downloads | listeners | estimated
    return {
        "downloads": f"count(*) {of_rule}",
        **listeners,
        "download_requests": f"coalesce(cast(sum(requests) {of_rule} as bigint), 0)",
        "download_bytes": f"coalesce(cast(sum(served_bytes) {of_rule} as bigint), 0)",
        **estimated,
    }


def _keys(by: By) -> dict[str, str]:
    """Columns that name a row: expression over `downloads`."""
    if by is By.HOUR:
        # As an instant: where the clock is turned back, two hours bear the same name.
        return {"period": "first_request_at - (local_time - date_trunc('hour', local_time))"}
    if by in PERIODS:
        return {"period": f"date_trunc('{by}', local_time)"}
    return _KEYS.get(by, {str(by): f"coalesce({by}, 'unknown')"})


def _rows(
    con: duckdb.DuckDBPyConnection,
    question: Question,
    source_class: SourceClass,
    window: Window,
    keys: dict[str, str],
    measures: dict[str, str],
) -> list[Row]:
    """The figures by `keys`; without keys one row over all."""
    first, last = question.first or date.min, question.last or date.max
    groups = [expression for expression in keys.values() if not expression.startswith("min(")]
    counted = "true" if question.compare else f"downloads_{window} = 1"
    order = "period" if "period" in keys else f"{next(iter(measures))} desc, {', '.join(keys)}"
    cursor = con.execute(
        f"""
        with downloads as (
            select
                d.*, e.episode_title, s.show_title, n.network,
                timezone($zone, timezone('UTC', d.first_request_at)) as local_time
            from fct_downloads as d
            left join dim_episodes as e using (episode_key)
            left join dim_shows as s on d.show_id = s.show_id
            left join dim_networks as n on d.asn = n.asn
            where
                d.source_class = $class
                and d.show_id is not distinct from coalesce($show, d.show_id)
                and d.episode_id = coalesce($episode, d.episode_id)
                -- So that whole blocks of the file are passed over.
                and d.date between $around_first and $around_last
        )
        select {", ".join(f"{expression} as {name}" for name, expression in (keys | measures).items())}
        from downloads
        where {counted} and cast(local_time as date) between $first and $last
        {f"group by {', '.join(groups)} order by {order}" if keys else ""}
        """,
        {
            "zone": question.time_zone,
            "class": str(source_class),
            "show": question.show,
            "episode": question.episode,
            "first": first,
            "last": last,
            "around_first": max(first, date.min + _ZONES) - _ZONES,
            "around_last": min(last, date.max - _ZONES) + _ZONES,
        },
    )
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _readable(row: Row, question: Question) -> Row:
    """The row with its period in ISO 8601: an hour with its offset, a day, 2026-W36, 2026-09."""
    if "period" not in row:
        return row
    start: datetime = row["period"]
    if question.by is By.HOUR:
        period = (
            start.replace(tzinfo=UTC).astimezone(ZoneInfo(question.time_zone)).isoformat(timespec="minutes")
        )
    elif question.by is By.WEEK:
        period = "{}-W{:02d}".format(*start.isocalendar()[:2])
    else:
        period = start.date().isoformat()[: 7 if question.by is By.MONTH else 10]
    return {str(question.by): period} | {name: value for name, value in row.items() if name != "period"}


def _check(con: duckdb.DuckDBPyConnection, question: Question, published: Published) -> None:
    """Is everything there that the question names? Raises ReportError."""
    columns = {
        name
        for (name,) in con.execute(
            "select column_name from duckdb_columns() where table_name = 'fct_downloads'"
        ).fetchall()
    }
    if not {"downloads_calendar", "asn"} <= columns:
        raise ReportError(f"{published.database} was built by an older Earshot: build the marts again")
    shows = [name for (name,) in con.execute("select show_id from dim_shows").fetchall()]
    if question.show is not None and question.show not in shows:
        raise ReportError(f"there is no show {question.show!r}{_alike(question.show, shows)}")
    if question.episode is not None:
        found = con.execute(
            "select show_id from dim_episodes"
            " where episode_id = $episode and show_id is not distinct from coalesce($show, show_id)"
            " order by show_id",
            {"episode": question.episode, "show": question.show},
        ).fetchall()
        if not found:
            known = [name for (name,) in con.execute("select episode_id from dim_episodes").fetchall()]
            raise ReportError(f"there is no episode {question.episode!r}{_alike(question.episode, known)}")
        if len(found) > 1:
            named = ", ".join(str(show) for (show,) in found)
            raise ReportError(
                f"several shows have an episode {question.episode!r}: choose one with --show: {named}"
            )


def _alike(name: str, known: list[str]) -> str:
    alike = difflib.get_close_matches(name, known, 3)
    return f"; alike are {', '.join(alike)}" if alike else ""


def _source_class(con: duckdb.DuckDBPyConnection, question: Question) -> tuple[SourceClass, list[str]]:
    """The class to count: two see the same listening twice, so it is one of them."""
    there = [
        SourceClass(name)
        for (name,) in con.execute("select distinct source_class from fct_downloads order by all").fetchall()
    ]
    if question.source_class:
        return question.source_class, []
    if not there:
        return SourceClass.SERVER_LOG, []
    chosen = SourceClass.SERVER_LOG if SourceClass.SERVER_LOG in there else there[0]
    others = [name for name in there if name is not chosen]
    told = (
        f"counted is {chosen}; {others[0]} sees the same listening again (--class {others[0]})"
        if others
        else ""
    )
    return chosen, [told] if told else []


def _dates(
    con: duckdb.DuckDBPyConnection, question: Question, source_class: SourceClass, window: Window
) -> list[str]:
    """On which dates there are downloads, where the asked ones have none."""
    always = replace(question, first=None, last=None)
    day = "cast(local_time as date)"
    [span] = _rows(con, always, source_class, window, {}, {"first": f"min({day})", "last": f"max({day})"})
    if span["first"] is None:
        return [f"no {source_class} downloads on any date"]
    return [f"no downloads on these dates; there are some from {span['first']} to {span['last']}"]


def _compare_notes(question: Question, window: Window) -> list[str]:
    if not question.compare:
        return []
    return [
        f"the three rules are alternatives, never to be summed; listeners and estimated are those of {window}"
    ]


def _zone_notes(question: Question, settings: Settings) -> list[str]:
    if question.time_zone == settings.time_zone or question.by not in PERIODS:
        return []
    return [
        f"periods begin in {question.time_zone}, calendar windows at 00:00 {settings.time_zone}: "
        "a download counts in the period of its window's first request"
    ]
