"""How far each update source was read: its cursor goes on where the last good reading ended."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, select

from registry.database import insert_into, writing
from registry.tables import sources


@dataclass(frozen=True)
class Reading:
    """The last reading of a source."""

    cursor: str | None  # the source's own words
    read_us: int
    reason: str | None = None  # why it failed; None: it was good


def last_reading(engine: Engine, source: str) -> Reading | None:
    """Of `source`; None where it was never read."""
    query = select(sources.c.cursor, sources.c.read_us, sources.c.reason).where(sources.c.source == source)
    with engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else Reading(*row)


def remember(engine: Engine, source: str, reading: Reading) -> None:
    """Keep `reading` as the last one; after a failure hand in the cursor of before."""
    values = {"cursor": reading.cursor, "read_us": reading.read_us, "reason": reading.reason}
    with writing(engine) as connection:
        insert = insert_into(connection, sources).values(source=source, **values)
        connection.execute(insert.on_conflict_do_update(index_elements=[sources.c.source], set_=values))
