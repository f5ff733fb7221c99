"""Which change which subscription is told of, and in which message: pure (UPDATES §5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import orjson
import xxhash

from ingest.feeds.schema import ChangeType
from registry.change_data import ChangeData
from registry.digests import next_digest_us
from registry.subscribing import Mode
from registry.subscriptions import ENDPOINT_DISABLED, Subscription
from registry.tables import DeliveryState, SubscriptionState

MAX_BATCH_BYTES = 18_000  # of its events; the rest of the 20 kB is the envelope's
CHANGED_BACK = "changed back"

UPDATES = (ChangeType.PODCAST_UPDATED, ChangeType.EPISODE_UPDATED)
# What an event says around its podcast, episode and changes.
_AROUND_BYTES = 260
# A later change becomes part of an event that still waits: (type of the event, of the change).
_MERGED = {(one, one) for one in UPDATES} | {(ChangeType.EPISODE_CREATED, ChangeType.EPISODE_UPDATED)}

Labels = Mapping[str, Collection[str]]  # tenant → its labels of a podcast


class Listener:
    """A subscription, as matching looks at it."""

    def __init__(self, subscription: Subscription) -> None:
        self.id = subscription.subscription_id
        self.subscription = subscription
        self.fields = frozenset(subscription.fields)
        self._types = frozenset(subscription.types)
        self._keys = frozenset(subscription.podcasts.keys)
        self._labels = frozenset(subscription.podcasts.labels)

    def is_for(self, podcast_key: int, labels: Collection[str], change: ChangeType) -> bool:
        """Whether such changes of a podcast that its tenant gave these labels matter to it."""
        return (not self._types or change in self._types) and (
            not (self._keys or self._labels)
            or podcast_key in self._keys
            or not self._labels.isdisjoint(labels)
        )

    def hears(self, change: ChangeType, is_minor: bool, changed: Collection[str]) -> bool:
        """Whether it is told of a change of the fields `changed`."""
        if self.fields and (is_minor or change in UPDATES):
            return not self.fields.isdisjoint(changed)
        return not is_minor

    def is_told_all_of(self, change: ChangeType) -> bool:
        """Whether it is told of all fields of a change, not only of those it names."""
        return not self.fields or change not in UPDATES


class Audience:
    """Who hears of the changes of which podcast. `tracked`: podcast_key → who tracks it."""

    def __init__(self, subscriptions: Iterable[Subscription], tracked: Mapping[int, Labels]) -> None:
        self._by_tenant: dict[str, list[Listener]] = {}
        for subscription in subscriptions:
            self._by_tenant.setdefault(subscription.tenant, []).append(Listener(subscription))
        self._tracked = tracked
        self._of: dict[tuple[int, ChangeType], list[Listener]] = {}

    def of(self, podcast_key: int, change: ChangeType) -> list[Listener]:
        """Those to whom such changes of the podcast matter."""
        found = self._of.get((podcast_key, change))
        if found is None:
            found = self._of[podcast_key, change] = [
                listener
                for tenant, labels in self._tracked.get(podcast_key, {}).items()
                for listener in self._by_tenant.get(tenant, ())
                if listener.is_for(podcast_key, labels, change)
            ]
        return found


@dataclass(frozen=True)
class Event:
    """A change that somebody is told of: a row of the outbox."""

    outbox_id: int
    podcast_key: int
    sequence: int
    detected_us: int
    change: ChangeType
    data: ChangeData

    def id_for(self, subscription_id: int) -> str:
        """Of a message that begins with it.

        Two subscriptions may be told different things of one change, and a receiver drops what has an id it
        has seen: theirs differ, at one URL, too.
        """
        said = f"{subscription_id}:{self.podcast_key}:{self.sequence}:{self.detected_us}"
        return xxhash.xxh3_128_hexdigest(said.encode())

    @property
    def episode_key(self) -> str | None:
        episode = self.data["episode"]
        return None if episode is None else episode["key"]

    def goes_on(self, earlier: Event) -> bool:
        """Whether it may be told as part of `earlier`, of the same podcast."""
        return (earlier.change, self.change) in _MERGED and earlier.episode_key == self.episode_key

    def bytes_for(self, listener: Listener) -> int:
        """What it takes in a message, at most."""
        if listener.is_told_all_of(self.change):
            return self._bytes
        return self._frame_bytes + sum(self._field_bytes.get(name, 0) for name in listener.fields)

    @cached_property
    def _bytes(self) -> int:
        said = [self.data["podcast"], self.data["episode"], self.data["changes"]]
        return len(orjson.dumps(said)) + _AROUND_BYTES

    @cached_property
    def _frame_bytes(self) -> int:
        return len(orjson.dumps([self.data["podcast"], self.data["episode"]])) + _AROUND_BYTES

    @cached_property
    def _field_bytes(self) -> dict[str, int]:
        return {one["field"]: len(orjson.dumps(one)) + 1 for one in self.data["changes"]}


def is_changed_back(events: Sequence[Event], listener: Listener) -> bool:
    """Whether events of one record, oldest first, leave nothing to tell: each field is back at its old value.

    Where only minor fields are not, that is no event either, unless they were asked for.
    """
    first: dict[str, object] = {}
    last: dict[str, object] = {}
    is_major: set[str] = set()
    for event in events:
        if event.change not in UPDATES:
            return False  # what was created is there
        minor = event.data["minor_fields"]
        for one in event.data["changes"]:
            name = one["field"]
            if name in listener.fields or (not listener.fields and name not in minor):
                is_major.add(name)
            first.setdefault(name, one["old"])
            last[name] = one["new"]
    return all(first[name] == last[name] for name in is_major)


@dataclass(slots=True)
class Message:
    """A row of `deliveries`: a new one, or one that waits and may take in more."""

    subscription_id: int
    message_id: str
    podcast_key: int | None  # None: a batch
    outbox_ids: list[int]
    size: int
    due_us: int
    state: DeliveryState = DeliveryState.PENDING
    reason: str | None = None
    ended_us: int | None = None
    delivery_id: int | None = None  # None: a new one
    events: list[Event] = field(default_factory=list)  # of one that may take in more of its record
    is_open: bool = True  # False: it is later than any that may, and may not itself
    is_changed: bool = False

    def take_in(self, event: Event, size: int) -> None:
        self.outbox_ids.append(event.outbox_id)
        self.size += size
        self.is_changed = True


class Composer:
    """Fills messages with events; a podcast's are added in order of sequence.

    `waiting`: of each scheduled subscription its newest batch, of each coalescing one and podcast its newest
    message, where they wait.
    """

    def __init__(self, now_us: int, waiting: Iterable[Message] = ()) -> None:
        self._now_us = now_us
        self._waiting = {(one.subscription_id, one.podcast_key): one for one in waiting}
        self._digests_us: dict[int, int] = {}
        self.new: list[Message] = []
        self._old = list(self._waiting.values())

    @property
    def changed(self) -> list[Message]:
        """Those of `waiting` that took something in."""
        return [message for message in self._old if message.is_changed]

    def add(self, listener: Listener, event: Event) -> None:
        """Tell a listener that hears of the event."""
        subscription = listener.subscription
        size = event.bytes_for(listener)
        if subscription.mode is Mode.SCHEDULED:
            self._add_to_batch(subscription, event, size)
        elif not self._is_merged(listener, event, size):
            due_us = self._now_us + round(subscription.coalesce_s * 1e6)
            message = self._begin(subscription, "evt", event, size, due_us, event.podcast_key)
            if message.state is DeliveryState.PENDING and subscription.coalesce_s:
                message.events.append(event)
                self._waiting[subscription.subscription_id, event.podcast_key] = message

    def _add_to_batch(self, subscription: Subscription, event: Event, size: int) -> None:
        key = (subscription.subscription_id, None)
        batch = self._waiting.get(key)
        is_room = (
            batch is not None
            and batch.is_open
            and len(batch.outbox_ids) < subscription.batch_size
            and batch.size + size <= MAX_BATCH_BYTES
        )
        if batch is not None and is_room:
            batch.take_in(event, size)
        else:
            due_us = self._digest_us(subscription)
            self._waiting[key] = self._begin(subscription, "batch", event, size, due_us, None)

    def _is_merged(self, listener: Listener, event: Event, size: int) -> bool:
        key = (listener.subscription.subscription_id, event.podcast_key)
        message = self._waiting.get(key)
        if message is None or not message.is_open or not event.goes_on(message.events[0]):
            return False
        message.take_in(event, size)
        message.events.append(event)
        if is_changed_back(message.events, listener):
            message.state, message.reason = DeliveryState.VOID, CHANGED_BACK
            message.ended_us = self._now_us
            del self._waiting[key]
        return True

    def _begin(
        self,
        subscription: Subscription,
        kind: str,
        event: Event,
        size: int,
        due_us: int,
        podcast_key: int | None,
    ) -> Message:
        message_id = f"{kind}_{event.id_for(subscription.subscription_id)}"
        message = Message(
            subscription.subscription_id, message_id, podcast_key, [event.outbox_id], size, due_us
        )
        if subscription.state is SubscriptionState.DISABLED:
            message.due_us = message.ended_us = self._now_us
            message.state, message.reason = DeliveryState.DEAD, ENDPOINT_DISABLED
        self.new.append(message)
        return message

    def _digest_us(self, subscription: Subscription) -> int:
        due_us = self._digests_us.get(subscription.subscription_id)
        if due_us is None:
            assert subscription.cron is not None
            due_us = next_digest_us(subscription.cron, subscription.time_zone, self._now_us)
            self._digests_us[subscription.subscription_id] = due_us
        return due_us
