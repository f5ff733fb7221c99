"""A counter a shard that grows with every change: who has seen it need not read the shard again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select, update

from registry.database import insert_into, writing
from registry.tables import shards

_SEEN = (shards.c.version, shards.c.seen, shards.c.generation, shards.c.handed)


def version(engine: Engine, shard: int) -> int:
    """Of one shard, 0 where nothing was ever registered. Read it before the shard, not after."""
    with engine.connect() as connection:
        return connection.scalar(select(shards.c.version).where(shards.c.shard == shard)) or 0


@dataclass(frozen=True)
class Seen:
    """A shard's version, up to where sweeps have seen it, at which generation of the lake's shard; and up to
    which generation the outbox has the changes.
    """

    version: int = 0
    seen: int = 0
    generation: int = 0
    handed: int = 0

    def is_all(self, generation: int) -> bool:
        """Whether nothing is new to a sweep that finds the lake's shard at `generation`.

        A lake that was lost, or restored from an older copy, has not what was seen.
        """
        return self.version <= self.seen and self.generation <= generation


def seen_of(engine: Engine, shard: int) -> Seen:
    """Of one shard."""
    with engine.connect() as connection:
        row = connection.execute(select(*_SEEN).where(shards.c.shard == shard)).one_or_none()
    return Seen() if row is None else Seen(*row)


def seen(engine: Engine) -> dict[int, Seen]:
    """Of all shards that ever held a podcast."""
    with engine.connect() as connection:
        rows = connection.execute(select(shards.c.shard, *_SEEN)).tuples()
        return {shard: Seen(*row) for shard, *row in rows}


def versions(engine: Engine) -> dict[int, int]:
    """Of all shards that ever held a podcast."""
    with engine.connect() as connection:
        return dict(connection.execute(select(shards.c.shard, shards.c.version)).tuples().all())


def saw(engine: Engine, shard: int, version: int, generation: int) -> None:
    """A sweep has taken in all of a shard's changes up to `version`, and left the lake at `generation`."""
    now = update(shards).where(shards.c.shard == shard, shards.c.seen <= version)
    with writing(engine) as connection:
        connection.execute(now.values(seen=version, generation=generation))


def handed_over(connection: Connection, shard: int, before: int, generation: int) -> bool:
    """Changes up to `generation` are in the outbox, and were up to `before`; False: another was quicker."""
    where = update(shards).where(shards.c.shard == shard, shards.c.handed == before)
    return connection.execute(where.values(handed=generation)).rowcount > 0


def bump(connection: Connection, changed: Iterable[int]) -> None:
    """Count a change in each of `changed`; the last statement of a transaction, so that locks are short."""
    rows = [{"shard": shard, "version": 1} for shard in sorted(set(changed))]
    if not rows:
        return
    insert = insert_into(connection, shards).values(rows)  # sorted: two writers lock in one order
    connection.execute(
        insert.on_conflict_do_update(index_elements=[shards.c.shard], set_={"version": shards.c.version + 1})
    )
