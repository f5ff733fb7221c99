"""Feeds as the parser would hand them over, and a store that a history of polls is played into."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import xxhash

from ingest.feeds.crawl import new_state
from ingest.feeds.detect import Detected, Previous, detect
from ingest.feeds.episodes import enclosures_of
from ingest.feeds.parsed import ParsedFeed, ParsedItem
from ingest.feeds.schema import (
    CHANGES,
    EPISODE_CONTENT,
    EPISODES,
    ITEMS,
    PODCAST_CONTENT,
    PODCASTS,
    STATE,
    Record,
    canonical_json,
)
from ingest.schema import DAY_US

HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000
NOW_US = 1_780_000_000_000_000  # 2026-05-28T20:26:40Z
PODCAST_KEY = -42
FEED_URL = "https://feeds.example.fm/show.xml"


def hashed(value: object) -> int:
    return xxhash.xxh3_64_intdigest(canonical_json(value).encode()) - (1 << 63)


def podcast(**said: Any) -> Record:
    """PODCAST_CONTENT: lists empty, what is not said null."""
    empty: Record = {name: [] if "List" in str(kind) else None for name, kind in PODCAST_CONTENT.items()}
    known = {"title": "A show", "podcast_guid": "5e7c-derived-guid", "guid_source": "derived"}
    return empty | known | said


def episode(number: int, **said: Any) -> Record:
    """EPISODE_CONTENT of episode `number`, published that many days after 200 days before NOW_US."""
    empty: Record = {name: [] if "List" in str(kind) else None for name, kind in EPISODE_CONTENT.items()}
    known = {
        "guid": f"guid-number-{number}",
        "guid_source": "declared",
        "title": f"Episode {number}",
        "published_us": NOW_US - 200 * DAY_US + number * DAY_US,
        "published_raw": f"day {number}",
        "enclosure_url": f"https://media.example.fm/{number}.mp3",
        "duration_s": 1800.0,
    }
    return empty | known | said


def feed(items: Sequence[Record], known: Record | None = None, **said: Any) -> ParsedFeed:
    """As parsed whole, or with an ITEMS row `known` as a delta against it."""
    content = podcast(**said)
    by_hash = {hashed(item): item for item in reversed(items)}
    hashes = list(dict.fromkeys(hashed(item) for item in items))
    wanted = [item_hash for item_hash in hashes if not known or item_hash not in known["item_hashes"]]
    return ParsedFeed(
        method="delta" if known else "whole",
        header_hash=hashed(content),
        content=content,
        item_hashes=hashes,
        items=[ParsedItem(item_hash, dict(by_hash[item_hash])) for item_hash in wanted],
        audit=None,
    )


def canonical(parsed: ParsedFeed) -> dict[str, str]:
    """Query and prefix dropped: near enough to ingest.logs.urls for these URLs."""
    return {
        url: "https://" + url.partition("?")[0].removeprefix("https://").removeprefix("prefix.example/")
        for url in enclosures_of(parsed)
        if url.startswith("https://")
    }


@dataclass
class Store:
    """What was committed, and all that was told."""

    state: Record = field(default_factory=lambda: new_state(PODCAST_KEY, FEED_URL))
    podcast: Record | None = None
    items: Record | None = None
    episodes: dict[int, Record] = field(default_factory=dict)
    changes: list[Record] = field(default_factory=list)
    baseline: dict[int, Record] | None = None  # EPISODES rows after the first good fetch
    now_us: int = NOW_US

    def poll(
        self, items: Sequence[Record], *, after_us: int = HOUR_US, is_delta: bool = True, **said: Any
    ) -> Detected:
        """A poll `after_us` later that finds these items; what it brought is committed."""
        self.now_us += after_us
        parsed = feed(items, self.items if is_delta else None, **said)
        detected = detect(self.previous(), parsed, FEED_URL, self.now_us, canonical(parsed))
        self.commit(detected)
        return detected

    def previous(self) -> Previous:
        return Previous(self.state, self.podcast, self.items, self.episodes)

    def commit(self, detected: Detected) -> None:
        assert set(detected.state) == set(STATE)
        self.state = detected.state
        for row, schema in ((detected.podcast, PODCASTS), (detected.items, ITEMS)):
            assert row is None or set(row) == set(schema) - {"generation"}
        self.podcast = detected.podcast or self.podcast
        self.items = detected.items or self.items
        for row in detected.episodes:
            assert set(row) == set(EPISODES) - {"generation"}
            self.episodes[row["episode_key"]] = row
        for change in detected.changes:
            assert set(change) == set(CHANGES) - {"shard", "generation"}
        self.changes += detected.changes
        if self.baseline is None:
            self.baseline = dict(self.episodes)

    def replayed(self) -> tuple[Record, dict[int, Record]]:
        """(podcast, episodes by key) as the baseline and the changes say, `fields` applied in order."""
        shown: Record = {}
        episodes = {key: dict(row) for key, row in (self.baseline or {}).items()}
        for change in sorted(self.changes, key=lambda change: change["sequence"]):
            target = (
                shown if change["episode_key"] is None else episodes.setdefault(change["episode_key"], {})
            )
            for one in json.loads(change["fields"]):
                target[one["field"]] = one["new"]
        return shown, episodes


def types(detected: Detected) -> list[str]:
    return [change["change"] for change in detected.changes]


def fields(change: Record) -> dict[str, tuple[object, object]]:
    return {one["field"]: (one["old"], one["new"]) for one in json.loads(change["fields"])}
