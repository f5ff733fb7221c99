"""The first page: all shows that the looker may see, and how they do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from serving.pages.charts import time
from serving.pages.charts.draw import drawing, svg
from serving.pages.view.downloads import LARGE, SHORT
from serving.pages.view.parts import DOWNLOAD, EPISODE, SOURCES, Cell, Figure, Key, Section, Table, columns
from serving.pages.view.sight import FEW, Row, ask
from serving.pages.view.words import (
    NOTHING,
    change,
    count,
    day,
    episode_href,
    epoch_ms,
    next_day,
    percent,
    show_href,
    source_words,
    span,
)  # fmt: skip
from serving.reports.asking import Asks
from serving.reports.shows import Show, Shows
from serving.reports.suppression import LEAST
from serving.reports.told import Told

PER_PAGE = 25
SPARK = 112  # pixels
SPARK_DAYS = 90
_LEAST_DAYS = 4  # with downloads: fewer make no line

# Of each show the source class that its own page shows by default: classes are never added up.
_MAIN = """
    with main as (
        select unnest($shows::varchar[]) as show_id, unnest($classes::varchar[]) as source_class
    )
"""
_RECENT = f"""{_MAIN}
    select show_id,
        cast(coalesce(sum(downloads) filter (date > $last::date - 28), 0) as bigint) as downloads,
        cast(coalesce(sum(downloads) filter (date <= $last::date - 28), 0) as bigint) as before
    from fct_show_daily
    join main using (show_id, source_class)
    where date > $last::date - 56 and date <= $last
    group by show_id
"""
_LISTENERS = f"""{_MAIN}
    select show_id, listeners
    from fct_show_listeners
    join main using (show_id, source_class)
    where period = 'trailing_28' and period_end = $last
"""
_DAILY = f"""{_MAIN}
    select date, cast(sum(downloads) as bigint) as downloads
    from fct_show_daily
    join main using (show_id, source_class)
    where date > $last::date - 90 and date <= $last
    group by date
    order by date
"""
_SPARKS = f"""{_MAIN}
    select show_id, date, downloads
    from fct_show_daily
    join main using (show_id, source_class)
    where date > $last::date - {SPARK_DAYS} and date <= $last
"""
_EPISODES = f"""{_MAIN}
    select d.episode_key, coalesce(e.episode_title, e.episode_id) as title, e.published_at, d.show_id,
        cast(sum(d.downloads) as bigint) as downloads, max(d.listeners) as listeners
    from fct_episode_daily as d
    join main using (show_id, source_class)
    join dim_episodes as e using (episode_key)
    where d.date > $last::date - 7 and d.date <= $last and e.is_in_catalog
    group by all
    order by downloads desc, title
    limit 30
