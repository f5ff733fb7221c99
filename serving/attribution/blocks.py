"""What a page is made of, before it is shown anywhere: words, sums, tables, pictures."""

from __future__ import annotations

from dataclasses import dataclass

from serving.attribution.steps import Step


@dataclass(frozen=True)
class Sum:
    """One line of a calculation: what it is, how it comes about, which step of the rule it is."""

    what: str
    sum: str
    step: Step


@dataclass(frozen=True)
class Sums:
    lines: tuple[Sum, ...]


@dataclass(frozen=True)
class Grid:
    """A table; `texts` is how many of its columns, from the left, are no numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1


@dataclass(frozen=True)
class Picture:
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Items:
    """Named things, each with its sentences."""

    items: tuple[tuple[str, str], ...]


Block = str | Sums | Grid | Picture | Items


@dataclass(frozen=True)
class Section:
    title: str
    where: str  # of docs/attribution.md it is explained
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    title: str
    about: tuple[str, ...]
    headline: tuple[str, ...]
    sections: tuple[Section, ...]
    foot: tuple[str, ...]
