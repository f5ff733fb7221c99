"""Lanes: each endpoint's requests go out beside the others', so that a slow or dead one delays nobody."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

from registry.deliveries import Attempt
from registry.subscriptions import Subscription
from serving.webhooks.outcomes import Outcome, Result
from serving.webhooks.payload import Event, body, notice_body
from serving.webhooks.send import Sender
from serving.webhooks.sign import headers
from serving.webhooks.turns import Answered


class Lanes:
    """Sends attempts as they are begun; `answered` gathers what came of them, `wake` is set for each."""

    def __init__(self, sender: Sender, clock: Callable[[], int]) -> None:
        self._sender, self._clock = sender, clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_s: dict[int, float] = {}  # subscription id → when its rate allows the next request
        self.in_flight: Counter[int] = Counter()  # by subscription id
        self.out: set[tuple[int, int]] = set()  # (delivery_id, number), until `answered` has them
        self.answered: list[Answered] = []
        self.wake = asyncio.Event()
        self.is_ending = False  # what is not sent by now stays unsent

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

    async def end(self) -> None:
        """Wait for the requests that are out."""
        self.is_ending = True
        while self._tasks:
            await asyncio.wait(self._tasks)

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
            if is_blocked or self.is_ending:
                result = None
            else:
                result = await self._send(attempt)
            is_blocked = result is None or not result.is_success
            self.answered.append(Answered(attempt, result, self._clock()))
            self.in_flight[attempt.subscription.subscription_id] -= 1
            self.out.discard((attempt.delivery_id, attempt.number))
            self.wake.set()

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
        return await self._sender.post(subscription.url, content, signed)

    async def _turn_of(self, subscription: Subscription) -> None:
        """Waits until the endpoint's rate allows a request."""
        if subscription.rate_per_s is None:
            return
        now_s = time.monotonic()
        at_s = max(now_s, self._next_s.get(subscription.subscription_id, 0.0))
        self._next_s[subscription.subscription_id] = at_s + 1 / subscription.rate_per_s
        await asyncio.sleep(at_s - now_s)


def content_of(attempt: Attempt) -> bytes:
    """The body of a message: the same for each of its attempts."""
    if attempt.notice is not None:
        return notice_body(attempt.notice["type"], attempt.notice["data"], attempt.notice["at_us"])
    events = [
        Event(change.podcast_key, change.sequence, change.change, change.detected_us, change.data)
        for change in attempt.changes
    ]
    is_batch = attempt.subscription.mode == "scheduled"
    return body(events, attempt.subscription.fields, is_batch=is_batch)
