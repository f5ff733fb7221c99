"""Who listens: distinct listeners, new and returning, and with what and where."""

from __future__ import annotations

from datetime import timedelta

from serving.pages.charts import time
from serving.pages.charts.draw import drawing
from serving.pages.view.downloads import AIR_MS
from serving.pages.view.parts import AGENTS, LISTENER, OURS, PLACE, Cell, Figure, Key, Rule, Section, Table
from serving.pages.view.parts import columns as columns_of
from serving.pages.view.quality import under_published
from serving.pages.view.sight import FEW, Row, Sight, days_of, tells
from serving.pages.view.words import count, day, epoch_ms, next_day, percent, span
from serving.reports.asking import Asks
from serving.reports.dimensions import Dimension, by_dimension
from serving.reports.listeners import Period, listeners
from serving.reports.suppression import LEAST

UNKNOWN = "unknown"
MOST = 10  # values of a breakdown that are shown; the rest is one row

_DIMENSIONS: tuple[tuple[Dimension, str, str, Rule], ...] = (
    (Dimension.APP, "Apps", "App", AGENTS),
    (Dimension.DEVICE_CATEGORY, "Devices", "Device", AGENTS),
    (Dimension.COUNTRY, "Countries", "Country", PLACE),
)


def figures(asks: Asks, sight: Sight) -> list[Figure]:
    """Listeners of the last 28 days, distinct over all of them, and how many were new: as far as open."""
    rows = listeners(sight.published.scope, Period.TRAILING_28, sight.last, sight.last).rows(asks)
    if not rows or not tells(rows[0]):
        return []
    [row] = rows
    when = span(row["period_start"], row["period_end"])
    is_whole = sight.began <= row["period_start"]
    note = f"distinct, {when}" + ("" if is_whole else f"; the data begin {day(sight.began)}")
    told = []
    if "downloads" in sight.subjects:
        told.append(Figure("Listeners in 28 days", count(row["listeners"]), note, LISTENER))
    if "audience" not in sight.subjects:
        return told
    new = row.get("new_listeners")  # strangers are told them by week alone; where the data begin everyone is
    if new is not None and is_whole and (sight.is_owner or _is_told(new, row["listeners"] - new)):
        note = f"{percent(new / row['listeners'])} of them: no download of the show before, as far as data go"
        told.append(Figure("New listeners in 28 days", count(new), note, OURS))
    return told


def section(asks: Asks, sight: Sight) -> Section:
    """New and returning listeners by ISO week, over a year by month."""
    period = Period.MONTH if sight.days > 200 and sight.is_owner else Period.WEEK
    found = listeners(sight.published.scope, period, sight.first, sight.last).rows(asks)
    rows = [row for row in found if row["period_end"] <= sight.last and _tells_both(row, sight)]
    empty = Section("listeners", "Listeners, new and returning", LISTENER)
    if not rows:
        why = f"No whole {period} lies in the days shown; choose more days."
        return Section(empty.anchor, empty.title, empty.rule, nothing=why)
    air = (1 if period is Period.WEEK else 4) * AIR_MS
    points: list[Row] = []
    for row in rows:
        at, to = epoch_ms(row["period_start"]), epoch_ms(next_day(row["period_end"])) - air
        back, new = row["returning_listeners"], row["new_listeners"]
        when = span(row["period_start"], row["period_end"])
        told = f"{when}: {count(row['listeners'])} listeners, {count(new)} new, {count(back)} returning"
        points.append({"at": at, "to": to, "low": 0, "high": back, "kind": "returning", "told": told})
        points.append({"at": at, "to": to, "low": back, "high": back + new, "kind": "new", "told": told})
    last = rows[-1]
    return Section(
        empty.anchor,
        empty.title,
        LISTENER,
        lead=(
            f"In the {period} to {day(last['period_end'])} there were {count(last['listeners'])} listeners: "
            f"{count(last['returning_listeners'])} had listened before, {count(last['new_listeners'])} were "
            f"new. Listeners are distinct within each {period}, so {period}s must not be added up."
        ),
        chart=drawing(
            time.listeners,
            f"Listeners by {period}, new and returning; the table below has the figures",
            {"periods": points},
            within_year=sight.days <= 366 and period is Period.WEEK,
            unit=str(period),
        ),
        keys=(Key("bar", "new"), Key("mid", "returning")),
        table=Table(
            f"Listeners by {period}, the newest first",
            columns_of(period.capitalize(), "Listeners#", "New#", "Returning#"),
            [
                (
                    Cell(span(row["period_start"], row["period_end"])),
                    Cell(count(row["listeners"])),
                    Cell(count(row["new_listeners"])),
                    Cell(count(row["returning_listeners"])),
                )
                for row in reversed(rows)
            ],
        ),
        notes=(
            *(() if sight.began <= sight.first - timedelta(60) else (_YOUNG,)),
            *under_published(sight),
        ),
    )


_YOUNG = "Where the data begin everyone is new: the first weeks show more new listeners than there were."


def _tells_both(row: Row, sight: Sight) -> bool:
    """Of a stranger's row neither part may be small: either could be told from the other."""
    parts = (row["new_listeners"], row["returning_listeners"])
    if None in parts:
        return False
    return tells(row) and (sight.is_owner or _is_told(*parts))


def _is_told(*parts: int) -> bool:
    return all(part >= LEAST for part in parts)


def breakdowns(asks: Asks, sight: Sight) -> Section:
    """Apps, devices and countries of the days shown, beside each other."""
    return Section(
        "apps",
        "Apps, devices and countries",
        AGENTS,
        lead=f"{span(*days_of(sight))}. Each of the three tables holds all downloads.",
        parts=tuple(_breakdown(asks, sight, *dimension) for dimension in _DIMENSIONS),
    )


def _breakdown(
    asks: Asks, sight: Sight, dimension: Dimension, title: str, heading: str, rule: Rule
) -> Section:
    found = by_dimension(sight.scope, dimension, None, *days_of(sight)).rows(asks)
    if all(row["value"] == UNKNOWN for row in found):
        nothing = (
            "Not known: no address database is installed."
            if dimension is Dimension.COUNTRY
            else f"No {heading.lower()} could be told."
        )
        return Section(str(dimension), title, rule, nothing=nothing)
    rows = [row for row in found if tells(row)]
    few = len(found) - len(rows)
    shown, rest = rows[:MOST], rows[MOST:]
    cells: list[tuple[Cell, ...]] = [
        _cells(named(dimension, row["value"]), row["downloads"], row["share"]) for row in shown
    ]
    if rest:
        cells.append(_cells(f"{len(rest)} more", _sum(rest, "downloads"), _sum(rest, "share")))
    if few:
        cells.append((Cell(f"{few} with few listeners"), Cell(FEW), Cell("")))
    return Section(
        str(dimension),
        title,
        rule,
        table=Table(f"Downloads by {heading.lower()}", columns_of(heading, "Downloads#", "Share#"), cells),
        is_folded=False,
    )


def _sum(rows: list[Row], name: str) -> float:
    return float(sum(row[name] for row in rows))


def _cells(words: str, downloads: float, share: float) -> tuple[Cell, Cell, Cell]:
    return Cell(words, bar=share), Cell(count(downloads)), Cell(percent(share))


def named(dimension: Dimension, value: str) -> str:
    """`smart_speaker` is `Smart speaker`; a country is its code, since no list of names is installed."""
    if value == UNKNOWN:
        return "Unknown"
    return value.replace("_", " ").capitalize() if dimension is Dimension.DEVICE_CATEGORY else value
