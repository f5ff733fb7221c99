"""The messages that go out, type by type: the one truth of their form (docs/webhooks.md is made from it)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Timestamp = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        json_schema_extra={"format": "date-time"},
        description="an instant, RFC 3339, UTC, with microseconds",
    ),
]
# 64 bits: more than JavaScript's numbers hold exactly.
Key = Annotated[str, Field(pattern=r"^-?\d{1,20}$", description="a 64-bit integer as decimal text")]


def timestamp(instant_us: int) -> str:
    """A `Timestamp` of epoch microseconds."""
    return f"{_EPOCH + timedelta(microseconds=instant_us):%Y-%m-%dT%H:%M:%S.%f}Z"


def _as_published(schema: dict[str, JsonValue]) -> None:
    """Members may be added one day, which a receiver is to ignore; titles only repeat the names."""
    schema.pop("additionalProperties", None)
    for described in cast(dict[str, dict[str, JsonValue]], schema.get("properties", {})).values():
        described.pop("title", None)


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, json_schema_extra=_as_published
    )


class Podcast(_Model):
    """The podcast, as it is now."""

    key: Key
    """stays the same for ever, also when the feed moves"""
    guid: str | None
    """podcast:guid, declared or derived from the feed's URL"""
    feed_url: str | None
    """where the feed is fetched; null only where it was too long (is_shortened)"""
    title: str | None


class Episode(_Model):
    """The episode, as it is now."""

    key: Key
    """stays the same as long as the feed does not change the guid"""
    guid: str | None
    title: str | None
    enclosure_url: str | None
    published: Timestamp | None
    """publication date as the feed has it; null: none that can be read"""


class Change(_Model):
    """One field, before and after."""

    field: str
    old: JsonValue
    """null: the feed did not say"""
    new: JsonValue
    """null: the feed no longer says"""
    is_shortened: bool = False
    """true where old or new was cut (to a text with … in it, a shorter list, or null); else left out"""


class _ChangeData(_Model):
    podcast: Podcast
    episode: Episode | None
    sequence: int
    """number of the change, per podcast; only grows, and holes are normal: others are not told to you"""
    coalesced: list[int]
    """sequences of earlier changes that are merged in here and not told on their own"""
    changes: list[Change]
    """what changed, sorted by field"""
    is_shortened: bool
    """something was cut or left out, so that the body stays below 20 kB"""
    link: str | None = None
    """where the whole of a shortened message is, if anywhere"""


class PodcastChange(_ChangeData):
    """A change of the podcast itself."""

    episode: None


class EpisodeChange(_ChangeData):
    """A change of one of its episodes."""

    episode: Episode


class _Message(_Model):
    type: str
    timestamp: Timestamp
    """when the change was detected; not when it was sent (header webhook-timestamp)"""


class PodcastUpdated(_Message):
    """What the feed says of the podcast itself changed."""

    type: Literal["podcast.updated"]
    data: PodcastChange


class PodcastMoved(_Message):
    """The feed has a new URL: `changes` holds `feed_url`. The podcast's key stays."""

    type: Literal["podcast.moved"]
    data: PodcastChange


class PodcastGone(_Message):
    """The feed is no longer there: its server says so, or it has not answered for 30 days."""

    type: Literal["podcast.gone"]
    data: PodcastChange


class PodcastRecovered(_Message):
    """A feed that was gone is there again."""

    type: Literal["podcast.recovered"]
    data: PodcastChange


class PodcastLive(_Message):
    """A podcast:liveItem is live now: `changes` holds `live_item`, its status before and after."""

    type: Literal["podcast.live"]
    data: PodcastChange


class EpisodeCreated(_Message):
    """An episode is in the feed for the first time; `changes` holds all that the feed says of it."""

    type: Literal["episode.created"]
    data: EpisodeChange


class EpisodeUpdated(_Message):
    """What the feed says of an episode changed, or it came back after it had been removed."""

    type: Literal["episode.updated"]
    data: EpisodeChange


class EpisodeRemoved(_Message):
    """An episode was taken out of the feed, and not merely pushed out by newer ones."""

    type: Literal["episode.removed"]
    data: EpisodeChange


ChangeMessage = Annotated[
    PodcastUpdated
    | PodcastMoved
    | PodcastGone
    | PodcastRecovered
    | PodcastLive
    | EpisodeCreated
    | EpisodeUpdated
    | EpisodeRemoved,
    Field(discriminator="type"),
]


class BatchData(_Model):
    """Several changes in one request, oldest first."""

    count: int
    """of events"""
    events: list[ChangeMessage]
    """each as it would be sent on its own"""


class ChangesBatch(_Message):
    """What a scheduled subscription gets; `timestamp` is that of its first event."""

    type: Literal["changes.batch"]
    data: BatchData


class ChallengeData(_Model):
    """What the endpoint is to answer."""

    challenge: str
    """answer it with status 2xx, as {"challenge": "…"} or as plain text"""


class WebhookChallenge(_Message):
    """Asks, before a subscription begins, whether the endpoint wants it."""

    type: Literal["webhook.challenge"]
    data: ChallengeData


class TestData(_Model):
    """Nothing but words."""

    message: str


class WebhookTest(_Message):
    """`earshot test-event` sent it: nothing happened."""

    type: Literal["webhook.test"]
    data: TestData


class DisabledData(_Model):
    """The subscription that is no longer sent to."""

    subscription: int
    """its number, as `earshot subscriptions` shows it"""
    url: str
    reason: str


class SubscriptionDisabled(_Message):
    """Another endpoint of yours was disabled; this one hears of it whatever it is subscribed to."""

    type: Literal["subscription.disabled"]
    data: DisabledData


Notice = Annotated[WebhookChallenge | WebhookTest | SubscriptionDisabled, Field(discriminator="type")]
# All that an endpoint may be sent.
Message = Annotated[
    PodcastUpdated
    | PodcastMoved
    | PodcastGone
    | PodcastRecovered
    | PodcastLive
    | EpisodeCreated
    | EpisodeUpdated
    | EpisodeRemoved
    | ChangesBatch
    | WebhookChallenge
    | WebhookTest
    | SubscriptionDisabled,
    Field(discriminator="type"),
]
