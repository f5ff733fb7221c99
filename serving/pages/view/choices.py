"""The ways to look at a page: how many days, which source, which window. Each keeps what the others chose."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.settings import Window
from serving.pages.view.sight import SPANS, Sight
from serving.pages.view.words import show_href, source_words, window_words


@dataclass(frozen=True)
class Choice:
    """One of several ways to look at a page."""

    words: str
    href: str
    is_chosen: bool


def spans(sight: Sight) -> list[Choice]:
    """28 days, 90 days, a year. Chosen is the shortest that holds the days asked for."""
    chosen = next((days for days in SPANS if sight.asked_days <= days), SPANS[-1])
    return [
        Choice(
            "a year" if days == 365 else f"{days} days",
            sight.address(show_href(sight.show_id), days=days),
            days == chosen,
        )
        for days in SPANS
    ]


def classes(sight: Sight, path: str, **kept: object) -> list[Choice]:
    """Where two source classes saw the show, one is to be picked. kept: what else the address says."""
    if len(sight.classes) < 2:
        return []
    return [
        Choice(
            source_words(one),
            sight.address(path, source_class=one, **kept),
            one == sight.scope.source_class,
        )
        for one in sight.classes
    ]


def windows(sight: Sight, path: str, **kept: object) -> list[Choice]:
    """The published window first, then its alternatives: for owners (decision 0028)."""
    if not sight.is_owner:
        return []
    published = sight.scope.basis.window
    return [
        Choice(
            window_words(one) + (" (published)" if one is published else ""),
            sight.address(path, window=one, **kept),
            one is sight.scope.window,
        )
        for one in sorted(Window, key=lambda one: one is not published)
    ]
