"""Which podcast a URL means: the one registered under it, else one that has moved there."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from registry.batches import PARAMETERS, batches
from registry.tables import PodcastState, podcasts


def polled(connection: Connection, url_keys: Collection[int]) -> dict[int, int]:
    """The keys of URLs → the podcast that is meant, where it is one that somebody tracks."""
    named = dict.fromkeys(url_keys) | moved_to(connection, url_keys)
    meant = {key: moved if moved is not None else key for key, moved in named.items()}
    known: set[int] = set()
    for keys in batches(sorted(set(meant.values())), PARAMETERS):
        query = select(podcasts.c.podcast_key).where(podcasts.c.podcast_key.in_(keys))
        known.update(connection.scalars(query.where(podcasts.c.state != PodcastState.DEREGISTERED)))
    return {key: podcast for key, podcast in meant.items() if podcast in known}


def moved_to(connection: Connection, url_keys: Collection[int]) -> dict[int, int]:
    """The keys of URLs that a tracked podcast moved to → that podcast's key; of several the smallest.

    A URL under which a podcast was registered itself goes on to mean that one.
    """
    moved_key = podcasts.c.moved_key
    if connection.execute(select(moved_key).where(moved_key.is_not(None)).limit(1)).first() is None:
        return {}
    found: dict[int, int] = {}
    for keys in batches(url_keys, PARAMETERS):
        movers = select(moved_key, func.min(podcasts.c.podcast_key)).where(moved_key.in_(keys))
        found |= dict(connection.execute(movers.group_by(moved_key)).tuples().all())
        own = select(podcasts.c.podcast_key).where(podcasts.c.podcast_key.in_(keys))
        for key in connection.scalars(own):
            found.pop(key, None)
    return found
