"""The page of one collaboration: the answer first, then how it comes about, line by line."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from serving.attribution.blocks import Block, Grid, Items, Picture, Sums
from serving.attribution.model import Explanation
from serving.attribution.page import page as told
from serving.pages.charts import intervals, time
from serving.pages.charts.draw import drawing
from serving.pages.view.parts import PACE, Cell, Column, Key, Section, Table, columns
from serving.pages.view.sight import Row
from serving.pages.view.words import NBSP, count, day, epoch_ms, minute, show_href
from serving.reports.asking import Asks, Basis
from serving.reports.collaborations import daily

STEPS = "/methodology/collaborations#step-"
Costs = Callable[[str | None], bool]


@dataclass(frozen=True)
class Text:
    """One part of an explanation."""

    title: str
    rule: str  # where it is explained
    blocks: Sequence[str | Table | Items]


@dataclass(frozen=True)
class CollaborationPage:
    title: str
    show_title: str
    show_href: str
    about: Sequence[str]
    headline: Sequence[str]
    sections: Sequence[Section]
    texts: Sequence[Text]
    foot: Sequence[str]
    rule: object = PACE


def page(asks: Asks, of: Explanation, basis: Basis, costs: Costs, outside: bool) -> CollaborationPage:
    """costs: whether the looker may see what a tenant paid. outside: the looker does not own the show.

    Strangers see the answer; the terms behind it count few listeners.
    """
    one = of.collaboration
    is_ours = costs(one.tenant)
    whole = told(of if is_ours else replace(of, cost=None, notices=()))
    sections = [
        section for section in (_interval(of), None if outside else _course(asks, of, basis)) if section
    ]
    return CollaborationPage(
        f"{one.show} × {one.partner}",
        one.show,
        show_href(one.show_id or ""),
        whole.about if is_ours else whole.about[1:],  # the first names the tenant
        whole.headline,
        sections,
        [
            Text(
                section.title, section.where, [shown for block in section.blocks if (shown := _block(block))]
            )
            for section in whole.sections
            if section.title != "The interval" and not outside
        ],
        _foot(of),
    )


def _interval(of: Explanation) -> Section | None:
    shown, forecast = of.shown, of.shown_forecast
    if shown is None:
        return None
    gross = of.difference.gross if of.difference else None
    rows = [("so far" if forecast else "measured", shown)] + ([("forecast", forecast)] if forecast else [])
    ends = [0.0, gross or 0.0, *(end for _, one in rows for end in (one.low, one.high))]
    low, high = _rounded(min(ends), max(ends))
    words = (
        f"{count(shown.value)} new listeners, 90{NBSP}% interval {count(shown.low)} to {count(shown.high)}"
    )
    return Section(
        "interval",
        "How many, and how sure",
        PACE,
        chart=drawing(
            intervals.alone,
            words,
            {
                "all": [
                    {
                        "name": name,
                        "low": one.low,
                        "high": one.high,
                        "value": one.value,
                        "told": f"{name}: {count(one.value)}, {count(one.low)} to {count(one.high)}",
                    }
                    for name, one in rows
                ],
                "gross": []
                if gross is None
                else [
                    {
                        "name": rows[0][0],
                        "value": gross,
                        "told": f"{count(gross)} came after hearing it (last touch, nobody taken off)",
                    }
                ],
            },
            low=low,
            high=high,
            lines=len(rows),
        ),
        keys=(
            Key("dot", "new listeners, and the bar that holds the truth in nine of ten cases"),
            *(
                (Key("diamond", "all who came after hearing it, as others count (last touch)"),)
                if gross
                else ()
            ),
            Key("zero", "no effect"),
        ),
    )


def _foot(of: Explanation) -> list[str]:
    until = f"Counted with data until {minute(of.as_of)}. " if of.as_of else ""
    how = f"Reckoned by version {of.model_version} of the method." if of.model_version else ""
    return [f"{until}{how} Numbers of steps are those of how collaborations are measured.".strip()]


def _rounded(low: float, high: float) -> tuple[float, float]:
    step = 10 ** math.floor(math.log10(max(high - low, 1.0))) / 2
    return math.floor((low - step / 2) / step) * step, math.ceil((high + step / 2) / step) * step


def _course(asks: Asks, of: Explanation, basis: Basis) -> Section | None:
    if of.calculation is None:
        return None
    rows: list[Row] = daily(of.collaboration.collaboration_id, basis).rows(asks)
    if len(rows) < 2:
        return None
    points = [
        {
            "at": epoch_ms(row["date"]),
            "value": row["converted"],
            "organic": row["organic"],
            "told": f"{day(row['date'])}: {count(row['converted'])} took up the show, "
            f"{row['organic'] or 0:.1f} were to be expected",
        }
        for row in rows
        if row["organic"] is not None
    ]
    last = rows[-1]
    return Section(
        "course",
        "Day by day",
        PACE,
        lead=(
            f"Of {count(last['exposed'])} listeners who heard it, were known for four weeks and new to the "
            f"show, {count(last['converted'])} took it up. The gap to what was to be expected is what it "
            "brought of them; the number above is scaled to all who heard it."
        ),
        chart=drawing(
            time.excess,
            "Listeners who took up the show, and how many were to be expected; the table has the figures",
            {"days": points},
        ),
        keys=(
            Key("line", "took up the show so far"),
            Key("median", "expected to, anyway"),
            Key("soft", "because of it"),
        ),
        table=Table(
            "Day by day, the newest first",
            columns("Day", "Heard it, new to the show#", "Took up the show so far#", "Expected anyway#"),
            [
                (
                    Cell(day(row["date"])),
                    Cell(count(row["exposed"])),
                    Cell(count(row["converted"])),
                    Cell("–" if row["organic"] is None else f"{row['organic']:.1f}"),
                )
                for row in reversed(rows)
            ],
        ),
    )


def _block(block: Block) -> str | Table | Items | None:
    if isinstance(block, Picture):
        return None  # drawn above
    if isinstance(block, Sums):
        return Table(
            "The calculation",
            columns("What", "How…", "Step"),
            [
                (Cell(line.what), Cell(line.sum), Cell(str(int(line.step)), href=f"{STEPS}{int(line.step)}"))
                for line in block.lines
            ],
        )
    if isinstance(block, Grid):
        heads = tuple(Column(name, number >= block.texts) for number, name in enumerate(block.columns))
        return Table("", heads, [[Cell(text) for text in row] for row in block.rows])
    if isinstance(block, Items):
        return Items(tuple((name.replace("_", " "), words) for name, words in block.items))  # of flags, too
    return block
