"""Podcasts whose changes endpoints are told of: who follows what, what changes when, and how endpoints fare.

A podcast changes CHANGES_EACH times; three endpoints follow it, each by a label of its own, so that a change
makes three deliveries. Of 50 endpoints 5 hang, 5 answer 500, 2 are busy, 1 flaps, 1 redirects; one in four of
all is an ordered lane. Everything is drawn from fixed seeds.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

from earshot.made_up.webhooks.endpoints import PATH, Behaviour, Endpoint
from ingest.feeds.crawl import new_state
from ingest.feeds.diff import field_changes, record_hash
from ingest.feeds.identity import episode_key
from ingest.feeds.schema import (
    EPISODE_CONTENT,
    EPISODES,
    PODCAST_CONTENT,
    PODCASTS,
    ChangeType,
    Record,
    canonical_json,
    shard_of,
)
from ingest.feeds.state import Commit
from ingest.feeds.told import change_row, told
from ingest.feeds.urls import derived_guid, podcast_key
from ingest.schema import DAY_US

CHANGES_EACH = 20
ROUNDS = 5  # visits of each podcast
FOLLOWERS = 3
MIN_ENDPOINTS = 10  # one of each behaviour, and as many good ones
FLAP_S = 10.0
EARLIER = 6  # episodes before the first change

# What changes, in turn: mostly episodes come, some are edited, rarely the podcast itself.
_TURNS = tuple(
    ChangeType(kind)
    for kind in (
        "episode.created", "episode.updated", "episode.created", "podcast.updated", "episode.created",
        "episode.updated", "episode.created", "episode.removed", "episode.created", "episode.updated",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Hook:
    """An endpoint and its subscription."""

    name: str
    behaviour: Behaviour
    is_ordered: bool

    @property
    def is_healthy(self) -> bool:
        return self.behaviour is Behaviour.OK

    @property
    def label(self) -> str:
        """Of the podcasts it follows."""
        return f"told-{self.name}"

    @property
    def host(self) -> str:
        return f"hooks-{self.name}.bench.example"

    @property
    def url(self) -> str:
        """As it is subscribed with; where the host leads, and by which port, is told to the sender."""
        return f"http://{self.host}{PATH}{self.name}"

    @property
    def secret(self) -> str:
        return "whsec_" + base64.b64encode(hashlib.sha256(self.host.encode()).digest()[:24]).decode()

    def endpoint(self) -> Endpoint:
        """As the receiver plays it."""
        return Endpoint(self.behaviour, (self.secret,), FLAP_S)


@dataclass(frozen=True)
class World:
    """`changes` to podcasts that `endpoints` endpoints follow."""

    changes: int
    endpoints: int

    @cached_property
    def hooks(self) -> list[Hook]:
        many, few = max(1, self.endpoints // 10), max(1, self.endpoints // 25)
        ill = [Behaviour.HANG] * many + [Behaviour.ERROR] * many + [Behaviour.BUSY] * few
        ill += [Behaviour.FLAP, Behaviour.REDIRECT]
        behaviours = ill + [Behaviour.OK] * (self.endpoints - len(ill))
        return [Hook(f"{n:02}", behaviour, n % 4 == 0) for n, behaviour in enumerate(behaviours)]

    @property
    def podcasts(self) -> int:
        return -(-self.changes // CHANGES_EACH)

    def url(self, podcast: int) -> str:
        return f"https://feeds-{podcast % 97:02}.bench.example/shows/{podcast:06}.xml"

    def followers(self, podcast: int) -> list[Hook]:
        """Who is told of its changes."""
        return Random(f"bench followers {podcast}").sample(self.hooks, FOLLOWERS)

    def by_shard(self) -> dict[int, list[Podcast]]:
        """The podcasts before their first change, by the shard of the lake that owns them."""
        shards: dict[int, list[Podcast]] = defaultdict(list)
        for number in range(self.podcasts):
            podcast = Podcast(number, self.url(number), self._changes_of(number))
            shards[shard_of(podcast.key)].append(podcast)
        return dict(sorted(shards.items()))

    def _changes_of(self, podcast: int) -> int:
        return min(CHANGES_EACH, self.changes - podcast * CHANGES_EACH)


class Podcast:
    """One podcast as sweeps write it: its rows, the changes it has left, its sequence."""

    def __init__(self, number: int, url: str, left: int) -> None:
        self.number, self.url, self.key = number, url, podcast_key(url)
        self._left, self._told = left, 0
        self._state = new_state(self.key, url)
        self._content: Record = _podcast_content(url)
        self._episodes: list[Record] = []  # EPISODES rows, oldest first

    def first(self, now_us: int) -> Commit:
        """What its first fetch brings; nobody is told of it."""
        self._episodes = [self._episode(number, now_us) for number in range(EARLIER)]
        fields = field_changes({}, self._content, PODCAST_CONTENT)
        record = canonical_json(self._content)
        added = change_row(ChangeType.PODCAST_ADDED, fields, record=record) | {"is_minor": True}
        return self._commit([added], self._episodes, now_us)

    def more(self, at_most: int, now_us: int) -> Commit:
        """Its next changes, as one fetch finds them: each episode changes once at most."""
        changes, episodes = [], []
        for _ in range(min(at_most, self._left)):
            kind, number = _TURNS[self._told % len(_TURNS)], self._told
            self._told += 1
            if kind is ChangeType.PODCAST_UPDATED:
                changes.append(self._updated(number))
                continue
            row, change = self._episode_changed(kind, number, now_us)
            episodes.append(row)
            changes.append(change)
        self._left -= len(changes)
        return self._commit(changes, episodes, now_us)

    def _updated(self, number: int) -> Record:
        content = self._content | {"title": f"A show of the bench, season {number}"}
        fields = field_changes(self._content, content, PODCAST_CONTENT)
        self._content = content
        return change_row(ChangeType.PODCAST_UPDATED, fields, record=canonical_json(content))

    def _episode_changed(self, kind: ChangeType, number: int, now_us: int) -> tuple[Record, Record]:
        if kind is ChangeType.EPISODE_CREATED:
            row = self._episode(len(self._episodes), now_us)
            self._episodes.append(row)
            fields = field_changes({}, row, EPISODE_CONTENT)
        else:
            before = self._episodes[-EARLIER]  # not one that came with this fetch
            if kind is ChangeType.EPISODE_UPDATED:
                news: Record = {"title": f"{before['title']}, edited {number}", "description": _TEXT[::-1]}
            else:
                news = {"removed_us": now_us, "last_seen_us": now_us}
            row = before | news | {"changed_us": now_us}
            self._episodes[-EARLIER] = row
            fields = field_changes(before, row, {**EPISODE_CONTENT, "removed_us": EPISODES["removed_us"]})
        return row, change_row(kind, fields, episode_key=row["episode_key"], guid=row["guid"])

    def _commit(self, changes: list[Record], episodes: list[Record], now_us: int) -> Commit:
        self._state, rows = told(self._state | {"polled_us": now_us, "status": 200}, changes, now_us)
        newest = {row["episode_key"]: row for row in episodes}
        is_podcast_told = any(row["record"] is not None for row in rows)
        podcasts = [self._row(now_us)] if is_podcast_told else []
        return Commit([self._state], podcasts, episodes=list(newest.values()), changes=rows)

    def _row(self, now_us: int) -> Record:
        return _filled(
            PODCASTS,
            self._content,
            podcast_key=self.key,
            feed_url=self.url,
            original_url=self.url,
            episode_count=len(self._episodes),
            record_hash=record_hash(self._content, PODCAST_CONTENT),
            changed_us=now_us,
        )

    def _episode(self, number: int, now_us: int) -> Record:
        guid = f"{self.url}#{number}"
        enclosure = f"{self.url.removesuffix('.xml')}/{number:04}.mp3"
        content = {
            "guid": guid,
            "guid_source": "declared",
            "title": f"Episode {number} of a show",
            "link": f"{self.url.removesuffix('.xml')}/{number}",
            "published_us": now_us - DAY_US * EARLIER + number * DAY_US // 10,
            "description_html": f"<p>{_TEXT}</p>",
            "description": _TEXT,
            "enclosure_url": enclosure,
            "enclosure_canonical": enclosure,
            "enclosure_type": "audio/mpeg",
            "duration_s": 1800.0 + number,
            "episode": float(number),
        }
        return _filled(
            EPISODES,
            content,
            podcast_key=self.key,
            episode_key=episode_key(self.key, guid),
            enclosure_urls=[enclosure],
            record_hash=record_hash(content, EPISODE_CONTENT),
            first_seen_us=now_us,
            changed_us=now_us,
        )


_TEXT = " ".join(f"What the episode is about, sentence {number} of its notes." for number in range(6))


def _podcast_content(url: str) -> Record:
    said: dict[str, Any] = {
        "podcast_guid": derived_guid(url),
        "guid_source": "derived",
        "title": "A show of the bench",
        "description": _TEXT,
        "link": url.removesuffix(".xml"),
        "language": "en",
        "categories": ["Technology"],
    }
    return {**dict.fromkeys(PODCAST_CONTENT), **said}


def _filled(schema: Any, content: Record, **values: object) -> Record:
    """A row of `schema` without its generation; what nobody said is null."""
    row = {**dict.fromkeys(schema), **content, **values}
    del row["generation"]
    return row
