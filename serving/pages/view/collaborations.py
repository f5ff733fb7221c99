"""What collaborations brought a show: each with its interval on one scale, in the words of the report."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from serving.attribution import marts
from serving.attribution.answer import collaboration_of
from serving.attribution.headline import headline, in_short
from serving.attribution.model import Answer
from serving.attribution.terms import Estimate
from serving.attribution.told import answer_of
from serving.pages.charts import intervals
from serving.pages.charts.draw import svg
from serving.pages.view.parts import PACE, Cell, Key, Section, Table, columns
from serving.pages.view.sight import Row, Sight
from serving.pages.view.words import count, day
from serving.reports.asking import Asks

WIDTH = 190  # pixels of an interval in its row


def lifts(asks: Asks, show_id: str) -> list[Row]:
    """All rows of a show, the newest first."""
    return marts.lifts(asks, "show_id = $show", {"show": show_id})


def section(asks: Asks, sight: Sight) -> Section:
    """One row a collaboration, the newest first."""
    rows = lifts(asks, sight.show_id)
    title = "What collaborations brought"
    if not rows:
        return Section(
            "collaborations",
            title,
            PACE,
            nothing="No collaboration of this show is recorded. Once guest swaps, promo swaps and feed drops "
            "are, the new listeners they bring are measured.",
        )
    told = [answer_of(row, [other for other in rows if other is not row]) for row in rows]
    low, high = bounds([*zip(rows, told, strict=True)])
    shown = []
    for row, answer in zip(rows, told, strict=True):
        of = collaboration_of(row)
        words = headline(of, answer, row["as_of"])
        shown.append(
            (
                Cell(of.partner, href=f"/collaborations/{of.collaboration_id}", note=_kind(of.type)),
                Cell(day(of.starts_at)),
                Cell(in_short(answer), chart=drawn(row, answer.shown, low, high, words[0])),
                Cell(words[0], note=" ".join(words[1:])),
            )
        )
    zero = {"zero": [{"value": 0}]}
    scale = svg(intervals.scale, WIDTH, "Scale: new listeners", zero, low=low, high=high)
    return Section(
        "collaborations",
        title,
        PACE,
        lead=(
            "New listeners who came because of each, and how sure that is: in nine of ten cases the truth "
            "lies within the bar. Who would have come anyway is taken off."
        ),
        keys=(
            Key("dot", "new listeners, and the bar that holds the truth in nine of ten cases"),
            Key("diamond", "all who came after hearing it, as others count (last touch)"),
            Key("zero", "no effect"),
        ),
        table=Table(
            "Collaborations, the newest first",
            columns("With", "Began", "New listeners…", "In words…"),
            shown,
            foot=(Cell(""), Cell(""), Cell("", chart=scale), Cell("")),
        ),
        is_folded=False,
    )


def _kind(type_: str) -> str:
    return type_.replace("_", " ")


def bounds(rows: Sequence[tuple[Row, Answer]]) -> tuple[float, float]:
    """A scale that holds every interval and gross figure, and 0; coarse, so that it is drawn once."""
    values = [0.0]
    for row, answer in rows:
        if (shown := answer.shown) is not None:
            values += [shown.low, shown.high]
            values += [row["gross_last_touch"] or 0.0]
    low, high = min(values), max(max(values), 1.0)
    step = 10 ** math.floor(math.log10(high - low)) / 2
    air = step / 2
    return math.floor((low - air) / step) * step, math.ceil((high + air) / step) * step


def drawn(row: Row, shown: Estimate | None, low: float, high: float, words: str) -> Markup | None:
    if shown is None:
        return None
    at = {"low": shown.low, "high": shown.high, "value": shown.value, "told": words}
    gross = row["gross_last_touch"]
    diamonds = (
        []
        if gross is None
        else [
            {"value": gross, "told": f"{count(gross)} came after hearing it (last touch, nobody taken off)"}
        ]
    )
    return svg(
        intervals.interval,
        WIDTH,
        words,
        {"zero": [{"value": 0}], "all": [at], "gross": diamonds},
        low=low,
        high=high,
    )
