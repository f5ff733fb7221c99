"""All of one listener of an episode on one day: window by window, request by request, line by line."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

import duckdb

from earshot.explain.evidence import IN_EPISODE, Row, Scope, rows_of
from ingest.settings import Window

MOST = 500  # requests told of one window, and excluded ones of the day; their number is always told


@dataclass(frozen=True)
class Told:
    """One request, as its log lines tell it and as the models weigh it."""

    started_us: int
    lines: list[str]  # source/file:line; more than one where the line was delivered again
    method: str | None
    status: int
    range_start: int
    served_bytes: int
    request_number: int | None = None  # in its window
    contributed_bytes: int | None = (
        None  # new content beyond that of the requests before, the header left out
    )
    running_bytes: int | None = None
    exclusion_reason: str | None = None
    rules_version: str | None = None


@dataclass(frozen=True)
class Seen:
    """One window."""

    rules: list[Window]  # under which it is one
    date: date  # on which it counts
    first_request_us: int
    last_request_us: int
    is_counted: bool
    requests: int
    served_bytes: int
    content_bytes: int
    threshold_bytes: int | None  # None: a prefix, which sees no bytes
    threshold_source: str | None
    told: list[Told]  # in the order of time


@dataclass(frozen=True)
class Story:
    """One listener in one source class."""

    source_class: str
    listener_key: int
    logged_keys: list[int]  # successive secrets make several keys of one listener
    agents: list[Row]  # agent, app, device, os, country, network_kind
    windows: list[Seen]  # that reach into the day
    excluded: list[Told]  # on the day
    excluded_requests: int


def windows_under(story: Story, window: Window | None) -> list[Seen]:
    """Its windows under one rule, or under any."""
    return [seen for seen in story.windows if window is None or window in seen.rules]


_LINES = f"""
    with named as (
        select source, file_id, min(file_name) as file_name
        from staging.stg_lake__files
        where status = 'taken'
        group by source, file_id
    ),
    mine as (
        select * from intermediate.int_requests
        where listener_key = $listener and {IN_EPISODE}
    ),
    told as (
        select
            mine.source_class, mine.logged_listener_key, mine.request_key, mine.date, mine.started_us,
            mine.exclusion_reason, mine.rules_version, mine.source, logged.line_number,
            mine.source || '/' || coalesce(named.file_name, mine.file_id) as file_name,
            logged.method, logged.status, logged.range_start, logged.served_bytes,
            logged.agent, logged.app, logged.device, logged.os, logged.country, logged.network_kind
        from mine
        inner join staging.stg_lake__requests as logged using (source, file_id, line_number)
        left join named using (source, file_id)
    )
"""
# Over the lines of one request; min() so that the answer does not depend on the order of rows.
_REQUEST = """
    list(told.file_name || ':' || told.line_number order by told.file_name, told.line_number) as lines,
    min(told.started_us) as started_us, min(told.method) as method, min(told.status) as status,
    min(told.range_start) as range_start, max(told.served_bytes) as served_bytes
"""


def stories(con: duckdb.DuckDBPyConnection, scope: Scope, listener_key: int) -> list[Story]:
    """What the listener did on the day, one story a source class."""
    parameters = scope.parameters | {"listener": listener_key, "most": MOST}
    windows = _windows(con, parameters)
    excluded = _excluded(con, parameters)
    who = _who(con, parameters)
    return [
        Story(
            name,
            listener_key,
            sorted({key for row in who[name] for key in row["logged_keys"]}),
            [{key: value for key, value in row.items() if key != "logged_keys"} for row in who[name]],
            windows[name],
            [told for told, _ in excluded[name]],
            max((of for _, of in excluded[name]), default=0),
        )
        for name in sorted({*windows, *excluded})
    ]


def _windows(con: duckdb.DuckDBPyConnection, parameters: Row) -> dict[str, list[Seen]]:
    """By source class the windows with a request on the day, also those that count on a day before."""
    told: dict[tuple[str, int, int], list[Told]] = defaultdict(list)
    for row in rows_of(
        con,
        f"""
        {_LINES}
        select
            added.source_class, added.first_request_us, added.last_request_us, added.request_number,
            added.contributed_bytes, added.running_bytes, {_REQUEST}
        from intermediate.int_window_requests as added
        inner join told
            on
                added.source_class = told.source_class
                and added.request_key = told.request_key
                and told.started_us between added.first_request_us and added.last_request_us
        where
            added.listener_key = $listener
            and added.episode_key = $episode
            and told.exclusion_reason is null
        group by all
        order by added.request_number
        """,
        parameters,
    ):
        window = row.pop("source_class"), row.pop("first_request_us"), row.pop("last_request_us")
        told[window].append(Told(**row))
    seen: dict[str, list[Seen]] = defaultdict(list)
    for row in rows_of(
        con,
        f"""
        with touched as (
            select source_class, started_us from intermediate.int_requests
            where listener_key = $listener and {IN_EPISODE} and date = $day and exclusion_reason is null
        )
        select * from intermediate.int_download_windows as windows
        where
            listener_key = $listener and {IN_EPISODE}
            and exists (
                select 1 from touched
                where
                    touched.source_class = windows.source_class
                    and touched.started_us between windows.first_request_us and windows.last_request_us
            )
        order by first_request_us, last_request_us
        """,
        parameters,
    ):
        source_class, first, last = (row[k] for k in ("source_class", "first_request_us", "last_request_us"))
        seen[source_class].append(
            Seen(
                rules=[rule for rule in Window if row[f"is_{rule}"]],
                told=told[source_class, first, last],
                **{name: row[name] for name in Seen.__dataclass_fields__ if name not in ("rules", "told")},
            )
        )
    return seen


def _excluded(con: duckdb.DuckDBPyConnection, parameters: Row) -> dict[str, list[tuple[Told, int]]]:
    """By source class the day's excluded requests, each with how many there are in all."""
    found: dict[str, list[tuple[Told, int]]] = defaultdict(list)
    for row in rows_of(
        con,
        f"""
        {_LINES},
        requests as (
            select source_class, exclusion_reason, rules_version, {_REQUEST}
            from told
            where exclusion_reason is not null and date = $day
            group by source_class, source, exclusion_reason, rules_version, request_key
        )
        select *, count(*) over (partition by source_class) as requests
        from requests
        qualify row_number() over (partition by source_class order by started_us, lines) <= $most
        order by source_class, started_us, lines
        """,
        parameters,
    ):
        source_class, requests = row.pop("source_class"), row.pop("requests")
        found[source_class].append((Told(**row), requests))
    return found


def _who(con: duckdb.DuckDBPyConnection, parameters: Row) -> dict[str, list[Row]]:
    """By source class who the day's lines say it was."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of(
        con,
        f"""
        {_LINES}
        select
            source_class, agent, app, device, os, country, network_kind,
            list(distinct logged_listener_key) as logged_keys
        from told
        where date = $day
        group by all
        order by all
        """,
        parameters,
    ):
        found[row.pop("source_class")].append(row)
    return found
