"""The registry in a few numbers: how many podcasts, and who works on them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from registry.tables import PodcastState, leases, podcasts


@dataclass(frozen=True)
class Overview:
    """`held`: shards a worker has now. `left`: shards whose worker neither gave them back nor renewed."""

    by_state: dict[PodcastState, int]
    held: int
    left: int
    left_since_us: int | None  # the first of those leases ended then

    def polled(self) -> int:
        """Podcasts that are polled, be it monthly."""
        return self.by_state[PodcastState.ACTIVE] + self.by_state[PodcastState.DEAD]


def overview(engine: Engine, now_us: int) -> Overview:
    """A pass over the podcasts without sorting them: 0.2 s for a million in SQLite."""
    of_state = [func.count().filter(podcasts.c.state == state) for state in PodcastState]
    # An abandoned one (registry.leases.abandon) expires at 0: its worker lived to say so.
    expires = leases.c.expires_us
    is_left = leases.c.owner.is_not(None) & expires.between(1, now_us)
    with engine.connect() as connection:
        counts = connection.execute(select(*of_state).select_from(podcasts)).one()
        held, left, since_us = connection.execute(
            select(
                func.count().filter(leases.c.owner.is_not(None) & (expires > now_us)),
                func.count().filter(is_left),
                func.min(expires).filter(is_left),
            ).select_from(leases)
        ).one()
    return Overview(dict(zip(PodcastState, counts, strict=True)), held, left, since_us)
