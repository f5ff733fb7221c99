"""The canonical frames of podcasts and episodes, column by column. Instants: epoch microseconds, UTC.

A *record* is one row as a dict of these columns; what a feed does not say is null (an empty list in a list
column). Nested podcast-namespace tags are canonical JSON (`canonical_json`): equal content is equal text.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import orjson
import polars as pl

from ingest.schema import Schema

Record = dict[str, Any]

SHARDS = 256


class Tier(StrEnum):
    """How often a podcast is polled; each with a published promise (UPDATES §4, ingest/feeds/schedule.py)."""

    HOT = "hot"
    ACTIVE = "active"
    REGULAR = "regular"
    SLOW = "slow"
    INACTIVE = "inactive"
    DEAD = "dead"
    GONE = "gone"  # 410 three times over three days, or deregistered: not polled


class ChangeType(StrEnum):
    """What happened to a podcast or episode; the event types of the webhooks (UPDATES §5)."""

    PODCAST_ADDED = "podcast.added"  # first good fetch: history begins here; no event
    PODCAST_UPDATED = "podcast.updated"
    PODCAST_MOVED = "podcast.moved"
    PODCAST_GONE = "podcast.gone"
    PODCAST_RECOVERED = "podcast.recovered"
    PODCAST_LIVE = "podcast.live"
    EPISODE_CREATED = "episode.created"
    EPISODE_UPDATED = "episode.updated"
    EPISODE_REMOVED = "episode.removed"


# What a feed says of the podcast itself, in the order of the record.
PODCAST_CONTENT: Schema = {
    "podcast_guid": pl.String,  # declared, else derived from the feed URL (UPDATES §4)
    "guid_source": pl.String,  # declared | derived
    "title": pl.String,
    "subtitle": pl.String,
    "description_html": pl.String,  # sanitised
    "description": pl.String,  # the same as text
    "link": pl.String,
    "language": pl.String,  # BCP 47
    "language_raw": pl.String,
    "copyright": pl.String,
    "generator": pl.String,
    "author": pl.String,
    "owner_name": pl.String,
    "owner_email": pl.String,
    "image_url": pl.String,
    "images": pl.String,  # JSON: [{url, purpose, width, height, type, aspect_ratio}], absent members left out
    "categories": pl.List(pl.String),  # Apple's, as "Society & Culture > Documentary"
    "categories_raw": pl.List(pl.String),  # as written, nesting kept
    "keywords": pl.List(pl.String),
    "is_explicit": pl.Boolean,
    "show_type": pl.String,  # episodic | serial
    "is_blocked": pl.Boolean,  # itunes:block
    "is_complete": pl.Boolean,  # itunes:complete: no more episodes will come
    "announced_url": pl.String,  # itunes:new-feed-url
    "published_us": pl.Int64,  # channel pubDate
    "last_build_us": pl.Int64,
    "ttl_min": pl.Int64,
    "skip_hours": pl.List(pl.Int64),
    "skip_days": pl.List(pl.String),
    "hub_url": pl.String,  # atom:link rel=hub
    "self_url": pl.String,
    "next_page_url": pl.String,  # atom:link rel=next
    # podcast namespace: the columns schedules and leads ask for …
    "medium": pl.String,
    "is_locked": pl.Boolean,
    "locked_owner": pl.String,
    "license": pl.String,
    "update_frequency": pl.String,  # the rrule, else the text
    "uses_podping": pl.Boolean,
    # … and all of it: JSON {tag: [{attributes…, "text": …, children…}]}, liveItem, value, unknown tags too
    "podcast_tags": pl.String,
}

# What a feed says of an episode.
EPISODE_CONTENT: Schema = {
    "guid": pl.String,
    "guid_source": pl.String,  # declared | enclosure | link | title_date
    "title": pl.String,
    "itunes_title": pl.String,
    "subtitle": pl.String,
    "link": pl.String,
    "published_us": pl.Int64,  # null: no readable date within 1995 … now + 2 years
    "published_raw": pl.String,
    "description_html": pl.String,  # sanitised
    "description": pl.String,
    "content_html": pl.String,  # content:encoded, sanitised
    "author": pl.String,
    "enclosure_url": pl.String,  # as written
    "enclosure_canonical": pl.String,  # canonical (ingest.logs.urls)
    "enclosure_type": pl.String,
    "enclosure_bytes": pl.Int64,  # null for 0, text and nonsense
    "duration_s": pl.Float64,
    "duration_raw": pl.String,
    "is_explicit": pl.Boolean,
    "episode_type": pl.String,  # full | trailer | bonus
    "season": pl.Int64,
    "season_name": pl.String,
    "episode": pl.Float64,  # podcast:episode allows 3.5
    "episode_display": pl.String,
    "image_url": pl.String,
    "keywords": pl.List(pl.String),
    "is_blocked": pl.Boolean,
    "chapters_url": pl.String,
    "transcripts": pl.String,  # JSON: [{url, type, language, rel}]
    "alternate_enclosures": pl.String,  # JSON: [{urls: [...], type, length, …}]
    "podcast_tags": pl.String,  # JSON, as of the podcast
}

# lake/catalog/shard=NNN/podcasts/*.parquet: the latest good record; newest `generation` of a podcast_key.
PODCASTS: Schema = {
    "podcast_key": pl.Int64,
    "feed_url": pl.String,  # where it is fetched
    "original_url": pl.String,  # as registered
    **PODCAST_CONTENT,
    "episode_count": pl.Int64,  # in the feed now
    "newest_us": pl.Int64,  # publication of the newest and oldest episode in the feed, clamped to now
    "oldest_us": pl.Int64,
    "record_hash": pl.Int64,  # xxh3 of PODCAST_CONTENT without what is volatile
    "changed_us": pl.Int64,  # when this record was first seen
    "generation": pl.Int64,
}

# lake/catalog/shard=NNN/episodes/*.parquet: newest `generation` of (podcast_key, episode_key).
EPISODES: Schema = {
    "podcast_key": pl.Int64,
    "episode_key": pl.Int64,  # xxh3(podcast_key, guid)
    **EPISODE_CONTENT,
    "enclosure_urls": pl.List(pl.String),  # canonical, all ever seen of it, alternate ones too, sorted
    "record_hash": pl.Int64,
    "first_seen_us": pl.Int64,
    "changed_us": pl.Int64,
    "last_seen_us": pl.Int64,  # when it had left the feed; null: still in it
    "removed_us": pl.Int64,  # … and was taken out, not merely pushed out by newer ones
    "generation": pl.Int64,
}

# lake/catalog/shard=NNN/items/*.parquet: what the ladder compares with; newest `generation` of a podcast_key.
ITEMS: Schema = {
    "podcast_key": pl.Int64,
    "header_hash": pl.Int64,  # xxh3 of the document without its items
    "item_hashes": pl.List(pl.Int64),  # xxh3 of each <item>…</item>, in document order
    "episode_keys": pl.List(pl.Int64),  # of the same items
    "guid_keys": pl.List(pl.Int64),  # the keys of the guids they have now; null: the episode_keys
    "published_us": pl.List(pl.Int64),
    "generation": pl.Int64,
}

# lake/catalog/shard=NNN/state.parquet: crawl state, one row a podcast, replaced as a whole at each commit.
STATE: Schema = {
    "podcast_key": pl.Int64,
    "feed_url": pl.String,  # where it is fetched next
    "sequence": pl.Int64,  # of the last change; only grows
    # last answers
    "polled_us": pl.Int64,  # last attempt
    "fetched_us": pl.Int64,  # last good answer (200 or 304)
    "changed_us": pl.Int64,  # last change of content that is not volatile
    "status": pl.Int64,  # HTTP status of the last answer; null: none came
    "reason": pl.String,  # ingest.feeds.reasons.Reason of the last failure; null: the last answer was good
    "detail": pl.String,  # what exactly, for people
    "etag": pl.String,  # byte for byte, latin-1
    "last_modified": pl.String,
    "body_hash": pl.Int64,  # xxh3 of the decompressed body last judged
    "polls": pl.Int64,
    "failures": pl.Int64,  # in a row
    "failing_since_us": pl.Int64,
    "gone_seen": pl.Int64,  # answers 410 in a row
    "gone_since_us": pl.Int64,
    # schedule
    "tier": pl.String,
    "tier_reason": pl.String,  # one line, for `earshot status`
    "next_due_us": pl.Int64,
    "hinted_us": pl.Int64,  # last podping or WebSub notice
    "max_age_s": pl.Int64,
    "retry_after_us": pl.Int64,
    "publications_us": pl.List(pl.Int64),  # of the newest 20 episodes, oldest first
    "update_rule": pl.String,  # podcast:updateFrequency, as an iCalendar RRULE with DTSTART
    "ttl_min": pl.Int64,
    "skip_hours": pl.List(pl.Int64),
    "skip_days": pl.List(pl.String),
    "is_complete": pl.Boolean,
    # moves (identity.py)
    "move_url": pl.String,  # the candidate
    "move_seen": pl.Int64,
    "move_since_us": pl.Int64,
    # flap damping (detect.py)
    "recent_hashes": pl.List(pl.Int64),  # content hashes of the last distinct contents, newest last
    "recent_us": pl.List(pl.Int64),
    "flaps": pl.Int64,
    # audit of the ladder
    "deltas": pl.Int64,
    "audits": pl.Int64,
    "mismatches": pl.Int64,
}

# lake/changes/day=YYYY-MM-DD/SSS-GGGGGGGGGG.parquet: append-only, one row a change of a podcast or episode.
CHANGES: Schema = {
    "podcast_key": pl.Int64,
    "sequence": pl.Int64,  # per podcast, without holes
    "detected_us": pl.Int64,
    "change": pl.String,  # ChangeType
    "episode_key": pl.Int64,  # null: of the podcast itself
    "guid": pl.String,  # of the episode
    "is_minor": pl.Boolean,  # recorded, but no event by default
    "fields": pl.String,  # JSON: [{"field", "old", "new"}], sorted by field
    "record": pl.String,  # JSON of the podcast's content after a change of the podcast itself; else null
    "shard": pl.Int64,
    "generation": pl.Int64,
}

# lake/registry/podcasts.parquet: the registry's podcasts as the marts see them, replaced as a whole.
REGISTERED: Schema = {
    "podcast_key": pl.Int64,
    "shard": pl.Int64,
    "feed_url": pl.String,  # as registered, or where the podcast has moved since
    "show_id": pl.String,  # as registered; null: none was, its downloads are counted under the podcast_guid
    "podcast_guid": pl.String,
    "itunes_id": pl.Int64,
    "podcastindex_id": pl.Int64,
    "state": pl.String,  # active | gone | dead | deregistered
    "reason": pl.String,
    "since_us": pl.Int64,  # when it was registered first
    "tenants": pl.List(pl.String),  # who registered it, sorted
    "labels": pl.List(pl.String),  # of all tenants together, sorted; marts look for `customer`, `lead`
}

# lake/registry/collaborations.parquet: those of the registry that took place or will, as the marts see them;
# replaced as a whole (ATTRIBUTION.md).
COLLABORATIONS: Schema = {
    "collaboration_id": pl.Int64,
    "tenant": pl.String,
    "type": pl.String,  # guest_swap | promo_swap | feed_drop | host_read | other
    "podcast_key": pl.Int64,  # show A, which grows; its show_id stands in REGISTERED
    "partner_key": pl.Int64,  # show B, whose listeners hear of A
    "partner_guid": pl.String,  # of B's episode; null: all downloads of B from starts_us to ends_us
    "episode_key": pl.Int64,  # of that episode (EPISODES); null: a time range, or B was never polled
    "starts_us": pl.Int64,  # t0: the later of air date and insertion start
    "ends_us": pl.Int64,  # exclusive: the planned end, or when it was stopped before; null: open
    "cost": pl.Float64,
    "currency": pl.String,  # ISO 4217; null: no cost is known
    "notes": pl.String,
    "state": pl.String,  # active | ended
    "created_us": pl.Int64,
}


def shard_of(podcast_key: int) -> int:
    """0 … 255: the shard that owns the podcast."""
    return podcast_key & (SHARDS - 1)


def canonical_json(value: object) -> str:
    """Equal values give equal text: keys sorted, no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
