"""Which podcasts a caller may see, and of which it is told all that the feed says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from registry.api_keys import Scope
from registry.podcasts import Podcast, Tracking
from registry.show_access import ALL_SHOWS
from serving.api.problems import Problem
from serving.api.visit import Visit


@dataclass(frozen=True, slots=True)
class Sight:
    """Keys of podcasts; None: all there are."""

    keys: frozenset[int] | None  # it tracks them, or owns their show, or that is open to anybody
    whole: frozenset[int] | None  # it tracks them
    tenant: str | None
    is_operator: bool

    def is_whole(self, podcast_key: int) -> bool:
        """Whether it is told addresses of feed and files, too."""
        return self.whole is None or podcast_key in self.whole

    def trackings(self, podcast: Podcast) -> list[Tracking]:
        """Whose registrations it is told of."""
        return [each for each in podcast.trackings if self.is_operator or each.tenant == self.tenant]

    def since_us(self, podcast: Podcast) -> int | None:
        """Addresses of changes before are not told; None: all are."""
        if self.is_operator:
            return None
        mine = [each.since_us for each in podcast.trackings if each.tenant == self.tenant]
        return mine[0] if mine else 2**62

    def among(self, found: Iterable[int]) -> list[int]:
        """Those it may see."""
        return [key for key in found if self.keys is None or key in self.keys]


def sight_of(ask: Visit) -> Sight:
    """Of this request's caller."""
    caller, visible = ask.caller, ask.core.catalogue.visible
    reads = caller.may(Scope.READ)
    if reads and caller.is_operator:
        return Sight(None, None, caller.tenant, is_operator=True)
    mark = visible.mark()
    tenant = caller.tenant if reads and caller.only_show is None else None  # a link shows nothing else of it
    tracked = visible.tracked(tenant, mark) if tenant is not None else frozenset()
    owned = _owned(ask) if reads else frozenset()
    opened = frozenset[str]().union(*ask.access.opened.values())
    if ALL_SHOWS in owned or ALL_SHOWS in opened:
        return Sight(None, tracked, tenant, is_operator=False)
    return Sight(tracked | visible.of_shows(owned | opened, mark), tracked, tenant, is_operator=False)


def _owned(ask: Visit) -> frozenset[str]:
    """Of the caller's tenant, perhaps with *; by a link its one show, while that is still the tenant's."""
    owned, only = ask.access.owned.get(ask.caller.tenant or "", frozenset()), ask.caller.only_show
    return owned if only is None else frozenset({only} if owned & {only, ALL_SHOWS} else ())


def no_such(what: str, field: str) -> Problem:
    """404, word for word alike for what is not there and for what is not to be seen."""
    return Problem(404, f"No such {what}", f"There is no {what} of this name that you may see", field=field)
