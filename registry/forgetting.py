"""What the log of webhooks forgets: old deliveries, their attempts, and changes nobody waits for."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, select

from registry.batches import PARAMETERS, batches
from registry.database import writing
from registry.tables import attempts, deliveries, outbox

AT_A_TIME = 1_000  # a transaction stays short beside a sender's lease


def forget(engine: Engine, before_us: int) -> bool:
    """Remove deliveries that ended before then, their attempts, and changes nobody else waits for; a bounded
    number of them. False: there are more.
    """
    with writing(engine) as connection:
        return _forget_some(connection, before_us) < AT_A_TIME


def _forget_some(connection: Connection, before_us: int) -> int:
    old = (
        select(deliveries.c.delivery_id, deliveries.c.outbox_ids, deliveries.c.ended_us)
        .where(deliveries.c.ended_us < before_us)
        .order_by(deliveries.c.ended_us)
        .limit(AT_A_TIME)
    )
    rows = connection.execute(old).tuples().all()
    for some in batches([delivery_id for delivery_id, _, _ in rows], PARAMETERS):
        connection.execute(delete(attempts).where(attempts.c.delivery_id.in_(some)))
        connection.execute(delete(deliveries).where(deliveries.c.delivery_id.in_(some)))
    mentioned = {number for _, numbers, _ in rows for number in numbers}
    if not mentioned:
        return len(rows)
    # A change is handed over at once to all that hear of it: whatever else mentions it was made by then, and
    # these had not ended yet.
    newest_us = max(ended_us or 0 for _, _, ended_us in rows)
    left = select(deliveries.c.outbox_ids).where(deliveries.c.created_us <= newest_us)
    mentioned -= {number for numbers in connection.scalars(left) for number in numbers}
    for some in batches(sorted(mentioned), PARAMETERS):
        connection.execute(delete(outbox).where(outbox.c.outbox_id.in_(some)))
    return len(rows)
