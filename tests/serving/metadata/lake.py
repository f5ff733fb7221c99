"""A small lake of feeds, committed shard by shard as a sweep does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ingest.feeds import identity
from ingest.feeds.schema import Record, canonical_json, shard_of
from ingest.feeds.state import Commit, opened
from ingest.lake import Lake
from tests.ingest.feeds.rows import change_row, episode_row, podcast_row, state_row

NOW_US = 1_790_000_000_000_000  # 2026-09-21T14:13:20Z
HOUR_US = 3_600_000_000


def lake(root: Path) -> Path:
    """An empty one."""
    return Lake(root).root


def commit(
    root: Path,
    podcast_key: int,
    *,
    sequence: int = 1,
    podcasts: Sequence[Record] = (),
    episodes: Sequence[Record] = (),
    changes: Sequence[Record] = (),
) -> None:
    """One commit of the podcast's shard."""
    with opened(root, shard_of(podcast_key)) as shard:
        shard.commit(
            Commit(
                state=[state_row(podcast_key, sequence=sequence, fetched_us=NOW_US, polled_us=NOW_US)],
                podcasts=list(podcasts),
                episodes=list(episodes),
                changes=list(changes),
            )
        )


def podcast(podcast_key: int, title: str, author: str = "Ann Author", **said: object) -> Record:
    return podcast_row(
        podcast_key,
        feed_url=f"https://feeds.example/{podcast_key}.xml",
        original_url=f"https://feeds.example/{podcast_key}.xml?token=first",
        podcast_guid=f"guid-of-{podcast_key}",
        title=title,
        author=author,
        categories=["Arts"],
        **said,
    )


def episode_key(podcast_key: int, number: int) -> int:
    return identity.episode_key(podcast_key, str(number))


def episode(podcast_key: int, number: int, **said: object) -> Record:
    url = f"https://cdn.example/{podcast_key}/{number}.mp3"
    return episode_row(
        podcast_key,
        episode_key(podcast_key, number),
        **{
            "guid": f"guid-{podcast_key}-{number}",
            "title": f"Episode {number}",
            "published_us": NOW_US + number * HOUR_US,
            "enclosure_url": url,
            "enclosure_urls": [url],
            **said,
        },
    )


def change(
    podcast_key: int,
    sequence: int,
    field: str = "title",
    old: object = None,
    new: object = None,
    **said: object,
) -> Record:
    """An update of one field, found `sequence` hours after NOW_US."""
    fields = canonical_json([{"field": field, "old": old, "new": new}])
    at_us = NOW_US + sequence * HOUR_US
    return change_row(podcast_key, sequence, **{"detected_us": at_us, "fields": fields, **said})
