"""Which podcasts a tenant may see: those it tracks. None stands for the operator, who sees all."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Engine, and_, func, or_, select

from ingest.feeds.urls import normal_guid, podcast_key
from registry.batches import PARAMETERS, batches
from registry.moved import moved_to
from registry.podcasts import Podcast, read_podcasts
from registry.tables import PodcastState, podcasts, registrations, shards

_TENANTS_KEPT = 256


@dataclass(frozen=True)
class Named:
    """By what podcasts are asked for, all conditions together; None: whatever it is."""

    podcast_key: int | None = None
    url: str | None = None  # normalised (ingest.feeds.urls); also one it moved to
    guid: str | None = None
    itunes_id: int | None = None
    podcastindex_id: int | None = None
    show_id: str | None = None


def find_visible(
    engine: Engine, tenant: str | None, named: Named, after: int | None = None, limit: int = 100
) -> list[Podcast]:
    """The podcasts so named that it may see, by key, behind the key `after`; of their trackings its own."""
    table = podcasts.c
    conditions: list[ColumnElement[bool]] = []
    if tenant is None:
        conditions.append(table.state != PodcastState.DEREGISTERED)
    else:
        conditions.append(_tracks(tenant))
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
        # Where none was given, the guid (registry.podcasts).
        conditions.append(
            or_(
                table.show_id == named.show_id,
                and_(table.show_id.is_(None), table.podcast_guid == named.show_id),
            )
        )
    if after is not None:
        conditions.append(table.podcast_key > after)
    with engine.connect() as connection:
        found = read_podcasts(connection, conditions, limit)
    return [own(podcast, tenant) for podcast in found]


def own(podcast: Podcast, tenant: str | None) -> Podcast:
    """Of its trackings only the tenant's."""
    if tenant is None:
        return podcast
    return replace(podcast, trackings=tuple(each for each in podcast.trackings if each.tenant == tenant))


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


class TenantPodcasts:
    """The keys of all that a tenant tracks; read again only when the registry has changed. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: dict[str, tuple[int, frozenset[int]]] = {}
        self._lock = threading.Lock()

    def keys(self, tenant: str) -> frozenset[int]:
        with self._engine.connect() as connection:
            # Grows with every registration and every end of one (registry/shards.py). Read first: what
            # changes behind it is read again the next time.
            mark = int(connection.scalar(select(func.coalesce(func.sum(shards.c.version), 0))) or 0)
            with self._lock:
                kept = self._kept.get(tenant)
            if kept is not None and kept[0] == mark:
                return kept[1]
            mine = select(registrations.c.podcast_key).where(registrations.c.tenant == tenant)
            keys = frozenset(connection.scalars(mine))
        with self._lock:
            while len(self._kept) >= _TENANTS_KEPT and tenant not in self._kept:
                self._kept.pop(next(iter(self._kept)))
            self._kept[tenant] = (mark, keys)
        return keys


def _tracks(tenant: str) -> ColumnElement[bool]:
    tracking = select(registrations.c.podcast_key).where(
        registrations.c.podcast_key == podcasts.c.podcast_key, registrations.c.tenant == tenant
    )
    return tracking.exists()
