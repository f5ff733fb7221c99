"""Who works on which shard: leases with a fencing token, so that two workers are never at the same one.

Shards of podcasts are polled, shards of endpoints are sent to; each kind has its table of leases.

A lease ends by release or by time. Whoever takes a shard gets a greater fence than all before; a worker that
slept through its lease is told so when it comes to write (`assert_held`). Whoever takes a shard that was not
given back is told so, too: the work on it may have ended half done.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import getpid

from sqlalchemy import ColumnElement, Connection, Engine, Select, Table, and_, not_, or_, select, update

from registry.database import insert_into, writing
from registry.tables import leases

LONGEST_US = 2 * 3600 * 1_000_000  # no lease is given for longer; clocks set back an hour take nobody's away


@dataclass(frozen=True)
class Lease:
    """A shard that `owner` may work on until `expires_us`."""

    shard: int
    fence: int
    owner: str
    expires_us: int
    # By the owner before; False: it died, could not finish, or there was none.
    was_given_back: bool = field(default=True, compare=False)
    table: Table = field(default=leases, compare=False, repr=False)


class LeaseLost(RuntimeError):
    """The shard went to another worker: what was done under the old lease must not be written."""


def owner_name() -> str:
    """A name for this process that no other has had."""
    return f"{socket.gethostname()}:{getpid()}:{secrets.token_hex(4)}"


def claim(
    engine: Engine,
    owner: str,
    wanted: Sequence[int],
    ttl_s: float,
    now_us: int,
    at_most: int | None = None,
    table: Table = leases,
) -> list[Lease]:
    """Leases on those of the `wanted` shards that are free or expired, the first ones first, up to `at_most`.

    A shard that is held is left out, whoever holds it: the owner itself renews instead. Clocks of workers
    should agree to well within `ttl_s`.
    """
    free = or_(table.c.owner.is_(None), not_(_lasts(table, now_us)))
    expires_us = now_us + round(ttl_s * 1e6)
    with writing(engine) as connection:
        known = select(table.c.shard, table.c.owner, free).where(table.c.shard.in_(wanted))
        before = connection.execute(known).tuples().all()
        held = {shard for shard, _, is_free in before if not is_free}
        given_back = {shard for shard, last, _ in before if last is None}
        chosen = [shard for shard in dict.fromkeys(wanted) if shard not in held][:at_most]
        if not chosen:
            return []
        rows = [  # sorted: two workers lock in one order
            {"shard": shard, "fence": 1, "owner": owner, "expires_us": expires_us} for shard in sorted(chosen)
        ]
        # The condition is judged again under the row's lock: another worker may have been quicker.
        taking = (
            insert_into(connection, table)
            .values(rows)
            .on_conflict_do_update(
                index_elements=[table.c.shard],
                set_={"fence": table.c.fence + 1, "owner": owner, "expires_us": expires_us},
                where=free,
            )
            .returning(table.c.shard, table.c.fence)
        )
        fences = dict(connection.execute(taking).tuples().all())
    return [
        Lease(shard, fences[shard], owner, expires_us, shard in given_back, table)
        for shard in chosen
        if shard in fences
    ]


def renew(engine: Engine, held: Sequence[Lease], ttl_s: float, now_us: int) -> list[Lease]:
    """The leases that are still ours, prolonged; also an expired one, where nobody took the shard."""
    expires_us = now_us + round(ttl_s * 1e6)
    kept = _where_ours(engine, held, {"expires_us": expires_us})
    return [replace(lease, expires_us=expires_us) for lease in kept]


def release(engine: Engine, held: Sequence[Lease]) -> None:
    """Give shards back before their time; those that others took meanwhile stay theirs."""
    _where_ours(engine, held, {"owner": None})


def abandon(engine: Engine, held: Sequence[Lease]) -> None:
    """Leave shards before their time whose work is not finished: who takes them next is told so."""
    _where_ours(engine, held, {"expires_us": 0})


def taken(engine: Engine, now_us: int, table: Table = leases) -> tuple[set[int], set[int]]:
    """The shards that workers are at, and those that the last worker did not give back in time."""
    query = select(table.c.shard, _lasts(table, now_us)).where(table.c.owner.is_not(None))
    with engine.connect() as connection:
        rows = connection.execute(query).tuples().all()
    held = {shard for shard, is_held in rows if is_held}
    return held, {shard for shard, _ in rows} - held


def holds(engine: Engine, lease: Lease, now_us: int) -> bool:
    """Whether the shard is the lease's and its time not over."""
    with engine.connect() as connection:
        return (
            connection.execute(_current(lease).where(lease.table.c.expires_us > now_us)).first() is not None
        )


def assert_held(connection: Connection, lease: Lease) -> None:
    """Raises LeaseLost where another took the shard; else nobody can before the transaction ends."""
    if connection.execute(_current(lease).with_for_update()).first() is None:
        raise LeaseLost(f"shard {lease.shard}: another worker took it over (fence {lease.fence} is past)")


def _lasts(table: Table, now_us: int) -> ColumnElement[bool]:
    return and_(table.c.expires_us > now_us, table.c.expires_us <= now_us + LONGEST_US)


def _current(lease: Lease) -> Select[tuple[int]]:
    return select(lease.table.c.shard).where(_is(lease))


def _is(lease: Lease) -> ColumnElement[bool]:
    columns = lease.table.c
    return and_(columns.shard == lease.shard, columns.fence == lease.fence, columns.owner == lease.owner)


def _where_ours(engine: Engine, held: Sequence[Lease], values: dict[str, object]) -> list[Lease]:
    with writing(engine) as connection:
        return [
            lease
            for lease in sorted(held, key=lambda lease: lease.shard)
            if connection.execute(update(lease.table).where(_is(lease)).values(values)).rowcount
        ]
