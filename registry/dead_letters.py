"""Webhooks that were given up: how many of late, by endpoint."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from registry.tables import SubscriptionState, deliveries, is_dead, subscriptions


def given_up(engine: Engine, since_us: int) -> dict[int, int]:
    """subscription_id, of those not ended → its deliveries that died since then and were not replayed."""
    query = (
        select(deliveries.c.subscription_id, func.count())
        .join(subscriptions, subscriptions.c.subscription_id == deliveries.c.subscription_id)
        .where(
            subscriptions.c.state != SubscriptionState.ENDED,
            is_dead,
            deliveries.c.ended_us >= since_us,
        )
        .group_by(deliveries.c.subscription_id)
    )
    with engine.connect() as connection:
        return dict(connection.execute(query).tuples().all())
