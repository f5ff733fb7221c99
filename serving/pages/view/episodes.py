"""The episodes of a show as tables: the newest on its page, all of them page by page on one of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from serving.pages.view import choices, pacing, quality
from serving.pages.view.choices import Choice
from serving.pages.view.parts import EPISODE, Cell, Link, Section, Table, columns
from serving.pages.view.sight import FEW, Row, Sight, ask, tells
from serving.pages.view.words import NOTHING, count, day, duration, episode_href, show_href, times
from serving.reports.asking import Asks
from serving.reports.episodes import episodes as report

PER_PAGE = 50
PATH = "/episodes"
_KEYS = "select episode_id, episode_key from dim_episodes where show_id = $show and is_in_catalog"


@dataclass(frozen=True)
class EpisodesPage:
    title: str
    show_title: str
    show_href: str
    basis: str
    classes: Sequence[Choice]
    windows: Sequence[Choice]
    table: Table | None
    shown: str  # which of how many
    newer: str | None  # addresses of the lists beside
    older: str | None
    notes: Sequence[str]


def keys_of(asks: Asks, sight: Sight) -> dict[str, int]:
    """Episode id → key: the address of its page."""
    return {row["episode_id"]: row["episode_key"] for row in ask(asks, _KEYS, sight.params)}


def newest(asks: Asks, sight: Sight) -> list[Row]:
    """The newest episodes with all their downloads so far."""
    return report(sight.scope, pacing.LISTED).rows(asks)


def page(asks: Asks, sight: Sight, number: int, show_title: str) -> EpisodesPage:
    """number: of the list's page, from 1."""
    keys = keys_of(asks, sight)
    start = (number - 1) * PER_PAGE
    found = report(sight.scope, PER_PAGE, start).rows(asks)
    paced = []
    if found and "pacing" in sight.subjects:
        paced = pacing.courses(asks, sight, keys=[keys[row["episode_id"]] for row in found])
    here = {"show": sight.show_id, "page": number}
    last = max(1, ceil(len(keys) / PER_PAGE))

    def beside(other: int) -> str:
        return sight.address(PATH, show=sight.show_id, page=other)

    return EpisodesPage(
        f"Episodes of {show_title}",
        show_title,
        sight.address(show_href(sight.show_id)),
        quality.basis(sight),
        choices.classes(sight, PATH, **here),
        choices.windows(sight, PATH, **here),
        _table(found, paced, keys, sight) if found else None,
        f"{count(start + 1)} to {count(start + len(found))} of {count(len(keys))}, the newest first"
        if found
        else "",
        beside(min(number - 1, last)) if number > 1 else None,
        beside(number + 1) if number < last else None,
        (_lead(sight), *(quality.under_published(sight, "First days") if paced else ())),
    )


def section(
    found: Sequence[Row], paced: Sequence[list[Row]], keys: Mapping[str, int], sight: Sight
) -> Section:
    """The newest episodes with their first week, month, and all there is; and the way to the others."""
    if not found:
        return Section("episodes", "Episodes", EPISODE, nothing="The catalogue has no episode of the show.")
    rest = len(keys) - len(found)
    return Section(
        "episodes",
        "Episodes",
        EPISODE,
        lead=(f"The newest {count(len(found))} of {count(len(keys))}. " if rest > 0 else "") + _lead(sight),
        table=_table(found, paced, keys, sight),
        is_folded=False,
        notes=quality.under_published(sight, "First days") if paced else (),
        more=Link(f"All {count(len(keys))} episodes", sight.address(PATH, show=sight.show_id))
        if rest > 0
        else None,
    )


def _lead(sight: Sight) -> str:
    since = (
        f" In all: since {day(sight.began)}, when the data begin." if "downloads" in sight.subjects else ""
    )
    return f"A dash: these days are not over yet, or began before the data do.{since}"


def _table(found: Sequence[Row], paced: Sequence[list[Row]], keys: Mapping[str, int], sight: Sight) -> Table:
    """Columns in which there is nothing are left out."""
    most = max((row["downloads"] for row in found if tells(row)), default=0) or 1
    ages = {line[0]["episode_id"]: {row["age_days"]: row for row in line} for line in paced}

    def first(row: Row, days: int, name: str) -> float | None:
        value: float | None = ages.get(row["episode_id"], {}).get(days, {}).get(name)
        return value

    rows = []
    for row in found:
        out = row["published_at"] is None or row["published_at"].date() <= sight.last
        out = out and "downloads" in sight.subjects
        may = tells(row)
        rows.append(
            (
                Cell(
                    pacing.name_of(row),
                    href=sight.address(episode_href(keys[row["episode_id"]])),
                    note="no longer in the feed" if row["is_removed"] else None,
                ),
                Cell(day(row["published_at"])),
                Cell(duration(row["duration_s"])),
                Cell(count(first(row, 7, "downloads"))),
                Cell(times(first(row, 7, "ratio_to_show_median"))),
                Cell(count(first(row, 30, "downloads"))),
                Cell(
                    (count(row["downloads"]) if may else FEW) if out else NOTHING,
                    bar=row["downloads"] / most if out and may else None,
                ),
            )
        )
    headings = columns(
        "Episode",
        "Published",
        "Length#",
        "First 7 days#",
        "Against a typical one#",
        "First 30 days#",
        "In all#",
    )
    told = [place for place in range(len(headings)) if any(row[place].text != NOTHING for row in rows)]
    return Table(
        "Episodes, the newest first",
        tuple(headings[place] for place in told),
        [[row[place] for place in told] for row in rows],
    )
