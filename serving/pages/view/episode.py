"""The page of an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from serving.pages.charts import time
from serving.pages.charts.draw import drawing
from serving.pages.view import choices, pacing, quality
from serving.pages.view.choices import Choice
from serving.pages.view.downloads import LARGE, SHORT, said, total
from serving.pages.view.parts import (
    DOWNLOAD,
    EXCLUSION,
    LISTENER,
    OURS,
    Cell,
    Figure,
    Key,
    Link,
    Section,
    Table,
    columns,
)  # fmt: skip
from serving.pages.view.sight import Row, Sight, ask, tells
from serving.pages.view.words import (
    NBSP,
    count,
    day,
    duration,
    episode_href,
    epoch_ms,
    next_day,
    show_href,
    span,
)  # fmt: skip
from serving.reports.asking import Asks
from serving.reports.downloads import Episode, downloads
from serving.reports.episodes import MOST, top_episodes
from serving.reports.listeners import Period, listeners
from serving.reports.periods import By

DAYS = 30  # drawn of an episode's course
_HERE = """
    select episode_key, episode_id, show_id, episode_title, published_at, duration_s, removed_at
    from dim_episodes
    where episode_key = $episode and show_id is not null
"""


@dataclass(frozen=True)
class EpisodePage:
    title: str
    show_title: str
    show_href: str
    about: str
    basis: str
    classes: Sequence[Choice]
    windows: Sequence[Choice]
    figures: Sequence[Figure]
    sections: Sequence[Section]


def found(asks: Asks, episode_key: int) -> Row | None:
    """The episode of a show, if there is one of that key."""
    rows = ask(asks, _HERE, {"episode": episode_key})
    return rows[0] if rows else None


def page(asks: Asks, row: Row, sight: Sight, show_title: str) -> EpisodePage:
    """Everything of an episode that the looker may see."""
    of = Episode(
        *(row[name] for name in ("episode_key", "episode_id", "episode_title", "published_at", "duration_s"))
    )
    here = episode_href(of.episode_key)
    figures: list[Figure] = []
    sections: list[Section] = []
    if "downloads" in sight.subjects:
        # From the first date of the data on: a prefix may see an episode before it is published.
        if sight.is_owner:
            daily = downloads(sight.scope, By.DAY, _since(of, sight), sight.last, None, of).rows(asks)
            figures += _in_all(daily, sight)
            sections.append(_course(daily, sight))
        else:
            figures += _so_far(asks, of, sight)
    if "pacing" in sight.subjects:
        lines = pacing.courses(asks, sight, of)
        figures += _first_days(lines)
        sections.append(_pacing(asks, of, lines, sight))
    if "downloads" in sight.subjects and sight.is_owner:
        figures += _heard(asks, of, sight)
    if "downloads" in sight.subjects:
        sections.append(_left_out(sight))
    about = [
        f"published {day(of.published_at)}" if of.published_at else "",
        f"{duration(of.duration_s)} long" if of.duration_s else "",
        f"taken out of the feed {day(row['removed_at'])}" if row["removed_at"] else "",
    ]
    return EpisodePage(
        of.title or of.episode_id,
        show_title,
        sight.address(show_href(sight.show_id)),
        ", ".join(part for part in about if part),
        quality.basis(sight),
        choices.classes(sight, here),
        choices.windows(sight, here),
        figures,
        sections,
    )


def _since(of: Episode, sight: Sight) -> date:
    """Where its course begins; at most two years are asked for at once."""
    return max(min(of.since or sight.began, sight.last), sight.began, sight.last - timedelta(730))


def _so_far(asks: Asks, of: Episode, sight: Sight) -> list[Figure]:
    """For strangers, who are told no episode by days (decision 0028)."""
    rows = [
        row for row in top_episodes(sight.scope, most=MOST).rows(asks) if row["episode_id"] == of.episode_id
    ]
    if not rows or not tells(rows[0]):
        return []
    note = f"since the data begin, {day(sight.began)}"
    return [Figure("Downloads in all", count(rows[0]["downloads"]), note, DOWNLOAD)]


def _in_all(daily: Sequence[Row], sight: Sight) -> list[Figure]:
    if not daily:
        return []
    told, _ = total(daily)
    note = f"{span(daily[0]['period_start'], sight.last)}; the data begin {day(sight.began)}"
    return [Figure("Downloads in all", count(told), note, DOWNLOAD)]


def _first_days(lines: Sequence[list[Row]]) -> list[Figure]:
    told = []
    for row in lines[0] if lines else []:
        if row["age_days"] not in (1, 7, 30):
            continue
        days = "day" if row["age_days"] == 1 else f"{row['age_days']} days"
        note = "the only episode with so many days"
        if (row["episodes"] or 0) > 1:
            note = (
                f"a typical episode of the show had {count(row['median_downloads'])}; this is number "
                f"{row['rank_in_show']} of {count(row['episodes'])}"
            )
        told.append(Figure(f"First {days}", count(row["downloads"]), note, OURS))
    return told


def _left_out(sight: Sight) -> Section:
    """No mart tells reasons by episode."""
    return Section(
        "exclusions",
        "Why not counted",
        EXCLUSION,
        lead="Reasons why requests were not counted are told for all episodes of the show together.",
        more=Link(
            "Why requests of the show were not counted",
            f"{sight.address(show_href(sight.show_id))}#exclusions",
        ),
    )


def _heard(asks: Asks, of: Episode, sight: Sight) -> list[Figure]:
    rows = listeners(sight.published.scope, Period.MONTH, None, None, of).rows(asks)
    best = max((row for row in rows if tells(row)), key=lambda row: row["listeners"], default=None)
    if best is None:
        return []
    month = f"{best['period_start']:%B}{NBSP}{best['period_start'].year}"
    return [Figure(f"Listeners in {month}", count(best["listeners"]), "distinct in its best month", LISTENER)]


def _course(daily: Sequence[Row], sight: Sight) -> Section:
    title = "Downloads by day"
    if not daily:
        return Section("downloads", title, DOWNLOAD, nothing="Nothing of this episode was downloaded yet.")
    first: date = daily[0]["period_start"]
    last = min(sight.last, first + timedelta(DAYS - 1))
    told = {row["period_start"]: row for row in daily}
    dates = [first + timedelta(n) for n in range((last - first).days + 1)]
    later, _ = total([row for row in daily if row["period_start"] > last])
    values = [told[one]["downloads"] if one in told and tells(told[one]) else 0 for one in dates]
    return Section(
        "downloads",
        title,
        DOWNLOAD,
        lead=span(first, last) + (f"; {count(later)} more came later." if later and sight.is_owner else "."),
        chart=drawing(
            time.downloads,
            "Downloads of the episode by day; the table below has the figures",
            {
                "days": [
                    {
                        "at": epoch_ms(one),
                        "to": epoch_ms(next_day(one)) - 4 * 3_600_000,
                        "value": value,
                        "told": f"{day(one)}: {said(told.get(one), sight)} downloads",
                    }
                    for one, value in zip(dates, values, strict=True)
                ],
                "episodes": [],
            },
            bars=True,
            is_short=len(dates) < SHORT,
            is_large=max(values) >= LARGE,
        ),
        keys=(Key("bar", "downloads a day"),),
        table=Table(
            "Downloads by day",
            columns("Day", "Downloads#"),
            [(Cell(day(one)), Cell(said(told.get(one), sight))) for one in dates],
        ),
    )


def _pacing(asks: Asks, of: Episode, lines: Sequence[list[Row]], sight: Sight) -> Section:
    quartiles = pacing.band(asks, sight)
    title = "Against the show's other episodes"
    line = [row for row in lines[0] if row["age_days"] <= pacing.DAYS] if lines else []
    if not line or not quartiles:
        why = (
            "This episode's first days are not over yet, or began before the data do: it cannot be compared."
        )
        if of.published_at and of.published_at.date() > sight.last:
            why = "It came out after the data end: there is nothing to compare yet."
        return Section("pacing", title, OURS, nothing=why)
    return Section(
        "pacing",
        title,
        OURS,
        lead=pacing.lead(line),
        chart=pacing.draw(quartiles, [line]),
        keys=(Key("line", "this episode"), *pacing.BAND_KEYS),
        table=pacing.table(quartiles, [line]),
        notes=quality.under_published(sight),
    )
