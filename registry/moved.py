"""Which podcast a URL means once one has moved there."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from registry.batches import PARAMETERS, batches
from registry.tables import podcasts


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
