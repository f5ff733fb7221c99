"""The page of a show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serving.pages.view import audience, collaborations, downloads, pacing, quality
from serving.pages.view.parts import Figure, Section
from serving.pages.view.sight import SPANS, Asks, Row, Sight
from serving.pages.view.words import count, day, show_href, source_words, span


@dataclass(frozen=True)
class Choice:
    """One of several ways to look at a page."""

    words: str
    href: str
    is_chosen: bool


@dataclass(frozen=True)
class ShowPage:
    title: str
    about: str
    basis: str
    spans: Sequence[Choice]
    classes: Sequence[Choice]
    figures: Sequence[Figure]
    sections: Sequence[Section]
    podcast_key: int | None
    opened: str  # what the public sees; empty for owners
    when: str = ""


_SHOW = """
    select show_title, episodes, first_published_at, last_published_at
    from dim_shows
    where show_id = $show
"""
_PODCAST = """
    select podcast_key, author, language, link, title
    from dim_podcasts
    where show_id = $show
    order by podcast_key
    limit 1
"""


def about(asks: Asks, show_id: str) -> tuple[str, str, Row | None]:
    """Title, one line about it, and its tracked podcast where there is one."""
    found = asks.rows(_SHOW, {"show": show_id})
    podcasts = asks.rows(_PODCAST, {"show": show_id})
    podcast = podcasts[0] if podcasts else None
    show = found[0] if found else {"show_title": None, "episodes": 0, "last_published_at": None}
    title = show["show_title"] or (podcast and podcast["title"]) or show_id
    parts = []
    if podcast and podcast["author"]:
        parts.append(f"by {podcast['author']}")
    if show["episodes"]:
        parts.append(f"{count(show['episodes'])} episode{'s' if show['episodes'] > 1 else ''}")
    if show["last_published_at"]:
        parts.append(f"the newest of {day(show['last_published_at'])}")
    return str(title), ", ".join(parts), podcast


def page(asks: Asks, sight: Sight) -> ShowPage:
    """Everything of a show that the looker may see."""
    title, line, podcast = about(asks, sight.show_id)
    figures: list[Figure] = []
    sections: list[Section] = []
    if "downloads" in sight.subjects:
        figures.append(downloads.figure(asks, sight))
        sections.append(downloads.section(asks, sight))
    if "audience" in sight.subjects:
        figures += audience.figures(asks, sight)
    if "pacing" in sight.subjects:
        typical = pacing.figure(asks, sight)
        figures += [typical] if typical else []
        sections += [pacing.section(asks, sight), pacing.episodes(asks, sight)]
    if "audience" in sight.subjects:
        sections += [audience.section(asks, sight), audience.breakdowns(asks, sight)]
    if "collaborations" in sight.subjects:
        sections.append(collaborations.section(asks, sight))
    if "downloads" in sight.subjects:
        sections.append(quality.exclusions(asks, sight))
        between = quality.reconciliation(asks, sight)
        sections += [between] if between else []
    return ShowPage(
        title,
        line,
        quality.basis(sight),
        spans(sight),
        classes(sight),
        figures,
        sections,
        podcast["podcast_key"] if podcast else None,
        "" if sight.is_owner else ", ".join(sorted(sight.subjects)),
        span(sight.first, sight.last),
    )


def spans(sight: Sight) -> list[Choice]:
    """28 days, 90 days, a year. Chosen is the shortest that holds the days shown."""
    chosen = next((days for days in SPANS if sight.days <= days), SPANS[-1])
    return [
        Choice("a year" if days == 365 else f"{days} days", _href(sight, days, sight.source_class), days == chosen)
        for days in SPANS
    ]


def classes(sight: Sight) -> list[Choice]:
    """Where two source classes saw the show, one is to be picked."""
    if len(sight.classes) < 2:
        return []
    return [
        Choice(source_words(one), _href(sight, sight.days, one), one == sight.source_class)
        for one in sight.classes
    ]


def _href(sight: Sight, days: int, source_class: str) -> str:
    query = f"?days={days}"
    if len(sight.classes) > 1:
        query += f"&source_class={source_class}"
    return show_href(sight.show_id) + query
