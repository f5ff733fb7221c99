"""Which podcasts somebody may see: those a tenant tracks, and those of shows; and finding one among them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, fields

from sqlalchemy import ColumnElement, Connection, Engine, and_, func, or_, select

from ingest.feeds.urls import normal_guid, podcast_key
from registry.batches import PARAMETERS, batches
from registry.moved import moved_to
from registry.podcasts import Podcast, read_podcasts
from registry.tables import PodcastState, podcasts, registrations, shards

_KEPT = 256  # tenants and sets of shows
_MOST_ALIKE = 1_000  # podcasts of one name: a guid such as `1`
_CHANGES = select(func.coalesce(func.sum(shards.c.version), 0))


@dataclass(frozen=True)
class Named:
    """By what podcasts are asked for, all conditions together; None: whatever it is."""

    podcast_key: int | None = None
    url: str | None = None  # normalised (ingest.feeds.urls); also one it moved to
    guid: str | None = None
    itunes_id: int | None = None
    podcastindex_id: int | None = None
    show_id: str | None = None

    @property
    def is_any(self) -> bool:
        """Nothing is asked for in particular."""
        return all(getattr(self, each.name) is None for each in fields(self))


def find_among(
    engine: Engine, named: Named, among: Collection[int] | None, after: int | None = None, limit: int = 100
) -> list[Podcast]:
    """The podcasts so named with a key of `among`, by key, behind the key `after`. `among` None: all that
    anybody tracks.
    """
    conditions = _conditions(named)
    if among is None:
        conditions.append(podcasts.c.state != PodcastState.DEREGISTERED)
    if after is not None:
        conditions.append(podcasts.c.podcast_key > after)
    with engine.connect() as connection:
        if among is None:
            return read_podcasts(connection, conditions, limit)
        if not named.is_any:
            found = read_podcasts(connection, conditions, _MOST_ALIKE)
            return [podcast for podcast in found if podcast.podcast_key in among][:limit]
        keys = sorted(key for key in among if after is None or key > after)[:limit]
        return [
            podcast
            for some in batches(keys, PARAMETERS)
            for podcast in read_podcasts(connection, [podcasts.c.podcast_key.in_(some)])
        ]


def _conditions(named: Named) -> list[ColumnElement[bool]]:
    table, conditions = podcasts.c, list[ColumnElement[bool]]()
    if named.podcast_key is not None:
        conditions.append(table.podcast_key == named.podcast_key)
    if named.url is not None:
        key = podcast_key(named.url)
        conditions.append(or_(table.podcast_key == key, table.moved_key == key))
    if named.guid is not None:
        conditions.append(table.podcast_guid == normal_guid(named.guid))
    if named.itunes_id is not None:
        conditions.append(table.itunes_id == named.itunes_id)
    if named.podcastindex_id is not None:
        conditions.append(table.podcastindex_id == named.podcastindex_id)
    if named.show_id is not None:
        conditions.append(_is_of([named.show_id]))
    return conditions


def _is_of(show_ids: Collection[str]) -> ColumnElement[bool]:
    """A podcast's show is its guid where none was given, and where no other podcast was given that one
    (int_catalog_enclosures).
    """
    table, other = podcasts.c, podcasts.alias()
    named = select(other.c.show_id).where(other.c.show_id.in_(show_ids))  # by itself: read once
    by_guid = and_(
        table.show_id.is_(None), table.podcast_guid.in_(show_ids), table.podcast_guid.not_in(named)
    )
    return or_(table.show_id.in_(show_ids), by_guid)


def tracked_by(engine: Engine, tenant: str, podcast_keys: Collection[int]) -> set[int]:
    """Those of `podcast_keys` that the tenant tracks."""
    key, found = registrations.c.podcast_key, set[int]()
    with engine.connect() as connection:
        for some in batches(podcast_keys, PARAMETERS):
            query = select(key).where(registrations.c.tenant == tenant, key.in_(some))
            found.update(connection.scalars(query))
    return found


def tracked_by_others(engine: Engine, tenant: str, url_keys: Collection[int]) -> set[int]:
    """Those of the keys of URLs that mean a podcast which another tenant tracks."""
    key, found = registrations.c.podcast_key, set[int]()
    with engine.connect() as connection:
        moved = moved_to(connection, url_keys)
        meant: dict[int, list[int]] = {}
        for url_key in url_keys:
            meant.setdefault(moved.get(url_key, url_key), []).append(url_key)
        for some in batches(meant, PARAMETERS):
            query = select(key).where(registrations.c.tenant != tenant, key.in_(some)).distinct()
            found.update(url_key for one in connection.scalars(query) for url_key in meant[one])
    return found


class VisiblePodcasts:
    """Keys of podcasts, read again only when the registry has changed. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: dict[Hashable, tuple[int, frozenset[int]]] = {}
        self._lock = threading.Lock()

    def mark(self) -> int:
        """Another one after every change of podcasts and registrations."""
        with self._engine.connect() as connection:
            return _mark(connection)

    def tracked(self, tenant: str, mark: int | None = None) -> frozenset[int]:
        """All that a tenant tracks, as at `mark` or since; None: now."""

        def read(connection: Connection) -> frozenset[int]:
            mine = select(registrations.c.podcast_key).where(registrations.c.tenant == tenant)
            return frozenset(connection.scalars(mine))

        return self._known(tenant, read, mark)

    def of_shows(self, show_ids: frozenset[str], mark: int | None = None) -> frozenset[int]:
        """All that are counted as one of these shows, and that somebody tracks, likewise."""

        def read(connection: Connection) -> frozenset[int]:
            found = set[int]()
            for some in batches(show_ids, PARAMETERS // 3):
                query = select(podcasts.c.podcast_key).where(
                    _is_of(some), podcasts.c.state != PodcastState.DEREGISTERED
                )
                found.update(connection.scalars(query))
            return frozenset(found)

        return self._known(show_ids, read, mark) if show_ids else frozenset()

    def _known(
        self, what: Hashable, read: Callable[[Connection], frozenset[int]], mark: int | None
    ) -> frozenset[int]:
        mark = self.mark() if mark is None else mark
        with self._lock:
            kept = self._kept.get(what)
        if kept is not None and kept[0] == mark:
            return kept[1]
        with self._engine.connect() as connection:
            keys = read(connection)  # behind the mark: what changes meanwhile is read the next time
        with self._lock:
            self._kept.pop(what, None)
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[what] = (mark, keys)
        return keys


def _mark(connection: Connection) -> int:
    """Grows with every change (registry/shards.py)."""
    return int(connection.scalar(_CHANGES) or 0)
