"""What records look like, for OpenAPI: the fields that matter; docs/webhooks.md names the others."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_TIME = "2026-11-29T06:00:00.000000Z"
_KEY = "-4211503829512346624"
_EPISODE = "7301444403293728768"


class PodcastRow(BaseModel):
    """A podcast as lists have it; keys are text, since JavaScript's numbers are too small."""

    podcast_key: str = Field(examples=[_KEY])
    podcast_guid: str | None = Field(examples=["917393e3-1b1e-5cef-ace4-edaa54e1f810"])
    show_id: str | None = Field(description="under which its downloads are counted", examples=["show-00002"])
    itunes_id: int | None = Field(examples=[1200361736])
    podcastindex_id: int | None = Field(examples=[743229])
    feed_url: str | None = Field(
        description="where it is fetched; null unless you track it", examples=["https://feeds.example/x.xml"]
    )
    title: str | None = Field(examples=["The Slow Morning"])
    author: str | None = Field(examples=["Ann Author"])
    image_url: str | None = Field(examples=["https://feeds.example/x.jpg"])
    episode_count: int | None = Field(description="in the feed now", examples=[52])
    newest_at: str | None = Field(description="when its newest episode was published", examples=[_TIME])
    changed_at: str | None = Field(description="when this record was first seen", examples=[_TIME])
    state: str = Field(description="active, gone, dead or deregistered", examples=["active"])


class PodcastRecord(BaseModel):
    """A podcast: what the registry knows, and all that its feed says."""

    model_config = ConfigDict(extra="allow")

    podcast_key: str = Field(examples=[_KEY])
    show_id: str | None = Field(examples=["show-00002"])
    itunes_id: int | None = Field(examples=[1200361736])
    podcastindex_id: int | None = Field(examples=[743229])
    state: str = Field(description="active, gone, dead or deregistered", examples=["active"])
    reason: str | None = Field(description="of gone and dead", examples=[None])
    labels: list[str] = Field(description="your own", examples=[["customer"]])
    record: dict[str, Any] | None = Field(
        description="what the feed says (fields: docs/webhooks.md); null: it was not read yet",
        examples=[{"title": "The Slow Morning", "author": "Ann Author", "language": "en"}],
    )


class EpisodeRow(BaseModel):
    """An episode as lists have it."""

    podcast_key: str = Field(examples=[_KEY])
    episode_key: str = Field(examples=[_EPISODE])
    guid: str | None = Field(examples=["e0051"])
    title: str | None = Field(examples=["Of mornings"])
    published_at: str | None = Field(examples=[_TIME])
    duration_s: float | None = Field(examples=[1834.0])
    enclosure_url: str | None = Field(
        description="null unless you track the podcast", examples=["https://cdn.example/51.mp3"]
    )
    episode_type: str | None = Field(examples=["full"])
    season: int | None = Field(examples=[2])
    episode: float | None = Field(examples=[51])
    last_seen_at: str | None = Field(
        description="when it had left the feed; null: still in it", examples=[None]
    )
    removed_at: str | None = Field(description="… and was taken out, not pushed out", examples=[None])


class EpisodeRecord(BaseModel):
    """All that is known of an episode."""

    model_config = ConfigDict(extra="allow")

    podcast_key: str = Field(examples=[_KEY])
    episode_key: str = Field(examples=[_EPISODE])
    guid: str | None = Field(examples=["e0051"])
    title: str | None = Field(examples=["Of mornings"])


class HistoryRow(BaseModel):
    """A field that changed, from what to what. Values are text as the marts have them; of owners' names and
    addresses only that they changed.
    """

    sequence: int = Field(description="of the podcast's changes, without holes", examples=[17])
    detected_at: str | None = Field(examples=[_TIME])
    change: str = Field(examples=["podcast.updated"])
    episode_key: str | None = Field(description="null: of the podcast itself", examples=[None])
    episode_guid: str | None = Field(examples=[None])
    is_minor: bool = Field(description="nothing to wake anybody for", examples=[False])
    field: str | None = Field(description="null: a change without fields", examples=["title"])
    old: str | None = Field(examples=["The Morning"])
    new: str | None = Field(examples=["The Slow Morning"])


class FieldChange(BaseModel):
    """One field of a change."""

    field: str = Field(examples=["title"])
    old: Any = Field(examples=["The Morning"])
    new: Any = Field(examples=["The Slow Morning"])


class ChangeRow(BaseModel):
    """A change of a podcast or episode that you track."""

    podcast_key: str = Field(examples=[_KEY])
    sequence: int = Field(description="of the podcast, without holes", examples=[17])
    detected_at: str | None = Field(examples=[_TIME])
    change: str = Field(
        description="an event type of the webhooks, or podcast.added", examples=["podcast.updated"]
    )
    episode_key: str | None = Field(examples=[None])
    episode_guid: str | None = Field(examples=[None])
    is_minor: bool = Field(examples=[False])
    fields: list[FieldChange]


class Changes(BaseModel):
    """A page of changes."""

    data: list[ChangeRow]
    cursor: str = Field(
        description="to go on with, now or any time later", examples=["eNqLNtAx0DHQiY7VMYgFAA4hAp8"]
    )
    has_more: bool = Field(description="false: all is read for now", examples=[False])


class Hit(PodcastRow):
    """A podcast that was found."""

    score: float | None = Field(
        description="the smaller, the better; told to who sees all podcasts", examples=[None]
    )
