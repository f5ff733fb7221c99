"""Downloads of a show over time, with its episodes marked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from serving.pages.charts import time
from serving.pages.charts.draw import drawing
from serving.pages.view.parts import DOWNLOAD, Cell, Figure, Key, Section, Table, columns
from serving.pages.view.sight import FEW, Row, Sight, ask, tells
from serving.pages.view.words import change, count, day, epoch_ms, next_day, span
from serving.reports.asking import Asks
from serving.reports.downloads import downloads
from serving.reports.periods import By

BY_WEEK_FROM = 181  # days: beyond half a year a day is too thin to see
LARGE = 100_000  # from here on an axis tells thousands
SHORT = 15  # points: from here on a line shows more than bars
AIR_MS = 20 * 3_600_000  # between bars of weeks

_EPISODES = """
    select coalesce(episode_title, episode_id) as title, published_at
    from dim_episodes
    where show_id = $show and is_in_catalog and published_at >= $first
        and published_at < cast($last as date) + 1
    order by published_at
"""


def rows_of(asks: Asks, sight: Sight, by: By = By.DAY) -> list[Row]:
    """Rows of the report, one a day or week of those shown."""
    return downloads(sight.scope, by, sight.first, sight.last).rows(asks)


def figure(asks: Asks, sight: Sight) -> Figure:
    """Downloads of the days shown, and against as many days before where the data hold them."""
    now, is_all = total(rows_of(asks, sight))
    note = span(sight.first, sight.last)
    if sight.began <= sight.before.first:
        before, was_all = total(rows_of(asks, sight.before))
        if is_all and was_all:
            note += "; " + change(now, before, f"the {sight.days} days before")
    elif sight.began == sight.first:
        note += "; the data begin there"
    if not is_all:
        note += "; without days of few listeners"
    days = "one day" if sight.days == 1 else f"{sight.days} days"
    return Figure(f"Downloads in {days}", count(now), note, DOWNLOAD)


def total(rows: Sequence[Row]) -> tuple[int, bool]:
    """The downloads of rows that are told, and whether these are all."""
    return sum(row["downloads"] for row in rows if tells(row)), all(tells(row) for row in rows)


def section(asks: Asks, sight: Sight) -> Section:
    """The course of downloads, by day or, over long spans, by week."""
    by = By.WEEK if sight.days >= BY_WEEK_FROM else By.DAY
    told = {row["period_start"]: row for row in rows_of(asks, sight, by)}
    starts = _starts(sight, by)
    episodes = ask(asks, _EPISODES, sight.params)
    marks = [
        {"at": epoch_ms(one["published_at"]), "told": f"{day(one['published_at'])}: {one['title']}"}
        for one in episodes
    ]
    points = [_point(start, by, told.get(start), sight) for start in starts]
    is_bars = by is By.WEEK or len(points) < SHORT
    unit = str(by)
    if not points:
        return Section(
            "downloads", "Downloads over time", DOWNLOAD, nothing="No whole week lies in these days."
        )
    return Section(
        "downloads",
        "Downloads over time",
        DOWNLOAD,
        lead=_lead(list(told.values()), len(starts), unit, sight, len(episodes)),
        chart=drawing(
            time.downloads,
            f"Downloads by {unit}, {span(sight.first, sight.last)}; the table below has the figures",
            {"days": points, "episodes": marks},
            bars=is_bars,
            unit=unit,
            is_short=by is By.DAY and len(points) < SHORT,
            within_year=sight.days <= 366,
            is_large=max(point["value"] for point in points) >= LARGE,
        ),
        keys=(
            Key("bar" if is_bars else "line", f"downloads a {unit}"),
            *((Key("triangle", "an episode was published"),) if marks else ()),
        ),
        table=Table(
            f"Downloads by {unit}, the newest first",
            columns("Week from" if by is By.WEEK else "Day", "Downloads#", "Published"),
            [
                (
                    Cell(day(start)),
                    Cell(said(told.get(start), sight)),
                    Cell("; ".join(one["title"] for one in episodes if _falls(one, start, by))),
                )
                for start in reversed(starts)
            ],
        ),
    )


def said(row: Row | None, sight: Sight) -> str:
    """A figure, or that it is too small for strangers."""
    if row is not None and tells(row):
        return count(row["downloads"])
    return "0" if sight.is_owner else f"0 or {FEW}"


def _starts(sight: Sight, by: By) -> list[date]:
    """Days, or Mondays of the weeks that lie within whole."""
    dates = [sight.first + timedelta(n) for n in range(sight.days)]
    if by is By.DAY:
        return dates
    return [one for one in dates if one.weekday() == 0 and one + timedelta(6) <= sight.last]


def _lead(rows: Sequence[Row], of: int, unit: str, sight: Sight, episodes: int) -> str:
    rows = [row for row in rows if tells(row)]
    if not rows:
        return "Nothing was downloaded in these days." if sight.is_owner else ""
    peak = max(rows, key=lambda row: row["downloads"])
    average = sum(row["downloads"] for row in rows) / of
    published = {0: "No episode", 1: "One episode"}.get(episodes, f"{episodes} episodes")
    on = "on" if unit == "day" else "in the week from"
    text = f"On average {count(average)} a {unit}; " if sight.is_owner else ""
    most = f"the most, {count(peak['downloads'])}, {on} {day(peak['period_start'])}."
    return f"{text}{most if text else most[:1].upper() + most[1:]} {published} came out."


def _point(start: date, by: By, row: Row | None, sight: Sight) -> Row:
    last = start + timedelta(6) if by is By.WEEK else start
    when = span(start, last) if by is By.WEEK else day(start)
    to = epoch_ms(next_day(last)) - (AIR_MS if by is By.WEEK else AIR_MS // 6)
    value = row["downloads"] if row is not None and tells(row) else 0
    return {"at": epoch_ms(start), "to": to, "value": value, "told": f"{when}: {said(row, sight)} downloads"}


def _falls(episode: Row, start: date, by: By) -> bool:
    out: date = episode["published_at"].date()
    return 0 <= (out - start).days < (7 if by is By.WEEK else 1)
