"""Notices that a podcast has news (podping, WebSub, change files): they pull its next poll forward."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, and_, delete, func, select

from ingest.feeds.schema import shard_of
from ingest.feeds.sources import websub
from registry.batches import PARAMETERS, batches
from registry.database import insert_into, is_sqlite, writing
from registry.moved import polled
from registry.tables import hints

PUBLISHERS = ("podping", websub.NAME)  # sources through which a podcast itself tells of its changes
ASKED = "asked"  # the source of a wish of our own that a podcast be polled now


@dataclass(frozen=True)
class Hint:
    """A podcast had news at `noticed_us`, says `source`."""

    podcast_key: int  # of any URL of it (ingest.feeds.urls.podcast_key): also one it moved to
    source: str
    noticed_us: int


def add(engine: Engine, noticed: Iterable[Hint]) -> int:
    """Keep the newest notice of a podcast and source; how many named a podcast that is polled.

    The others are dropped: most notices of the world are of podcasts nobody registered.
    """
    kept = 0
    for batch in batches(noticed, PARAMETERS):
        with writing(engine) as connection:
            meant = polled(connection, {hint.podcast_key for hint in batch})
            newest: dict[tuple[int, str], int] = {}
            for hint in batch:
                if (key := meant.get(hint.podcast_key)) is not None:
                    kept += 1
                    at = (key, hint.source)
                    newest[at] = max(newest.get(at, hint.noticed_us), hint.noticed_us)
            if not newest:
                continue
            rows = [  # sorted: two writers lock in one order
                {"podcast_key": key, "source": source, "shard": shard_of(key), "noticed_us": at_us}
                for (key, source), at_us in sorted(newest.items())
            ]
            insert = insert_into(connection, hints).values(rows)
            later = func.max if is_sqlite(connection) else func.greatest
            connection.execute(
                insert.on_conflict_do_update(
                    index_elements=[hints.c.podcast_key, hints.c.source],
                    set_={"noticed_us": later(hints.c.noticed_us, insert.excluded.noticed_us)},
                )
            )
    return kept


def pending(engine: Engine, shards: Sequence[int]) -> list[Hint]:
    """The notices of podcasts in `shards`, by key and source."""
    query = select(hints.c.podcast_key, hints.c.source, hints.c.noticed_us).where(hints.c.shard.in_(shards))
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(hints.c.podcast_key, hints.c.source))
        return [Hint(*row) for row in rows]


def noticed_shards(engine: Engine) -> list[int]:
    """The shards that have a notice waiting."""
    with engine.connect() as connection:
        return list(connection.scalars(select(hints.c.shard).distinct().order_by(hints.c.shard)))


def settle(engine: Engine, acted_on: Sequence[Hint]) -> None:
    """Forget notices that were acted on; one that was renewed meanwhile stays."""
    with writing(engine) as connection:
        for hint in sorted(acted_on, key=lambda hint: (hint.podcast_key, hint.source)):
            connection.execute(
                delete(hints).where(
                    and_(
                        hints.c.podcast_key == hint.podcast_key,
                        hints.c.source == hint.source,
                        hints.c.noticed_us <= hint.noticed_us,
                    )
                )
            )
