"""The first page: all shows that the looker may see, and how they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from serving.pages.charts import time
from serving.pages.charts.draw import drawing, svg
from serving.pages.view import downloads
from serving.pages.view.parts import (
    DOWNLOAD, EPISODE, LISTENER, OURS, Cell, Figure, Key, Rule, Section, Table, columns,
)  # fmt: skip
from serving.pages.view.sight import FEWEST, Asks, Row
from serving.pages.view.words import (
    NOTHING, change, count, day, episode_href, epoch_ms, next_day, show_href, source_words, span,
)  # fmt: skip

PER_PAGE = 25
SPARK = 112  # pixels
SOURCES = Rule("Sources", "What sources see, and what they do not", "/methodology#one-listener-554")


@dataclass(frozen=True)
class Overview:
    figures: Sequence[Figure]
    sections: Sequence[Section]
    shows: Table | None
    shown: str  # which of how many
    newer: str | None  # hrefs of the pages beside
    older: str | None
    query: str


# Of each show the source class that saw most lately: classes are never added up.
_MAIN = """
    with seen as (
        select show_id, source_class, sum(downloads) as downloads
        from fct_show_daily
        where date > $last::date - 90 and show_id is not null
            and ($all or show_id in (select unnest($shows::varchar[])))
        group by all
    ),
    main as (
        select show_id, source_class
        from seen
        qualify row_number() over (partition by show_id order by downloads desc, source_class desc) = 1
    )
"""
_LAST = "select max(period_end) as last from fct_show_listeners where period = 'day' and is_complete"
_SHOWS = f"""{_MAIN}
    select
        s.show_id, coalesce(s.show_title, s.show_id) as title, s.episodes, s.last_published_at, m.source_class,
        coalesce(sum(d.downloads) filter (d.date > $last::date - 28), 0) as downloads,
        coalesce(sum(d.downloads) filter (d.date <= $last::date - 28), 0) as before
    from dim_shows as s
    left join main as m using (show_id)
    left join fct_show_daily as d
        on d.show_id = m.show_id and d.source_class = m.source_class
        and d.date > $last::date - 56 and d.date <= $last
    where ($all or s.show_id in (select unnest($shows::varchar[])))
        and ($query = '' or contains(lower(coalesce(s.show_title, s.show_id)), lower($query)))
    group by all
    order by downloads desc, title, s.show_id
"""
_LISTENERS = """
    select show_id, source_class, listeners
    from fct_show_listeners
    where period = 'trailing_28' and period_end = $last and show_id in (select unnest($shows::varchar[]))
"""
_DAILY = f"""{_MAIN}
    select d.date, sum(d.downloads) as downloads
    from fct_show_daily as d
    join main using (show_id, source_class)
    where d.date > $last::date - 90 and d.date <= $last
    group by d.date
    order by d.date
"""
_EPISODES = f"""{_MAIN}
    select d.episode_key, coalesce(e.episode_title, e.episode_id) as title, e.published_at, d.show_id,
        coalesce(s.show_title, d.show_id) as show_title, sum(d.downloads) as downloads
    from fct_episode_daily as d
    join main using (show_id, source_class)
    join dim_episodes as e using (episode_key)
    join dim_shows as s on s.show_id = d.show_id
    where d.date > $last::date - 7 and d.date <= $last and e.is_in_catalog
    group by all
    having sum(d.downloads) >= $fewest
    order by downloads desc, title
    limit 10