"""
_SOURCES = "select * from dim_sources order by source, source_class"


@dataclass(frozen=True)
class Overview:
    figures: Sequence[Figure]
    sections: Sequence[Section]
    shows: Table | None
    shown: str  # which of how many
    newer: str | None  # addresses of the lists beside
    older: str | None
    query: str


@dataclass(frozen=True)
class Looker:
    """Of which shows somebody may read figures, and of which small ones, too; None: of all."""

    visible: Collection[str] | None
    owned: Collection[str] | None
    is_operator: bool

    def sees(self, show_id: str) -> bool:
        return self.visible is None or show_id in self.visible

    def owns(self, show_id: str) -> bool:
        return self.owned is None or show_id in self.owned


def page(asks: Asks, shows: Shows, looker: Looker, number: int, query: str) -> Overview:
    """number: of the list's page, from 1. query: part of a title."""
    seen = [show for show in shows.by_id.values() if looker.sees(show.show_id)]
    words = query.casefold().strip()
    chosen = [show for show in seen if words in (show.title or show.show_id).casefold()]
    last = max((end for _, end in shows.ends.values()), default=None)
    if last is None:
        return Overview([], [], None, "", None, None, query)
    last -= timedelta(1)  # it has not ended yet
    recent = {row["show_id"]: row for row in ask(asks, _RECENT, {**_of(chosen), "last": last})}
    # Where a show of somebody else's stands is not to tell its figures.
    chosen.sort(
        key=lambda show: (
            -_figure(recent, show, "downloads") if looker.owns(show.show_id) else 0,
            show.title or show.show_id,
        )
    )
    start = (number - 1) * PER_PAGE
    listed = chosen[start : start + PER_PAGE]
    figures: list[Figure] = []
    sections: list[Section | None] = []
    if number == 1 and not words and seen:
        # A sum that holds a show of somebody else's tells its small days, too.
        owns_all = all(looker.owns(show.show_id) for show in chosen)
        figures = _figures(chosen, recent, last, owns_all)
        course = _course(asks, chosen, last) if owns_all else None
        sections = [course, _episodes(asks, chosen, looker, last)]
        sections += [_sources(asks)] if looker.is_operator else []
    return Overview(
        figures,
        [section for section in sections if section],
        _table(asks, listed, recent, looker, last) if listed else None,
        f"{count(start + 1)} to {count(start + len(listed))} of {count(len(chosen))}" if listed else "",
        href("/", number - 1, query) if number > 1 else None,
        href("/", number + 1, query) if start + PER_PAGE < len(chosen) else None,
        query,
    )


def href(path: str, number: int, query: str) -> str:
    """The address of one page of a list."""
    asked = {name: value for name, value in (("q", query), ("page", number)) if value not in ("", 1)}
    return f"{path}?{urlencode(asked)}" if asked else path


def _of(shows: Sequence[Show]) -> Row:
    heard = [show for show in shows if show.seen]
    return {
        "shows": [show.show_id for show in heard],
        "classes": [str(show.main_class) for show in heard],
    }


def _figure(recent: Mapping[str, Row], show: Show, name: str) -> int:
    return int(recent[show.show_id][name]) if show.show_id in recent else 0


def _figures(
    shows: Sequence[Show], recent: Mapping[str, Row], last: date, with_downloads: bool
) -> list[Figure]:
    in_catalogue = Figure(
        "Episodes", count(sum(show.episodes for show in shows)), "in the catalogue", EPISODE
    )
    if not with_downloads:
        return [Figure("Shows", count(len(shows)), "that you may see", EPISODE), in_catalogue]
    total = sum(row["downloads"] for row in recent.values())
    before = sum(row["before"] for row in recent.values())
    fresh = sum(1 for show in shows if show.seen and show.seen[show.main_class].first > last - timedelta(55))
    heard = sum(1 for row in recent.values() if row["downloads"])
    note = span(last - timedelta(27), last)
    if fresh:
        began = "one show" if fresh == 1 else f"{count(fresh)} shows"
        note += f"; {began} began less than 56 days ago, so there is no comparison"
    elif before:
        note += f"; {change(total, before, 'the 28 days before')}"
    return [
        Figure("Shows", count(len(shows)), f"{count(heard)} were downloaded in the last 28 days", EPISODE),
        Figure("Downloads in 28 days", count(total), note, DOWNLOAD),
        in_catalogue,
    ]


def _course(asks: Asks, shows: Sequence[Show], last: date) -> Section | None:
    told = {row["date"]: row["downloads"] for row in ask(asks, _DAILY, {**_of(shows), "last": last})}
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
    is_bars = len(points) < SHORT
    return Section(
        "downloads",
        "Downloads of all these shows",
        DOWNLOAD,
        lead="Of each show the source that its page shows first; the same listening is counted once.",
        chart=drawing(
            time.downloads,
            f"Downloads by day, {span(first, last)}; the table below has the figures",
            {"days": points, "episodes": []},
            bars=is_bars,
            is_short=len(points) < SHORT,
            is_large=max(told.values()) >= LARGE,
        ),
        keys=(Key("bar" if is_bars else "line", "downloads a day"),),
        table=Table(
            "Downloads by day, the newest first",
            columns("Day", "Downloads#"),
            [(Cell(day(one)), Cell(count(told.get(one, 0)))) for one in reversed(dates)],
        ),
    )


