"""A number that grows with every change of keys and access, so that copies in memory know they are old."""

from __future__ import annotations

from sqlalchemy import Connection, select

from registry.database import insert_into
from registry.tables import access_revisions


def current(connection: Connection) -> int:
    """0 until the first change."""
    found: int | None = connection.execute(select(access_revisions.c.revision)).scalar()
    return found or 0


def advance(connection: Connection) -> None:
    """In the transaction that changes something: who sees the new number sees the change."""
    first = insert_into(connection, access_revisions).values(only=1, revision=1)
    grown = {"revision": access_revisions.c.revision + 1}
    connection.execute(first.on_conflict_do_update(index_elements=["only"], set_=grown))
