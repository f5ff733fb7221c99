"""What is asked of subscriptions and told of them and their deliveries; a secret only once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from registry.delivery_log import EndpointSummary, LoggedAttempt, LoggedDelivery
from registry.subscribing import MAX_PODCASTS, TYPES
from registry.subscriptions import Subscription
from registry.tables import DeliveryState, SubscriptionState
from serving.metadata.told import instant

_TIME = "2026-11-29T06:00:00.000000Z"
_MESSAGE = "msg_0f3b2c"


class SubscriptionWanted(BaseModel):
    """An endpoint, and what it is to be told of."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=4096, examples=["https://example.com/hook"])
    types: list[str] = Field(default=[], max_length=50, description=f"of {', '.join(TYPES)}; default: all")
    podcasts: list[str] = Field(
        default=[], max_length=MAX_PODCASTS, description="only these of yours: keys, URLs or guids"
    )
    labels: list[str] = Field(default=[], max_length=100, description="only podcasts so labelled")
    fields: list[str] = Field(default=[], max_length=200, description="of updates only those of these")
    cron: str | None = Field(
        default=None, max_length=300, description="batches at these times", examples=["0 7 * * MON-FRI"]
    )
    time_zone: str | None = Field(default=None, max_length=100, description="of cron", examples=["UTC"])
    batch_size: int | None = Field(default=None, description="with cron: events of a request at most")
    coalesce_s: float = Field(default=0, description="changes of a record within it become one event")
    is_ordered: bool = Field(default=False, description="one request at a time; a failing one blocks")
    rate_per_s: float | None = Field(default=None, description="requests a second at most")
    secret: str | None = Field(
        default=None, max_length=200, description="whsec_… to sign with; default: made, and shown once"
    )


class SecretWanted(BaseModel):
    """The new secret."""

    model_config = ConfigDict(extra="forbid")

    secret: str | None = Field(default=None, max_length=200, description="whsec_…; default: made")


class TestWanted(BaseModel):
    """Which example."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(default="webhook.test", max_length=100, examples=["episode.created"])


class ReplayWanted(BaseModel):
    """Which messages: by id, of a time, or all that were given up; one of the three."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    message_ids: list[str] = Field(default=[], max_length=1000, examples=[[_MESSAGE]])
    from_: datetime | None = Field(default=None, alias="from", description="made since", examples=[None])
    to: datetime | None = Field(default=None, description="made before", examples=[None])
    failed_since: datetime | None = Field(default=None, description="all given up since", examples=[None])
    dry_run: bool = Field(default=False, description="count them; change nothing")


class SubscriptionRow(BaseModel):
    """A subscription, without its secret, and how its endpoint fares."""

    subscription_id: int = Field(examples=[3])
    url: str = Field(examples=["https://example.com/hook"])
    types: list[str] = Field(examples=[["episode.created"]])
    podcasts: list[str] = Field(description="keys; empty: all of yours, or those of labels", examples=[[]])
    labels: list[str] = Field(examples=[[]])
    fields: list[str] = Field(examples=[[]])
    mode: str = Field(examples=["immediate"])
    cron: str | None = Field(examples=[None])
    time_zone: str = Field(examples=["UTC"])
    batch_size: int = Field(examples=[100])
    coalesce_s: float = Field(examples=[0.0])
    is_ordered: bool = Field(examples=[False])
    rate_per_s: float | None = Field(examples=[None])
    state: SubscriptionState
    reason: str | None = Field(examples=[None])
    state_since: str | None = Field(examples=[_TIME])
    created_at: str | None = Field(examples=[_TIME])
    failures: int = Field(description="attempts in a row", examples=[0])
    failing_since: str | None = Field(examples=[None])
    succeeded_at: str | None = Field(examples=[_TIME])
    paused_until: str | None = Field(examples=[None])
    waiting: int | None = Field(description="messages still to be sent", examples=[0])
    sent: int | None = Field(description="ever", examples=[120])
    dead: int | None = Field(description="given up, kept for replay", examples=[0])


class SubscribedAnswer(SubscriptionRow):
    """A subscription that was asked for."""

    is_new: bool = Field(description="false: you had asked for the same before", examples=[True])
    secret: str | None = Field(description="of a new one: keep it, it is not shown again")