def _table(
    asks: Asks, listed: Sequence[Show], recent: Mapping[str, Row], looker: Looker, last: date
) -> Table:
    given = {**_of(listed), "last": last}
    listeners = {row["show_id"]: row["listeners"] for row in ask(asks, _LISTENERS, given)}
    courses: dict[str, dict[date, int]] = {}
    for row in ask(asks, _SPARKS, given):
        courses.setdefault(row["show_id"], {})[row["date"]] = row["downloads"]
    rows = []
    for show in listed:
        heard = listeners.get(show.show_id)
        # A course has every day in it, and a change tells the days before: for owners.
        is_own = looker.owns(show.show_id)
        line = _line(courses.get(show.show_id, {}), last, show.title or show.show_id) if is_own else None
        now, before = (_figure(recent, show, name) for name in ("downloads", "before"))
        told = now if is_own else _told(asks, show, last)
        may = is_own or (told is not None and (heard or 0) >= LEAST)
        rows.append(
            (
                Cell(show.title or show.show_id, href=show_href(show.show_id)),
                Cell("", chart=line),
                Cell(count(told or 0) if may else FEW),
                Cell(_trend(now, before) if is_own else NOTHING),
                Cell(count(heard) if may else FEW),
                Cell(day(show.last_published_at)),
            )
        )
    return Table(
        "Shows, most downloads in 28 days first",
        columns("Show", "Last 90 days…", "Downloads#", "Change#", "Listeners#", "Newest episode"),
        rows,
    )


def _told(asks: Asks, show: Show, last: date) -> int | None:
    """Downloads of 28 days of a show of somebody else's: as its headlines tell them."""
    told = Told.of(asks, {"show": show.show_id, "class": str(show.main_class)})
    return told.total(last - timedelta(27), last)


def _line(told: Mapping[date, int], last: date, title: str) -> str | None:
    if len(told) < _LEAST_DAYS:
        return None
    dates = [last - timedelta(n) for n in reversed(range(SPARK_DAYS))]
    points = [{"at": epoch_ms(one), "value": told.get(one, 0)} for one in dates]
    return svg(time.spark, SPARK, f"Course of {title}", {"days": points})


def _trend(now: int, before: int) -> str:
    if not before:
        return NOTHING
    return ("+" if now > before else "") + percent((now - before) / before)


def _episodes(asks: Asks, shows: Sequence[Show], looker: Looker, last: date) -> Section | None:
    found = [
        row
        for row in ask(asks, _EPISODES, {**_of(shows), "last": last})
        if looker.owns(row["show_id"])  # others are told no episode by days (0028)
    ][:10]
    if not found:
        return None
    titles = {show.show_id: show.title or show.show_id for show in shows}
    return Section(
        "episodes",
        "Most downloaded in 7 days",
        DOWNLOAD,
        lead=span(last - timedelta(6), last) + ".",
        table=Table(
            "Episodes, most downloads first",
            columns("Episode", "Show", "Published", "Downloads#"),
            [
                (
                    Cell(row["title"], href=episode_href(row["episode_key"])),
                    Cell(titles[row["show_id"]], href=show_href(row["show_id"])),
                    Cell(day(row["published_at"])),
                    Cell(count(row["downloads"]), bar=row["downloads"] / found[0]["downloads"]),
                )
                for row in found
            ],
        ),
        is_folded=False,
    )


def _sources(asks: Asks) -> Section:
    return Section(
        "sources",
        "Where the figures come from",
        SOURCES,
        lead="Shown to who runs this installation only.",
        table=Table(
            "Sources of log files",
            columns(
                "Source", "Kind", "Files#", "Files held back#", "Requests#", "Unreadable lines#", "Until"
            ),
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
                for row in ask(asks, _SOURCES, {})
            ],
        ),
        is_folded=False,
    )
