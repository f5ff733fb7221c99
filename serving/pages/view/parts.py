"""The parts a page is made of: a figure, a table, a section with its chart, and the rule behind each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from serving.pages.charts.draw import Drawing


@dataclass(frozen=True)
class Rule:
    """Where it is written how a figure comes about."""

    name: str  # R25, or Method
    words: str
    href: str


def _counting(name: str, words: str, anchor: str) -> Rule:
    return Rule(name, words, f"/methodology#{anchor}")


DOWNLOAD = _counting("R25", "What a download is", "what-is-counted")
LISTENER = _counting("R26", "What a listener is", "what-is-counted")
OURS = _counting("R2", "A figure of our own", "what-is-counted")
EXCLUSION = _counting("R3–R10, R12–R14, R17", "Which requests count", "which-requests-count-552")
AGENTS = _counting("R10", "How agents are told", "which-requests-count-552")
PLACE = _counting("Lists", "Where places come from", "lists-in-force")
EPISODE = _counting("R33", "What an episode is", "which-episode-52")
TWO_SOURCES = _counting("R35", "Two sources of a show", "two-sources-of-a-show-r35")
PERIODS = _counting("Periods", "Dates and periods", "dates-and-periods")
SOURCES = _counting("R17–R20", "What sources see", "one-listener-554")
PACE = Rule("Method", "How a collaboration is measured", "/methodology/collaborations#how-it-is-measured")
RECORD = Rule("Record", "How podcasts are kept current", "/methodology/podcasts")


@dataclass(frozen=True)
class Figure:
    """One number at the head of a page."""

    label: str
    value: str
    note: str
    rule: Rule
    is_estimate: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell; bar: 0 to 1, drawn behind it; href: where it leads."""

    text: str
    href: str | None = None
    bar: float | None = None
    chart: str | None = None  # SVG
    note: str | None = None


@dataclass(frozen=True)
class Column:
    """One column; is_words: of sentences or pictures, which have a line to themselves where it is narrow."""

    heading: str
    is_number: bool = False
    is_words: bool = False


@dataclass(frozen=True)
class Table:
    caption: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Cell] = ()


@dataclass(frozen=True)
class Key:
    """One entry of a chart's legend: its colour's name in the style sheet, and what it stands for."""

    mark: str  # line, soft, mark, third, band, median, diamond, triangle
    words: str
    href: str | None = None


@dataclass(frozen=True)
class Link:
    """Where there is more."""

    words: str
    href: str


@dataclass(frozen=True)
class Section:
    """One part of a page: words first, then the chart, then the figures behind it."""

    anchor: str
    title: str
    rule: Rule
    lead: str = ""
    chart: Drawing | None = None
    keys: tuple[Key, ...] = ()
    table: Table | None = None  # beside a chart it is folded
    is_folded: bool = True
    notes: tuple[str, ...] = ()
    more: Link | None = None
    nothing: str = ""  # why there is nothing to show
    parts: tuple[Section, ...] = field(default=())  # beside each other


def columns(*headings: str) -> tuple[Column, ...]:
    """Columns by heading; one that ends with # holds numbers, with … words."""
    return tuple(
        Column(heading.rstrip("#…"), heading.endswith("#"), heading.endswith("…")) for heading in headings
    )
