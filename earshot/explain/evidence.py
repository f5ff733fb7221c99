"""What the warehouse of an excerpt says of one episode and day: the figures, and each listener in short.

Nothing is judged here: the figures are rows of the marts, the listeners rows of the models behind them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from earshot.explain.excerpt import WITNESS
from ingest.settings import Window
from serving.reasons import BELOW_THRESHOLD, DUPLICATE, REDELIVERED

Row = dict[str, Any]


@dataclass(frozen=True)
class Scope:
    """Of which episode and day (in EARSHOT_TIME_ZONE), and of which source class (None: each)."""

    episode_key: int
    day: date
    source_class: str | None = None

    @property
    def parameters(self) -> Row:
        return {"episode": self.episode_key, "day": self.day, "class": self.source_class}


# Of both int_requests and int_download_windows.
IN_EPISODE = "episode_key = $episode and source_class = coalesce($class, source_class)"


@dataclass(frozen=True)
class Figures:
    """The rows the marts have of this episode and day, of one source class."""

    source_class: str
    downloads: dict[Window, int]
    listeners: int  # these three under the published rule
    requests: int
    served_bytes: int
    not_counted: list[Row]  # source, reason, rules_version, requests, requests_<rule>


@dataclass(frozen=True)
class Heard:
    """One listener of the day, in short."""

    source_class: str
    listener_key: int
    app: str | None
    lines: int
    windows: dict[Window, int]
    downloads: dict[Window, int]
    not_counted: dict[Window, dict[str, int]]  # requests by reason, under each rule


def rows_of(con: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
    """The rows of a query by column name; parameters it does not use are left out."""
    used = {name: value for name, value in parameters.items() if f"${name}" in sql}
    cursor = con.execute(sql, used)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def figures(con: duckdb.DuckDBPyConnection, scope: Scope) -> list[Figures]:
    """The marts' figures, one a source class that has any. The warehouse must hold this one episode only:
    fct_exclusions_daily is by show."""
    not_counted: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of(
        con,
        f"""
        select
            source_class, source, reason, rules_version, requests,
            {", ".join(f"requests_{rule}" for rule in Window)}
        from marts.fct_exclusions_daily
        where date = $day and source_class = coalesce($class, source_class) and reason <> $witness
        order by all
        """,
        scope.parameters | {"witness": WITNESS},
    ):
        not_counted[row.pop("source_class")].append(row)
    daily = rows_of(
        con, f"select * from marts.fct_episode_daily where date = $day and {IN_EPISODE}", scope.parameters
    )
    by_class: dict[str, Row] = {name: {} for name in not_counted} | {
        row["source_class"]: row for row in daily
    }
    return [
        Figures(
            name,
            {rule: row.get(f"downloads_{rule}", 0) for rule in Window},
            row.get("listeners", 0),
            row.get("requests", 0),
            row.get("served_bytes", 0),
            not_counted[name],
        )
        for name, row in sorted(by_class.items())
    ]


def heard(con: duckdb.DuckDBPyConnection, scope: Scope) -> list[Heard]:
    """Every listener of the day, those with most log lines first."""
    # As fct_exclusions_daily counts requests: of what is excluded a request is told apart by list version.
    lines = rows_of(
        con,
        f"""
        select
            source_class, listener_key, exclusion_reason as reason,
            min(app) as app,
            count(*) as lines,
            count(
                distinct (source, request_key, case when exclusion_reason is not null then rules_version end)
            ) as requests
        from intermediate.int_requests
        where date = $day and {IN_EPISODE}
        group by all
        order by all
        """,
        scope.parameters,
    )
    measures = ", ".join(
        f"""
            count(*) filter (is_{rule}) as windows_{rule},
            count(*) filter (is_{rule} and is_counted) as downloads_{rule},
            coalesce(sum(requests) filter (is_{rule} and not is_counted), 0) as {BELOW_THRESHOLD}_{rule},
            coalesce(sum(requests - 1) filter (is_{rule} and is_counted), 0) as {DUPLICATE}_{rule}
        """
        for rule in Window
    )
    windows = rows_of(
        con,
        f"""
        select source_class, listener_key, min(app) as app, {measures}
        from intermediate.int_download_windows
        where date = $day and {IN_EPISODE}
        group by all
        """,
        scope.parameters,
    )
    lines_of: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for line in lines:
        lines_of[line["source_class"], line["listener_key"]].append(line)
    windows_of = {(row["source_class"], row["listener_key"]): row for row in windows}
    found = [_heard(*key, lines_of[key], windows_of.get(key, {})) for key in sorted({*lines_of, *windows_of})]
    return sorted(found, key=lambda one: (one.source_class, -one.lines, one.listener_key))


def _heard(source_class: str, listener_key: int, lines: Sequence[Row], windows: Row) -> Heard:
    excluded = {line["reason"]: line["requests"] for line in lines if line["reason"]}
    again = sum(line["lines"] - line["requests"] for line in lines)

    def not_counted(rule: Window) -> dict[str, int]:
        of_windows = {name: int(windows.get(f"{name}_{rule}", 0)) for name in (BELOW_THRESHOLD, DUPLICATE)}
        return {name: n for name, n in {**excluded, **of_windows, REDELIVERED: again}.items() if n}

    return Heard(
        source_class,
        listener_key,
        windows.get("app") or min((line["app"] for line in lines if line["app"]), default=None),
        sum(line["lines"] for line in lines),
        {rule: windows.get(f"windows_{rule}", 0) for rule in Window},
        {rule: windows.get(f"downloads_{rule}", 0) for rule in Window},
        {rule: not_counted(rule) for rule in Window},
    )


def days_heard(con: duckdb.DuckDBPyConnection, scope: Scope, listener_key: int | None = None) -> list[date]:
    """The days with requests of the episode, or of this listener for it, in order."""
    one = "" if listener_key is None else "and listener_key = $listener"
    return [
        row["date"]
        for row in rows_of(
            con,
            f"select distinct date from intermediate.int_requests where {IN_EPISODE} {one} order by date",
            scope.parameters | {"listener": listener_key},
        )
    ]


def listeners_like(con: duckdb.DuckDBPyConnection, scope: Scope, digits: str) -> list[int]:
    """Keys of listeners of the episode: the one that is `digits`, else those of the day that begin so.

    A key is the one under which a listener counts, or one under which its log rows stand.
    """
    keys = con.execute(
        "select listener_key, logged_listener_key, bool_or(date = $day) from intermediate.int_requests"
        f" where {IN_EPISODE} group by all",
        scope.parameters,
    ).fetchall()
    whole = {key for key, logged, _ in keys if digits in (str(key), str(logged))}
    if whole:
        return sorted(whole)
    of_day = ((key, logged) for key, logged, is_there in keys if is_there)
    return sorted({pair[0] for pair in of_day if any(str(key).startswith(digits) for key in pair)})
