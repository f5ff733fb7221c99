"""Downloads of a show over time, with its episodes marked."""

from __future__ import annotations

from datetime import date, timedelta

from serving.pages.charts import time
from serving.pages.charts.draw import drawing
from serving.pages.view.parts import DOWNLOAD, Cell, Figure, Key, Section, Table, columns
from serving.pages.view.sight import Asks, Row, Sight
from serving.pages.view.words import change, count, day, epoch_ms, next_day, short_day, span

BY_WEEK_FROM = 181  # days: beyond half a year a day is too thin to see
LARGE = 100_000  # from here on an axis tells thousands

_DAILY = """
    select date, downloads, listeners
    from fct_show_daily
    where show_id = $show and source_class = $class and date between $first and $last
    order by date
"""
_SUM = """
    select coalesce(sum(downloads), 0) as downloads, min(date) as first
    from fct_show_daily
    where show_id = $show and source_class = $class and date between $first and $last
"""
_EPISODES = """
    select episode_key, coalesce(episode_title, episode_id) as title, published_at
    from dim_episodes
    where show_id = $show and is_in_catalog and published_at >= $first and published_at < $last::date + 1
    order by published_at
"""
_BEGAN = """
    select min(date) as first
    from fct_show_daily
    where show_id = $show and source_class = $class
"""


def figure(asks: Asks, sight: Sight) -> Figure:
    """Downloads of the days shown, and against as many days before where the data hold them."""
    [now] = asks.rows(_SUM, sight.params)
    [before] = asks.rows(_SUM, sight.before.params)
    [began] = asks.rows(_BEGAN, {"show": sight.show_id, "class": sight.source_class})
    is_known = began["first"] is not None and began["first"] <= sight.before.first
    note = span(sight.first, sight.last)
    if is_known:
        note += "; " + change(now["downloads"], before["downloads"], f"the {sight.days} days before")
    return Figure(f"Downloads in {sight.days} days", count(now["downloads"]), note, DOWNLOAD)


def section(asks: Asks, sight: Sight) -> Section:
    """The course of downloads, by day or, over long spans, by week."""
    daily = asks.rows(_DAILY, sight.params)
    episodes = asks.rows(_EPISODES, sight.params)
    told = {row["date"]: row for row in daily}
    dates = [sight.first + timedelta(n) for n in range(sight.days)]
    rows = [
        {
            "date": one,
            "downloads": told[one]["downloads"] if one in told else 0,
            "listeners": told[one]["listeners"] if one in told else 0,
        }
        for one in dates
    ]
    by_week = sight.days >= BY_WEEK_FROM
    shown = _weeks(rows) if by_week else rows
    points = [_point(row, by_week, sight) for row in shown]
    marks = [
        {
            "at": epoch_ms(episode["published_at"]),
            "told": f"{day(episode['published_at'])}: {episode['title']} published",
        }
        for episode in episodes
    ]
    peak = max(rows, key=lambda row: row["downloads"])
    unit = "week" if by_week else "day"
    return Section(
        "downloads",
        "Downloads over time",
        DOWNLOAD,
        lead=_lead(rows, peak, episodes),
        chart=drawing(
            time.downloads,
            f"Downloads by {unit}, {span(sight.first, sight.last)}; the table below has the figures",
            {"days": points, "episodes": marks},
            bars=by_week,
            within_year=sight.days <= 366,
            is_large=max(point["value"] for point in points) >= LARGE,
        ),
        keys=(Key("line", f"downloads a {unit}"), Key("triangle", "an episode was published")),
        table=Table(
            f"Downloads by {unit}, the newest first",
            columns("Week from" if by_week else "Day", "Downloads#", "Published"),
            [
                (
                    Cell(day(row["date"])),
                    Cell(_told(row, sight)),
                    Cell("; ".join(e["title"] for e in episodes if _falls(e, row["date"], by_week))),
                )
                for row in reversed(shown)
            ],
        ),
    )


def _lead(rows: list[Row], peak: Row, episodes: list[Row]) -> str:
    average = sum(row["downloads"] for row in rows) / len(rows)
    if not peak["downloads"]:
        return "Nothing was downloaded in these days."
    published = {0: "no episode", 1: "one episode"}.get(len(episodes), f"{len(episodes)} episodes")
    return (
        f"On average {count(average)} a day; the most, {count(peak['downloads'])}, on "
        f"{day(peak['date'])}. In these days {published} came out."
    )


def _weeks(rows: list[Row]) -> list[Row]:
    """Whole ISO weeks; what is cut at either end is left out."""
    weeks: dict[date, list[Row]] = {}
    for row in rows:
        weeks.setdefault(row["date"] - timedelta(row["date"].weekday()), []).append(row)
    return [
        {
            "date": monday,
            "downloads": sum(row["downloads"] for row in of),
            "listeners": max(row["listeners"] for row in of),
        }
        for monday, of in weeks.items()
        if len(of) == 7
    ]


def _point(row: Row, by_week: bool, sight: Sight) -> Row:
    last = row["date"] + timedelta(6) if by_week else row["date"]
    when = span(row["date"], last) if by_week else day(row["date"])
    start, end = epoch_ms(row["date"]), epoch_ms(next_day(last))
    if by_week:  # a little air between bars
        end -= 20 * 3_600_000
    value = row["downloads"] if sight.may_tell(row["listeners"]) else 0
    return {"at": start, "to": end, "value": value, "told": f"{when}: {_told(row, sight)} downloads"}


def _told(row: Row, sight: Sight) -> str:
    if row["downloads"] and not sight.may_tell(row["listeners"]):
        return "few"
    return count(row["downloads"])


def _falls(episode: Row, first: date, by_week: bool) -> bool:
    return 0 <= (episode["published_at"].date() - first).days < (7 if by_week else 1)


def sparks(asks: Asks, show_ids: list[str], classes: dict[str, str], last: date) -> dict[str, list[Row]]:
    """Show → its downloads on each of 90 dates, for a small line."""
    first = last - timedelta(89)
    found = asks.rows(
        """
        select show_id, source_class, date, downloads
        from fct_show_daily
        where show_id in (select unnest($shows)) and date between $first and $last
        """,
        {"shows": show_ids, "first": first, "last": last},
    )
    told = {
        (row["show_id"], row["date"]): row["downloads"]
        for row in found
        if classes.get(row["show_id"]) == row["source_class"]
    }
    return {
        show_id: [
            {"at": epoch_ms(one), "value": told.get((show_id, one), 0)}
            for one in (first + timedelta(n) for n in range(90))
        ]
        for show_id in show_ids
    }


__all__ = ["figure", "section", "short_day", "sparks"]