"""
_SOURCES = "select * from dim_sources order by source, source_class"


def page(
    asks: Asks, visible: frozenset[str] | None, owned: frozenset[str] | None, number: int, query: str, is_operator: bool
) -> Overview:
    """visible: the shows to tell of, None: all; owned: those of which small figures may be told, None: all."""
    [ended] = asks.rows(_LAST, {})
    last: date | None = ended["last"]
    given = {"all": visible is None, "shows": sorted(visible or ()), "last": last, "query": query}
    if last is None:
        return Overview([], [], None, "", None, None, query)
    shows = asks.rows(_SHOWS, given)
    start = (number - 1) * PER_PAGE
    listed = shows[start : start + PER_PAGE]
    figures, sections = [], []
    if number == 1 and not query:
        figures = _figures(shows, last)
        sections = [_course(asks, given, last), _episodes(asks, given, visible, owned, last)]
        if is_operator:
            sections.append(_sources(asks))
    return Overview(
        figures,
        [section for section in sections if section],
        _table(asks, listed, last, owned) if listed else None,
        f"{count(start + 1)} to {count(start + len(listed))} of {count(len(shows))}" if listed else "",
        _href(number - 1, query) if number > 1 else None,
        _href(number + 1, query) if start + PER_PAGE < len(shows) else None,
        query,
    )


def _href(number: int, query: str) -> str:
    from urllib.parse import urlencode

    asked = {name: value for name, value in (("q", query), ("page", number)) if value not in ("", 1)}
    return f"/?{urlencode(asked)}" if asked else "/"


def _figures(shows: list[Row], last: date) -> list[Figure]:
    heard = [row for row in shows if row["downloads"]]
    total, before = sum(row["downloads"] for row in shows), sum(row["before"] for row in shows)
    when = span(last - timedelta(27), last)
    note = f"{when}; of each show the source that sees more"
    if before:
        note += f"; {change(total, before, 'the 28 days before')}"
    return [
        Figure("Shows", count(len(shows)), f"{count(len(heard))} were downloaded in the last 28 days", EPISODE),
        Figure("Downloads in 28 days", count(total), note, DOWNLOAD),
        Figure("Episodes", count(sum(row["episodes"] or 0 for row in shows)), "in the catalogue", EPISODE),
    ]


def _course(asks: Asks, given: Row, last: date) -> Section | None:
    told = {row["date"]: row["downloads"] for row in asks.rows(_DAILY, given)}
    if not told:
        return None
    first = max(min(told), last - timedelta(89))
    dates = [first + timedelta(n) for n in range((last - first).days + 1)]
    points = [
        {
            "at": epoch_ms(one),
            "to": epoch_ms(next_day(one)),
            "value": told.get(one, 0),
            "told": f"{day(one)}: {count(told.get(one, 0))} downloads",
        }
        for one in dates
    ]
    return Section(
        "downloads",
        "Downloads of all these shows",
        DOWNLOAD,
        chart=drawing(
            time.downloads,
            f"Downloads by day, {span(first, last)}; the table below has the figures",
            {"days": points, "episodes": []},
            bars=len(points) < 15,
            is_large=max(point["value"] for point in points) >= downloads.LARGE,
        ),
        keys=(Key("bar" if len(points) < 15 else "line", "downloads a day"),),
        table=Table(
            "Downloads by day, the newest first",
            columns("Day", "Downloads#"),
            [(Cell(day(one)), Cell(count(told.get(one, 0)))) for one in reversed(dates)],
        ),
    )


def _table(asks: Asks, rows: list[Row], last: date, owned: frozenset[str] | None) -> Table:
    ids = [row["show_id"] for row in rows]
    classes = {row["show_id"]: row["source_class"] for row in rows if row["source_class"]}
    lines = downloads.sparks(asks, ids, classes, last)
    found = asks.rows(_LISTENERS, {"shows": ids, "last": last})
    listeners = {(row["show_id"], row["source_class"]): row["listeners"] for row in found}
    shown = []
    for row in rows:
        heard = listeners.get((row["show_id"], row["source_class"]))
        may = owned is None or row["show_id"] in owned or (heard or 0) >= FEWEST
        line = lines[row["show_id"]]
        has_line = may and sum(1 for point in line if point["value"]) > 3
        shown.append(
            (
                Cell(row["title"], href=show_href(row["show_id"])),
                Cell("", chart=svg(time.spark, SPARK, f"Course of {row['title']}", {"days": line}) if has_line else None),
                Cell(count(row["downloads"]) if may else "few"),
                Cell(_trend(row) if may else NOTHING),
                Cell(count(heard) if may else "few"),
                Cell(day(row["last_published_at"])),
            )
        )
    return Table(
        "Shows, most downloads in 28 days first",
        columns("Show", "90 days", "Downloads#", "Change#", "Listeners#", "Newest episode"),
        shown,
    )


def _trend(row: Row) -> str:
    from serving.pages.view.words import percent

    if not row["before"]:
        return NOTHING
    share = (row["downloads"] - row["before"]) / row["before"]
    return ("+" if share > 0 else "") + percent(share)


def _episodes(
    asks: Asks, given: Row, visible: frozenset[str] | None, owned: frozenset[str] | None, last: date
) -> Section | None:
    fewest = 1 if owned is None or visible == owned else FEWEST
    found = asks.rows(_EPISODES, {**given, "fewest": fewest})
    if not found:
        return None
    most = found[0]["downloads"]
    return Section(
        "episodes",
        "Most downloaded in 7 days",
        OURS,
        lead=span(last - timedelta(6), last) + ".",
        table=Table(
            "Episodes, most downloads first",
            columns("Episode", "Show", "Published", "Downloads#"),
            [
                (
                    Cell(row["title"], href=episode_href(row["episode_key"])),
                    Cell(row["show_title"], href=show_href(row["show_id"])),
                    Cell(day(row["published_at"])),
                    Cell(count(row["downloads"]), bar=row["downloads"] / most),
                )
                for row in found
            ],
        ),
        is_folded=False,
    )


def _sources(asks: Asks) -> Section:
    rows = asks.rows(_SOURCES, {})
    return Section(
        "sources",
        "Where the figures come from",
        SOURCES,
        lead="Seen only by who runs this installation.",
        table=Table(
            "Sources of log files",
            columns("Source", "Kind", "Files#", "Held back#", "Requests#", "Unreadable#", "Until"),
            [
                (
                    Cell(row["source"]),
                    Cell(source_words(row["source_class"]), note=row["formats"]),
                    Cell(count(row["files"])),
                    Cell(count(row["held_files"] + row["refused_files"])),
                    Cell(count(row["requests"])),
                    Cell(count(row["rejects"])),
                    Cell(day(row["last_event_at"])),
                )
                for row in rows
            ],
        ),
        is_folded=False,
    )


__all__ = ["LISTENER", "Overview", "page"]