class SecretAnswer(BaseModel):
    """The new secret, and until when the one before signs, too."""

    subscription_id: int = Field(examples=[3])
    secret: str
    previous_signs_until: str | None = Field(examples=[_TIME])


class TestAnswer(BaseModel):
    """What the endpoint answered to an example."""

    message_id: str = Field(examples=["test_0f3b2c"])
    is_success: bool = Field(examples=[True])
    outcome: str = Field(examples=["success"])
    status: int | None = Field(examples=[204])
    ms: int | None = Field(examples=[31])
    detail: str | None = Field(examples=[None])
    answer: str | None = Field(description="its first kilobyte", examples=[""])


class DeliveryRow(BaseModel):
    """A message to the endpoint."""

    message_id: str = Field(description="the webhook-id", examples=[_MESSAGE])
    type: str = Field(examples=["episode.created"])
    podcast_key: str | None = Field(
        description="null: a batch or a notice", examples=["-4211503829512346624"]
    )
    sequence: int | None = Field(examples=[17])
    changes: int = Field(examples=[1])
    state: DeliveryState
    reason: str | None = Field(examples=[None])
    created_at: str | None = Field(examples=[_TIME])
    due_at: str | None = Field(examples=[_TIME])
    attempts: int = Field(examples=[1])
    ended_at: str | None = Field(examples=[_TIME])
    replays: int = Field(examples=[0])


class AttemptRow(BaseModel):
    """One request of a message."""

    number: int = Field(examples=[1])
    started_at: str | None = Field(examples=[_TIME])
    outcome: str | None = Field(description="null: it is open", examples=["success"])
    status: int | None = Field(examples=[204])
    ms: int | None = Field(examples=[31])
    detail: str | None = Field(examples=[None])
    answer: str | None = Field(examples=[""])


class DeliveryAnswer(DeliveryRow):
    """A message with its attempts."""

    log: list[AttemptRow]


class ReplayAnswer(BaseModel):
    """What came of a replay, or would."""

    queued: int = Field(description="sent once more, under their first ids", examples=[2])
    waiting_anyway: int = Field(examples=[0])
    nothing_to_tell: int = Field(examples=[0])
    endpoint_not_active: int = Field(description="resume it first", examples=[0])
    unknown: list[str] = Field(description="ids that you have no message of", examples=[[]])


def subscription_row(one: Subscription, fares: EndpointSummary | None) -> dict[str, Any]:
    """SubscriptionRow."""
    return {
        "subscription_id": one.subscription_id,
        "url": one.url,
        "types": [str(each) for each in one.types],
        "podcasts": [str(key) for key in one.podcasts.keys],
        "labels": list(one.podcasts.labels),
        "fields": list(one.fields),
        "mode": str(one.mode),
        "cron": one.cron,
        "time_zone": one.time_zone,
        "batch_size": one.batch_size,
        "coalesce_s": one.coalesce_s,
        "is_ordered": one.is_ordered,
        "rate_per_s": one.rate_per_s,
        "state": str(one.state),
        "reason": one.reason,
        "state_since": instant(one.state_us),
        "created_at": instant(one.created_us),
        "failures": one.failures,
        "failing_since": instant(one.failing_since_us),
        "succeeded_at": instant(one.succeeded_us),
        "paused_until": instant(one.paused_until_us or None),
        "waiting": None if fares is None else fares.waiting,
        "sent": None if fares is None else fares.sent,
        "dead": None if fares is None else fares.dead,
    }


def delivery_row(one: LoggedDelivery) -> dict[str, Any]:
    """DeliveryRow."""
    return {
        "message_id": one.message_id,
        "type": one.type,
        "podcast_key": None if one.podcast_key is None else str(one.podcast_key),
        "sequence": one.sequence,
        "changes": one.changes,
        "state": str(one.state),
        "reason": one.reason,
        "created_at": instant(one.created_us),
        "due_at": instant(one.due_us),
        "attempts": one.attempts,
        "ended_at": instant(one.ended_us),
        "replays": one.replays,
    }


def attempt_row(one: LoggedAttempt) -> dict[str, Any]:
    """AttemptRow; which of our senders it was is no business of the endpoint's owner."""
    return {
        "number": one.number,
        "started_at": instant(one.started_us),
        "outcome": one.outcome,
        "status": one.status,
        "ms": one.ms,
        "detail": one.detail,
        "answer": one.answer,
    }
