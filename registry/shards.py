"""A counter a shard that grows with every change: who has seen it need not read the shard again."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, Engine, select, update

from registry.database import insert_into, writing
from registry.tables import shards


def version(engine: Engine, shard: int) -> int:
    """Of one shard, 0 where nothing was ever registered. Read it before the shard, not after."""
    with engine.connect() as connection:
        return connection.scalar(select(shards.c.version).where(shards.c.shard == shard)) or 0


def version_and_seen(engine: Engine, shard: int) -> tuple[int, int]:
    """Of one shard, and up to where sweeps have seen it."""
    query = select(shards.c.version, shards.c.seen).where(shards.c.shard == shard)
    with engine.connect() as connection:
        return connection.execute(query).tuples().one_or_none() or (0, 0)


def versions(engine: Engine) -> dict[int, int]:
    """Of all shards that ever held a podcast."""
    with engine.connect() as connection:
        return dict(connection.execute(select(shards.c.shard, shards.c.version)).tuples().all())


def unseen(engine: Engine) -> set[int]:
    """Of which shards something changed that no sweep has seen."""
    with engine.connect() as connection:
        return set(connection.scalars(select(shards.c.shard).where(shards.c.version > shards.c.seen)))


def saw(engine: Engine, shard: int, version: int) -> None:
    """A sweep has taken in all of a shard's changes up to `version`."""
    further = update(shards).where(shards.c.shard == shard, shards.c.seen < version)
    with writing(engine) as connection:
        connection.execute(further.values(seen=version))


def bump(connection: Connection, changed: Iterable[int]) -> None:
    """Count a change in each of `changed`; the last statement of a transaction, so that locks are short."""
    rows = [{"shard": shard, "version": 1} for shard in sorted(set(changed))]
    if not rows:
        return
    insert = insert_into(connection, shards).values(rows)  # sorted: two writers lock in one order
    connection.execute(
        insert.on_conflict_do_update(index_elements=[shards.c.shard], set_={"version": shards.c.version + 1})
    )
