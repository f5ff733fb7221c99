"""What an endpoint is held up by, and when somebody was last sent anything: looks at the deliveries' ends."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, and_, func, select

from registry.tables import attempts, deliveries, is_pending, subscriptions

_RECENT = (
    1000  # deliveries: among the newest is the newest request, or it is one of those looked at otherwise
)


@dataclass(frozen=True)
class Head:
    """The message that an ordered endpoint gets next, and what waits for it."""

    message_id: str
    failures: int  # attempts in vain
    due_us: int
    behind: int  # messages that may not overtake it
    detail: str | None  # of its last attempt


def head_of(engine: Engine, subscription_id: int) -> Head | None:
    """Of an ordered endpoint; None: nothing waits."""
    mine = and_(deliveries.c.subscription_id == subscription_id, is_pending)
    first = select(deliveries).where(mine).order_by(deliveries.c.delivery_id).limit(1)
    with engine.connect() as connection:
        row = connection.execute(first).mappings().one_or_none()
        if row is None:
            return None
        waiting = connection.scalar(select(func.count()).where(mine)) or 1
        of_it = attempts.c.delivery_id == row["delivery_id"]
        last = select(attempts.c.detail).where(of_it).order_by(attempts.c.number.desc()).limit(1)
        detail = connection.scalar(last)
    return Head(row["message_id"], row["failures"], row["due_us"], waiting - 1, detail or row["reason"])


def last_request_us(engine: Engine) -> int | None:
    """When a request to anybody was last begun or last succeeded; None: none in the log.

    Costs as much as what waits: the log may hold millions of attempts, and has no index of their time.
    """
    newest = func.max(attempts.c.started_us)
    last = select(func.max(attempts.c.delivery_id)).scalar_subquery()
    tried = and_(
        attempts.c.delivery_id == deliveries.c.delivery_id, attempts.c.number == deliveries.c.attempts
    )
    looks = (
        select(newest).where(attempts.c.delivery_id > last - _RECENT),
        select(newest).where(attempts.c.outcome.is_(None)),
        select(newest).join(deliveries, tried).where(is_pending, deliveries.c.attempts > 0),
        select(func.max(subscriptions.c.succeeded_us)),  # also of old messages, sent once more
    )
    with engine.connect() as connection:
        found = [connection.scalar(look) for look in looks]
    return max((at_us for at_us in found if at_us is not None), default=None)
