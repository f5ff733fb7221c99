"""One request for a page: which publication it reads, which shows and subjects its sender may see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from ingest.schema import SourceClass
from ingest.settings import Window
from registry.api_keys import Scope
from registry.show_access import ALL_SHOWS, Subject
from registry.visible import Named, find_among
from serving.api.access import Standing
from serving.api.metadata.sight import sight_of as podcasts_sight
from serving.api.problems import Problem
from serving.api.reporting.asked import basis_of
from serving.api.visit import Visit
from serving.pages.view.overview import Looker
from serving.pages.view.sight import Sight
from serving.pages.view.sight import sight as sight_of
from serving.pages.view.words import minute, window_words
from serving.reports.asking import Asks, Basis
from serving.reports.shows import Shows


@dataclass(frozen=True)
class Look:
    """What a page is made from."""

    ask: Visit
    asks: Asks
    shows: Shows
    basis: Basis

    @classmethod
    def of(cls, ask: Visit) -> Look:
        """Raises Problem: 503, nothing is published yet."""
        edition = ask.marts
        return cls(ask, edition, edition.catalogue, basis_of(ask))

    def sight(
        self, show_id: str, days: int, source_class: SourceClass | None, window: Window | None = None
    ) -> Sight:
        """A show as far as one may see it. Raises Problem: 404, alike for none and for none of one's own."""
        standing = {subject: self.ask.shows.may(show_id, subject) for subject in Subject}
        subjects = frozenset(str(subject) for subject, one in standing.items() if one is not None)
        outside = Standing.OWNER not in standing.values()
        found = None
        if subjects:
            found = sight_of(self.shows, self.basis, show_id, days, source_class, window, outside, subjects)
        if found is None and not outside and show_id in self.shows.by_id:
            raise Problem(
                404,
                "Nothing was counted yet",
                "Of this show no request has been seen so far: come back later.",
            )
        if found is None:
            raise Problem(404, "No such show", "There is none under this address that you may see.")
        return found

    def looker(self, subject: Subject) -> Looker:
        """Whose list of shows it is."""
        return Looker(self.ask.shows.visible(subject), self._owned(), self.ask.caller.is_operator)

    def any_subject(self) -> frozenset[str] | None:
        """The shows of which anything may be seen; None: all."""
        found: set[str] = set()
        for subject in Subject:
            visible = self.ask.shows.visible(subject)
            if visible is None:
                return None
            found |= visible
        return frozenset(found)

    def may_see(self, show_id: str | None) -> bool:
        """Anything of it; what belongs to no show is for who runs the installation."""
        if self.ask.caller.is_operator:
            return True
        return show_id is not None and any(self.ask.shows.may(show_id, subject) for subject in Subject)

    def known_since(self, podcast_key: int) -> datetime | None:
        """Since when (UTC) one is told all of a podcast, as the API tells it; None: one is not."""
        sight = podcasts_sight(self.ask)
        if not sight.is_whole(podcast_key):
            return None
        tracked = find_among(self.ask.core.engine, Named(podcast_key=podcast_key), {podcast_key})
        since_us = sight.since_us(tracked[0]) if tracked else None
        try:
            return datetime(1970, 1, 1) + timedelta(microseconds=since_us or 0)  # as the marts: without zone
        except OverflowError:  # never: it was deregistered just now
            return None

    def _owned(self) -> frozenset[str] | None:
        shows, caller = self.ask.shows, self.ask.caller
        if not caller.may(Scope.READ):
            return frozenset()
        owned = self.ask.access.owned.get(caller.tenant or "", frozenset())
        if caller.is_operator or (ALL_SHOWS in owned and caller.only_show is None):
            return None
        return frozenset(show_id for show_id in self.shows.by_id if shows.is_owner(show_id))


def address_of(show_id: str) -> str:
    return f"/shows/{quote(show_id, safe='')}"


def around(ask: Visit) -> dict[str, Any]:
    """What every page has around it: who looks, and at which publication."""
    caller, edition = ask.caller, ask.edition
    who = ""
    if caller.only_show is not None:
        who = "By a link, one show"
    elif caller.tenant is not None:
        who = f"{caller.tenant}, who runs this" if caller.is_operator else caller.tenant
    told = None
    if edition is not None:
        made = datetime.fromisoformat(edition.made_at)
        told = {
            "version": edition.version,
            "made": minute(made),
            "window": window_words(Window(edition.window or ask.core.settings.platform.window)),
        }
    return {"who": who, "edition": told}
