"""Who listens: distinct listeners, new and returning, and with what and where."""

from __future__ import annotations

from datetime import timedelta

from serving.pages.charts import time
from serving.pages.charts.draw import drawing
from serving.pages.view.parts import AGENTS, LISTENER, OURS, PLACE, Cell, Figure, Key, Rule, Section, Table
from serving.pages.view.parts import columns as columns_of
from serving.pages.view.sight import Asks, Row, Sight
from serving.pages.view.words import count, day, epoch_ms, next_day, percent, span

MOST = 10  # values of a breakdown that are shown; the rest is one row

_TRAILING = """
    select *
    from fct_show_listeners
    where show_id = $show and source_class = $class and period = 'trailing_28' and period_end <= $last
    order by period_end desc
    limit 1
"""
_PERIODS = """
    select period_start, period_end, listeners, new_listeners, returning_listeners, is_complete
    from fct_show_listeners
    where show_id = $show and source_class = $class and period = $period
        and period_start >= $first and period_end <= $last
    order by period_start
"""
_BREAKDOWN = """
    select value, downloads, listeners, period_start, period_end
    from fct_show_dimensions
    where show_id = $show and source_class = $class and dimension = $dimension and period = 'trailing_28'
    qualify period_end = coalesce(
        max(period_end) filter (period_end <= $last) over (), max(period_end) over ()
    )
    order by downloads desc, value
"""
_DIMENSIONS: tuple[tuple[str, str, str, Rule], ...] = (
    ("app", "Apps", "App", AGENTS),
    ("device_category", "Devices", "Device", AGENTS),
    ("country", "Countries", "Country", PLACE),
)


def figures(asks: Asks, sight: Sight) -> list[Figure]:
    """Listeners of the last 28 days, distinct over all of them, and how many were new."""
    found = asks.rows(_TRAILING, sight.params)
    if not found or not sight.may_tell(found[0]["listeners"]):
        return []
    [row] = found
    when = span(row["period_start"], row["period_end"])
    told = [Figure("Listeners in 28 days", count(row["listeners"]), f"distinct, {when}", LISTENER)]
    if row["new_listeners"] is not None and sight.may_tell(row["new_listeners"]):
        share = row["new_listeners"] / row["listeners"]
        told.append(
            Figure(
                "New listeners in 28 days",
                count(row["new_listeners"]),
                f"{percent(share)} of them had no download of the show before, as far as the data go",
                OURS,
            )
        )
    return told


def section(asks: Asks, sight: Sight) -> Section:
    """New and returning listeners by ISO week, over a year by month."""
    period = "month" if sight.days > 200 else "week"
    found = asks.rows(_PERIODS, {**sight.params, "period": period})
    rows = [row for row in found if row["new_listeners"] is not None and sight.may_tell(row["listeners"])]
    empty = Section("listeners", "Listeners, new and returning", LISTENER)
    if not rows:
        why = f"No whole {period} lies in the days shown; choose more days."
        return Section(empty.anchor, empty.title, empty.rule, nothing=why)
    air = (1 if period == "week" else 4) * 20 * 3_600_000
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
            within_year=sight.days <= 366 and period == "week",
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
        notes=() if _is_old_enough(asks, sight) else (_YOUNG,),
    )


_YOUNG = "Where the data begin everyone is new: the first weeks show more new listeners than there were."


def _is_old_enough(asks: Asks, sight: Sight) -> bool:
    [row] = asks.rows(
        "select min(date) as first from fct_show_daily where show_id = $show and source_class = $class",
        {"show": sight.show_id, "class": sight.source_class},
    )
    return bool(row["first"] and row["first"] <= sight.first - timedelta(60))


def breakdowns(asks: Asks, sight: Sight) -> Section:
    """Apps, devices and countries of the last 28 days, beside each other."""
    parts = [_breakdown(asks, sight, *dimension) for dimension in _DIMENSIONS]
    return Section(
        "apps",
        "Apps, devices and countries",
        AGENTS,
        lead=next((part.lead for part in parts if part.lead), ""),
        parts=tuple(parts),
    )


def _breakdown(asks: Asks, sight: Sight, dimension: str, title: str, heading: str, rule: Rule) -> Section:
    found = asks.rows(_BREAKDOWN, {**sight.params, "dimension": dimension})
    total = sum(row["downloads"] for row in found)
    known = [row for row in found if row["value"] != "unknown"]
    if not known:
        nothing = (
            "No address database is installed, so countries are not known."
            if dimension == "country"
            else f"No {heading.lower()} could be told."
        )
        return Section(dimension, title, rule, nothing=nothing)
    rows = sight.few_together(found, "with few listeners, together")
    shown, rest = rows[:MOST], rows[MOST:]
    if rest:
        shown.append(
            {
                "value": f"{len(rest)} more",
                "downloads": sum(row["downloads"] for row in rest),
                "listeners": None,
            }
        )
    top = known[0]
    return Section(
        dimension,
        title,
        rule,
        lead=(
            f"Of the {count(total)} downloads {span(top['period_start'], top['period_end'])}. Each of the "
            "three tables holds all of them."
        ),
        table=Table(
            f"Downloads by {heading.lower()}",
            columns_of(heading, "Downloads#", "Share#"),
            [
                (
                    Cell(named(dimension, row["value"]), bar=row["downloads"] / total),
                    Cell(count(row["downloads"])),
                    Cell(percent(row["downloads"] / total)),
                )
                for row in shown
            ],
        ),
        is_folded=False,
    )


def named(dimension: str, value: str) -> str:
    """`smart_speaker` is `Smart speaker`; a country its code, since no list of names is installed."""
    if value == "unknown":
        return "Unknown"
    return value.replace("_", " ").capitalize() if dimension == "device_category" else value
