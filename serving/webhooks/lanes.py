"""Lanes: each endpoint's requests go out beside the others', so that a slow or dead one delays nobody."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from registry.deliveries import Attempt
from registry.subscribing import Mode
from registry.subscriptions import Subscription
from serving.webhooks.outcomes import Outcome, Result
from serving.webhooks.payload import Event, body, notice_body
from serving.webhooks.send import Sender
from serving.webhooks.sign import headers
from serving.webhooks.turns import Answered


class Lanes:
    """Sends attempts as they are begun; `answered` gathers what came of them, `wake` is set for each."""

    def __init__(self, sender: Sender, clock: Callable[[], int], is_ours: Callable[[Attempt], bool]) -> None:
        """`is_ours`: whether an attempt's shard is still; asked before each request."""
        self._sender, self._clock, self._is_ours = sender, clock, is_ours
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_s: dict[int, float] = {}  # subscription id → when its rate allows the next request
        self.in_flight: Counter[int] = Counter()  # by subscription id
        self.out: set[tuple[int, int]] = set()  # (delivery_id, number), until `answered` has them
        self.answered: list[Answered] = []
        self.wake = asyncio.Event()
        self.inactive: set[int] = set()  # subscription ids: nothing more is sent to them
        self.requests = 0  # that are out
        self._ending = asyncio.Event()  # what is not sent by then stays unsent

    def take(self, attempts: Sequence[Attempt]) -> None:
        """Send these; an ordered endpoint's one after the other, as given."""
        ordered: dict[int, list[Attempt]] = {}
        for attempt in attempts:
            subscription = attempt.subscription
            self.in_flight[subscription.subscription_id] += 1
            self.out.add((attempt.delivery_id, attempt.number))
            if subscription.is_ordered:
                ordered.setdefault(subscription.subscription_id, []).append(attempt)
            else:
                self._start([attempt])
        for lane in ordered.values():
            self._start(lane)

    def end(self) -> None:
        """Send nothing more; the requests that are out go on."""
        self._ending.set()

    @property
    def is_busy(self) -> bool:
        return bool(self._tasks)

    def _start(self, attempts: Sequence[Attempt]) -> None:
        task = asyncio.create_task(self._send_all(attempts))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_all(self, attempts: Sequence[Attempt]) -> None:
        """One after the other; behind a failure nothing goes out before it is tried again."""
        is_blocked = False
        for attempt in attempts:
            if not is_blocked:
                await self._turn_of(attempt.subscription)
            may_send = not is_blocked and self._may_send(attempt)
            result = await self._send(attempt) if may_send else None
            is_blocked = result is None or not result.is_success
            self.answered.append(Answered(attempt, result, self._clock()))
            self.in_flight[attempt.subscription.subscription_id] -= 1
            self.out.discard((attempt.delivery_id, attempt.number))
            self.wake.set()

    def _may_send(self, attempt: Attempt) -> bool:
        is_active = attempt.subscription.subscription_id not in self.inactive
        return is_active and not self._ending.is_set() and self._is_ours(attempt)

    async def _send(self, attempt: Attempt) -> Result:
        now_us, subscription = self._clock(), attempt.subscription
        try:
            content = content_of(attempt)
            signed = headers(
                attempt.message_id, content, subscription.secrets(now_us), now_us, attempt.number
            )
        except Exception as error:  # a message that cannot be written costs itself alone
            detail = f"{type(error).__name__}: {error}"[:300]
            return Result(Outcome.NOT_SENT, detail=detail)
        self.requests += 1
        try:
            return await self._sender.post(subscription.url, content, signed)
        finally:
            self.requests -= 1

    async def _turn_of(self, subscription: Subscription) -> None:
        """Waits until the endpoint's rate allows a request."""
        if subscription.rate_per_s is None:
            return
        now_s = time.monotonic()
        at_s = max(now_s, self._next_s.get(subscription.subscription_id, 0.0))
        self._next_s[subscription.subscription_id] = at_s + 1 / subscription.rate_per_s
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), at_s - now_s)


def content_of(attempt: Attempt) -> bytes:
    """The body of a message: the same for each of its attempts."""
    if attempt.notice is not None:
        return notice_body(attempt.notice["type"], attempt.notice["data"], attempt.notice["at_us"])
    events = [
        Event(change.podcast_key, change.sequence, change.change, change.detected_us, change.data)
        for change in attempt.changes
    ]
    is_batch = attempt.subscription.mode is Mode.SCHEDULED
    return body(events, attempt.subscription.fields, is_batch=is_batch)
