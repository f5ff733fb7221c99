"""A sender: holds shards of endpoints, begins what is due, sends it in lanes, writes what came of it.

Several may run at once; each shard is one sender's (registry.leases). One that is killed leaves its attempts
open: whoever takes its shards over makes the next ones, with the same webhook-id.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ingest.feeds.connector import instead_of_dns, named_hosts
from ingest.lake import utc_now_us
from ingest.schema import DAY_US
from ingest.settings import Settings
from registry import deliveries, leases
from registry.database import connected, writing
from registry.forgetting import forget
from registry.tables import DeliveryState, endpoint_leases
from serving.webhooks.lanes import Lanes
from serving.webhooks.outcomes import Outcome
from serving.webhooks.send import Sender, SendSettings
from serving.webhooks.turns import Answered, Turned, room_of, turn

_FORGET_EVERY_S = 3600.0
_GATHER_S = 0.05  # answers that come this close together are written in one transaction
SOON_S = 10.0  # a run waits for what is due so soon, a retry or a digest: the next one takes as long to start
_AGAIN_S = 1.0  # after the registry failed
_MOST_ERRORS = 3  # of the registry in a row, of a sender with a budget


@dataclass(frozen=True)
class DeliverSettings:
    """How a sender works."""

    budget_s: float | None = None  # None: until it is stopped
    poll_s: float = 0.2  # how often it looks for what is due
    # So long nobody takes over from a sender that died; a living one renews four times as often.
    lease_s: float = 3.0
    send: SendSettings = field(default_factory=SendSettings)


@dataclass
class ShardDelivered:
    """What a sender did for a shard of endpoints; counts of attempts and of deliveries given up."""

    sent: int = 0
    failed: int = 0
    dead: int = 0


@dataclass
class Delivered:
    """What a sender did, as it goes on."""

    shards: dict[int, ShardDelivered] = field(default_factory=dict)
    disabled: list[int] = field(default_factory=list)  # subscription ids
    lost: list[int] = field(default_factory=list)  # shards another sender took over
    interrupted: int = 0  # attempts that senders before us left open
    held: int = 0  # shards at its begin
    seconds: float = 0.0

    def total(self, name: str) -> int:
        """The sum of a count over the shards."""
        return sum(getattr(each, name) for each in self.shards.values())


def send_settings(settings: Settings) -> SendSettings:
    """Limits of requests to endpoints; addresses for tests where settings name them. Raises SettingError."""
    return SendSettings(
        contact=settings.publisher_contact,
        test_hosts=named_hosts(settings.webhook_test_hosts),
        resolve=instead_of_dns(settings),
    )


def deliver(
    settings: Settings,
    shards: Sequence[int],
    how: DeliverSettings | None = None,
    stop: threading.Event | None = None,
    clock: Callable[[], int] = utc_now_us,
    told: Callable[[Delivered], None] | None = None,
) -> Delivered:
    """Send what is due to the endpoints of those of `shards` that no other sender holds.

    With a budget it ends when nothing is due any more, or when its time is over; without one, when `stop` is
    set. `told` hears of each turn that did something. Raises what SQLAlchemy does where the registry fails,
    unless it runs for ever.
    """
    how = how or DeliverSettings(send=send_settings(settings))
    with connected(settings.registry, settings.data) as engine:
        sending = _Sending(engine, settings, list(shards), how, stop or threading.Event(), clock, told)
        asyncio.run(sending.run())
    return sending.delivered


class _Sending:
    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        shards: list[int],
        how: DeliverSettings,
        stop: threading.Event,
        clock: Callable[[], int],
        told: Callable[[Delivered], None] | None,
    ) -> None:
        self._engine, self._wanted, self._how = engine, shards, how
        self._keep_us = settings.webhook_keep_days * DAY_US
        self._stop, self._clock, self._told = stop, clock, told
        self._owner = leases.owner_name()
        self._held: list[leases.Lease] = []
        self._lanes: Lanes
        self._began_s = time.monotonic()
        self._leased_s = self._forgot_s = -1e9
        self._is_unsure, self._errors = False, 0
        self.delivered = Delivered()

    async def run(self) -> None:
        """Until the budget or the work is over, or it is stopped; then the requests that are out are waited
        for and the shards given back."""
        async with Sender(self._how.send) as sender:
            self._lanes = Lanes(sender, self._clock, self._is_ours)
            try:
                while not self._is_over():
                    turned = await self._turn()
                    if self._is_done(turned):
                        break
                    await self._rest()
            finally:
                await self._finish()
                self.delivered.seconds = time.monotonic() - self._began_s

    def _is_ours(self, attempt: deliveries.Attempt) -> bool:
        """Whether no other sender can have its shard: else it may send what we are about to."""
        shard, now_us = attempt.subscription.shard, self._clock()
        return any(lease.shard == shard and lease.expires_us > now_us for lease in self._held)

    def _is_over(self) -> bool:
        budget_s = self._how.budget_s
        is_late = budget_s is not None and time.monotonic() - self._began_s > budget_s
        return self._stop.is_set() or is_late

    def _is_done(self, turned: Turned) -> bool:
        """Whether a sender with a budget has nothing to do any more."""
        if self._how.budget_s is None or turned.begun or turned.ended or +self._lanes.in_flight:
            return False
        if not self._held:
            return True
        # Of the shards that are ours; those that others hold are theirs.
        soon_us = self._clock() + round(SOON_S * 1e6)
        due = deliveries.next_due(self._engine, [lease.shard for lease in self._held])
        return due is None or due > soon_us

    async def _rest(self) -> None:
        """Until answers are there or it is time to look again."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._lanes.wake.wait(), self._how.poll_s)
            await asyncio.sleep(_GATHER_S)
        self._lanes.wake.clear()

    async def _turn(self, may_begin: bool = True) -> Turned:
        answered, self._lanes.answered = self._lanes.answered, []
        try:
            turned = await asyncio.to_thread(self._write, answered, dict(self._lanes.in_flight), may_begin)
        except SQLAlchemyError:
            self._lanes.answered = answered + self._lanes.answered  # their answers are not lost
            self._is_unsure = True
            self._errors += 1
            if self._how.budget_s is not None and self._errors >= _MOST_ERRORS:
                raise
            await asyncio.sleep(_AGAIN_S)
            return Turned()
        self._errors = 0
        self._count(turned)
        self._lanes.inactive = turned.inactive
        self._lanes.take(turned.begun)
        return turned

    def _write(self, answered: list[Answered], in_flight: dict[int, int], may_begin: bool) -> Turned:
        """In a thread of its own: what waits for the registry, holding up no request."""
        self._keep_shards(may_begin)
        if self._is_unsure:
            self._settle(answered)
        if not (answered or (may_begin and self._has_room(in_flight))):
            return Turned(inactive=self._lanes.inactive)
        out = self._lanes.requests
        turned = turn(self._engine, self._held, answered, in_flight, self._clock(), may_begin, out)
        self._held = [lease for lease in self._held if lease.shard not in turned.lost]
        return turned

    def _has_room(self, in_flight: dict[int, int]) -> bool:
        """Whether something is due that could be begun."""
        shards = [lease.shard for lease in self._held]
        return any(
            room_of(each, in_flight.get(each.subscription_id, 0), self._lanes.requests) > 0
            for each in deliveries.waited_for(self._engine, shards, self._clock())
        )

    def _settle(self, answered: list[Answered]) -> None:
        """After a transaction of which we do not know whether it was committed: what it may have begun."""
        known = self._lanes.out | {(each.attempt.delivery_id, each.attempt.number) for each in answered}
        with writing(self._engine) as connection:
            deliveries.interrupt_all_but(
                connection, self._owner, known, str(Outcome.INTERRUPTED), self._clock()
            )
        self._is_unsure = False

    def _keep_shards(self, may_take: bool) -> None:
        """Renew what is ours in time, take what is free, forget what is old."""
        now_s = time.monotonic()
        if now_s - self._leased_s < self._how.lease_s / 4:
            return
        self._leased_s = now_s
        now_us = self._clock()
        kept = leases.renew(self._engine, self._held, self._how.lease_s, now_us)
        lost = {lease.shard for lease in self._held} - {lease.shard for lease in kept}
        self.delivered.lost += sorted(lost)
        self._held = kept
        missing = [shard for shard in self._wanted if shard not in {lease.shard for lease in kept}]
        if missing and not lost and may_take:
            self._take(missing, now_us)
        is_time = bool(self._held) and now_s - self._forgot_s > _FORGET_EVERY_S
        if is_time and forget(self._engine, now_us - self._keep_us):
            self._forgot_s = now_s

    def _take(self, shards: Sequence[int], now_us: int) -> None:
        taken = leases.claim(
            self._engine, self._owner, shards, self._how.lease_s, now_us, table=endpoint_leases
        )
        if not taken:
            return
        # Whose attempts are open there is dead, or finds its lease lost: its requests may have arrived.
        with writing(self._engine) as connection:
            ours = deliveries.still_ours(connection, taken)
            interrupted = deliveries.interrupt(connection, ours, str(Outcome.INTERRUPTED), now_us)
            self.delivered.interrupted += interrupted
        self._held += [lease for lease in taken if lease.shard in ours]
        self.delivered.held = max(self.delivered.held, len(self._held))

    async def _finish(self) -> None:
        """The requests that are out are waited for, their shards kept and their answers written."""
        self._lanes.end()
        while self._lanes.is_busy:
            await self._rest()
            with suppress(SQLAlchemyError):
                await self._turn(may_begin=False)
        with suppress(SQLAlchemyError):  # else the attempts stay open: the next sender finds them
            await self._turn(may_begin=False)
            leases.release(self._engine, self._held)

    def _count(self, turned: Turned) -> None:
        for each in turned.ended:
            counts = self.delivered.shards.setdefault(each.attempt.subscription.shard, ShardDelivered())
            counts.sent += each.state is DeliveryState.SENT
            counts.failed += each.state is not DeliveryState.SENT
            counts.dead += each.state is DeliveryState.DEAD
        self.delivered.disabled += turned.disabled
        self.delivered.lost += turned.lost
        if turned.ended and self._told is not None:
            self._told(self.delivered)
