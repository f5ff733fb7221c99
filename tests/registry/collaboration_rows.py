"""Shows, their episodes in a lake, and collaborations as a person writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingest.feeds.crawl import new_state
from ingest.feeds.identity import episode_key
from ingest.feeds.schema import EPISODES, PODCASTS, Record, shard_of
from ingest.feeds.state import Commit, opened
from ingest.feeds.urls import podcast_key
from ingest.lake import Lake
from registry.collaborating import Written

A, B, C = (f"https://{name}.example.com/feed.xml" for name in "abc")
KEY_A, KEY_B, KEY_C = map(podcast_key, (A, B, C))


def us(text: str) -> int:
    """Epoch µs of an ISO time, UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


NOW_US = us("2026-11-29T12:00")


def written(**said: Any) -> Written:
    """A guest swap of A in an episode of B, or what `said` says instead."""
    base = {"show": A, "partner": B, "type": "guest_swap", "episode": "g1", "starts": "2026-11-01"}
    return Written(**(base | said))


def polled(
    lake_root: Path,
    url: str,
    episodes: dict[str, str | None],
    is_read: bool = True,
    key: int | None = None,
    left: str | None = None,
    title: str | None = None,
) -> None:
    """A commit of a sweep: the feed was read (or answered nothing good) and has these episodes.

    episodes: guid → when it aired; key: of each, in place of the one it would have; left: since when they are
    out of the feed; title: of the podcast.
    """
    of, root = podcast_key(url), Lake(lake_root).root
    rows: list[Record] = [
        dict.fromkeys(EPISODES)
        | {
            "podcast_key": of,
            "episode_key": episode_key(of, guid) if key is None else key,
            "guid": guid,
            "title": f"Episode {guid}",
            "published_us": None if aired is None else us(aired),
            "last_seen_us": None if left is None else us(left),
        }
        for guid, aired in episodes.items()
    ]
    state = new_state(of, url) | {"polled_us": NOW_US, "fetched_us": NOW_US if is_read else None}
    with opened(root, shard_of(of)) as shard:
        podcast = dict.fromkeys(PODCASTS) | {"podcast_key": of, "feed_url": url, "title": title}
        shard.commit(Commit([state], [podcast] if title else [], episodes=rows))
