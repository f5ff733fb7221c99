"""A sender of webhooks that takes its turns by a clock of its own, and asks nobody."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from registry import deliveries, leases
from registry.database import writing
from registry.deliveries import Attempt
from registry.leases import Lease
from registry.subscriptions import ENDPOINT_SHARDS
from registry.tables import endpoint_leases
from serving.webhooks.outcomes import Outcome, Result
from serving.webhooks.turns import Answered, Turned, turn

S = 1_000_000
H, DAY = 3600 * S, 86_400 * S


class Sender:
    """Takes turns by a clock of its own."""

    def __init__(self, engine: Engine, now_us: int = 1_000 * DAY, name: str = "sender") -> None:
        self.engine, self.now_us, self.name = engine, now_us, name
        self.held: list[Lease] = []
        self.answered: list[Answered] = []

    def take(self, ttl_s: float = 3600) -> Sender:
        self.held = leases.claim(
            self.engine, self.name, range(ENDPOINT_SHARDS), ttl_s, self.now_us, table=endpoint_leases
        )
        with writing(self.engine) as connection:
            shards = [lease.shard for lease in self.held]
            deliveries.interrupt(connection, shards, str(Outcome.INTERRUPTED), self.now_us)
        return self

    def turn(self, in_flight: dict[int, int] | None = None) -> Turned:
        answered, self.answered = self.answered, []
        return turn(self.engine, self.held, answered, in_flight or {}, self.now_us)

    def answer(self, begun: list[Attempt], result: Result | None) -> None:
        self.answered += [Answered(attempt, result, self.now_us) for attempt in begun]

    def goes_on(
        self,
        answer: Callable[[Attempt, int], Result | None],
        until_us: int,
        seen: Callable[[Turned], None] = lambda turned: None,
    ) -> None:
        """Sends whatever comes due until then."""
        while True:
            turned = self.turn()
            seen(turned)
            for attempt in turned.begun:
                self.answer([attempt], answer(attempt, self.now_us))
            if turned.begun or self.answered:
                continue
            due_us = deliveries.next_due(self.engine, range(ENDPOINT_SHARDS))
            if due_us is None or due_us > until_us:
                self.now_us = until_us
                return
            self.now_us = max(self.now_us, due_us)
