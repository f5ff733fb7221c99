"""The page of an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from serving.pages.charts import time
from serving.pages.charts.draw import drawing
from serving.pages.view import pacing, quality
from serving.pages.view.parts import DOWNLOAD, LISTENER, OURS, Cell, Figure, Key, Section, Table, columns
from serving.pages.view.sight import Asks, Row, Sight
from serving.pages.view.words import count, day, duration, epoch_ms, next_day, show_href, span

DAYS = 90  # shown of an episode's course
_HERE = """
    select episode_key, episode_id, show_id, episode_title, published_at, duration_s, enclosures, removed_at,
        is_in_catalog
    from dim_episodes
    where episode_key = $episode
"""
_DAILY = """
    select date, downloads, listeners
    from fct_episode_daily
    where episode_key = $episode and source_class = $class
    order by date
"""
_AGES = """
    select p.age_days, p.downloads, p.is_complete, p.ratio_to_show_median, p.rank_in_show,
        s.median_downloads, s.episodes
    from fct_episode_pacing as p
    left join fct_show_pacing as s using (show_id, source_class, age_days)
    where p.episode_key = $episode and p.source_class = $class
    order by p.age_days
"""
_LISTENERS = """
    select period_start, period_end, listeners
    from fct_episode_listeners
    where episode_key = $episode and source_class = $class and period = 'month'
    order by period_start desc
"""


@dataclass(frozen=True)
class EpisodePage:
    title: str
    show_title: str
    show_href: str
    about: str
    basis: str
    figures: Sequence[Figure]
    sections: Sequence[Section]


def found(asks: Asks, episode_key: int) -> Row | None:
    """The episode, if there is one of that key."""
    rows = asks.rows(_HERE, {"episode": episode_key})
    return rows[0] if rows else None


def page(asks: Asks, episode: Row, sight: Sight, show_title: str) -> EpisodePage:
    """Everything of an episode that the looker may see."""
    here = {"episode": episode["episode_key"], "class": sight.source_class}
    daily = asks.rows(_DAILY, here)
    ages = asks.rows(_AGES, here)
    title = episode["episode_title"] or episode["episode_id"]
    figures: list[Figure] = []
    sections: list[Section] = []
    if "downloads" in sight.subjects:
        figures += _figures(daily, ages, sight, asks.rows(_LISTENERS, here))
        sections.append(_course(episode, daily, sight))
    if "pacing" in sight.subjects:
        sections.append(_pacing(asks, episode, ages, sight))
    about = [f"published {day(episode['published_at'])}" if episode["published_at"] else "", _length(episode)]
    if episode["removed_at"]:
        about.append(f"taken out of the feed {day(episode['removed_at'])}")
    return EpisodePage(
        title,
        show_title,
        show_href(sight.show_id),
        ", ".join(part for part in about if part),
        quality.basis(sight),
        figures,
        sections,
    )


def _length(episode: Row) -> str:
    return f"{duration(episode['duration_s'])} long" if episode["duration_s"] else ""


def _figures(daily: list[Row], ages: list[Row], sight: Sight, months: list[Row]) -> list[Figure]:
    total = sum(row["downloads"] for row in daily)
    told: list[Figure] = []
    if daily and sight.may_tell(total):
        since = f"{day(daily[0]['date'])} to {day(sight.last)}"
        told.append(Figure("Downloads in all", count(total), since, DOWNLOAD))
    whole = [row for row in ages if row["is_complete"] and row["age_days"] in (1, 7, 30)]
    if "pacing" in sight.subjects:
        for row in whole:
            if not sight.may_tell(row["downloads"]):
                continue
            days = "day" if row["age_days"] == 1 else f"{row['age_days']} days"
            note = ""
            if row["median_downloads"] is not None and (row["episodes"] or 0) > 1:
                note = (
                    f"the show's median is {count(row['median_downloads'])}; rank {row['rank_in_show']} of "
                    f"{count(row['episodes'])}"
                )
            told.append(Figure(f"First {days}", count(row["downloads"]), note, OURS))
    if months and sight.may_tell(months[0]["listeners"]):
        told.append(
            Figure(
                f"Listeners in {months[0]['period_start']:%B}",
                count(months[0]["listeners"]),
                "distinct within the month",
                LISTENER,
            )
        )
    return told


def _course(episode: Row, daily: list[Row], sight: Sight) -> Section:
    title = "Downloads by day"
    if not daily:
        return Section("downloads", title, DOWNLOAD, nothing="Nothing of this episode was downloaded yet.")
    first: date = daily[0]["date"]
    last = min(sight.last, first + timedelta(DAYS - 1))
    told = {row["date"]: row for row in daily}
    rows = [
        told.get(one, {"date": one, "downloads": 0, "listeners": 0})
        for one in (first + timedelta(n) for n in range(max(1, (last - first).days + 1)))
    ]

    def said(row: Row) -> str:
        may = not row["downloads"] or sight.may_tell(row["listeners"])
        return count(row["downloads"]) if may else "few"

    later = sum(row["downloads"] for row in daily if row["date"] > rows[-1]["date"])
    return Section(
        "downloads",
        title,
        DOWNLOAD,
        lead=(
            f"{span(rows[0]['date'], rows[-1]['date'])}."
            + (f" {count(later)} more came later." if later and sight.may_tell(later) else "")
        ),
        chart=drawing(
            time.downloads,
            "Downloads of the episode by day; the table below has the figures",
            {
                "days": [
                    {
                        "at": epoch_ms(row["date"]),
                        "to": epoch_ms(next_day(row["date"])) - 4 * 3_600_000,
                        "value": row["downloads"] if sight.may_tell(row["listeners"]) else 0,
                        "told": f"{day(row['date'])}: {said(row)} downloads",
                    }
                    for row in rows
                ],
                "episodes": [],
            },
            bars=True,
        ),
        table=Table(
            "Downloads by day",
            columns("Day", "Downloads#"),
            [(Cell(day(row["date"])), Cell(said(row))) for row in rows],
        ),
    )


def _pacing(asks: Asks, episode: Row, ages: list[Row], sight: Sight) -> Section:
    lines = pacing.newest(asks, sight, episode["episode_key"])
    band = pacing.band(asks, sight)
    title = "Against the show's other episodes"
    if not lines or not band:
        why = "The data do not hold this episode's first days, so it cannot be compared."
        if episode["published_at"] and episode["published_at"].date() > sight.last:
            why = "It came out after the data end: there is nothing to compare yet."
        return Section("pacing", title, OURS, nothing=why)
    return Section(
        "pacing",
        title,
        OURS,
        lead=pacing.lead(lines[0]),
        chart=pacing.draw(band, lines),
        keys=(Key("line", "this episode"), *pacing.keys([])),
        table=pacing.table(band, lines),
    )
