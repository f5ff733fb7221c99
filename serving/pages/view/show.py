"""The page of a show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serving.pages.view import audience, choices, collaborations, downloads, episodes, pacing, quality
from serving.pages.view.choices import Choice
from serving.pages.view.parts import Figure, Section
from serving.pages.view.sight import Row, Sight, ask
from serving.pages.view.words import count, day, show_href
from serving.reports.asking import Asks
from serving.reports.shows import Show


@dataclass(frozen=True)
class ShowPage:
    title: str
    about: str
    basis: str
    spans: Sequence[Choice]
    classes: Sequence[Choice]
    windows: Sequence[Choice]
    figures: Sequence[Figure]
    sections: Sequence[Section]
    podcast_key: int | None
    opened: str  # what the public sees; empty for owners


_PODCAST = """
    select podcast_key, author, title
    from dim_podcasts
    where show_id = $show
    order by podcast_key
    limit 1
"""


def about(asks: Asks, show: Show) -> tuple[str, str, Row | None]:
    """Title, one line about it, and its tracked podcast where there is one."""
    podcasts = ask(asks, _PODCAST, {"show": show.show_id})
    podcast = podcasts[0] if podcasts else None
    title = show.title or (podcast and podcast["title"]) or show.show_id
    parts = []
    if podcast and podcast["author"]:
        parts.append(f"by {podcast['author']}")
    if show.episodes:
        parts.append(f"{count(show.episodes)} episode{'s' if show.episodes > 1 else ''}")
    if show.last_published_at:
        parts.append(f"the newest of {day(show.last_published_at)}")
    return str(title), ", ".join(parts), podcast


def page(asks: Asks, sight: Sight) -> ShowPage:
    """Everything of a show that the looker may see."""
    title, line, podcast = about(asks, sight.scope.show)
    here = show_href(sight.show_id)
    figures: list[Figure] = []
    sections: list[Section] = []
    keys = episodes.keys_of(asks, sight)
    paced: list[list[Row]] = []
    if "downloads" in sight.subjects:
        figures.append(downloads.figure(asks, sight))
        sections.append(downloads.section(asks, sight))
    figures += audience.figures(asks, sight)
    if "pacing" in sight.subjects:
        quartiles, paced = pacing.band(asks, sight), pacing.courses(asks, sight)
        typical = pacing.figure(quartiles)
        figures += [typical] if typical else []
        sections.append(pacing.section(quartiles, paced, keys, sight))
    if sight.subjects & {"downloads", "pacing"}:
        sections.append(episodes.section(episodes.newest(asks, sight), paced, keys, sight))
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
        choices.spans(sight),
        choices.classes(sight, here, days=sight.asked_days),
        choices.windows(sight, here, days=sight.asked_days),
        figures,
        sections,
        podcast["podcast_key"] if podcast else None,
        "" if sight.is_owner else ", ".join(sorted(sight.subjects)),
    )
