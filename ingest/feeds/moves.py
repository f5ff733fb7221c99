"""Whether a feed has moved: two signals, or it stays where it is (UPDATES §4).

First signal: itunes:new-feed-url or a permanent redirect, seen three times over two days. Second: the same
podcast:guid, or four fifths of the episodes in common. Until both are there we fetch through a redirect and
keep the old URL. `STATE.move_url` is the candidate; `move_seen` 0 says that it was found to be another
podcast.
"""

from __future__ import annotations

from collections.abc import Mapping

from ingest.feeds.diff import FieldChange
from ingest.feeds.episodes import possible_guids
from ingest.feeds.identity import TELLING_CHARS, episode_key, is_same_podcast
from ingest.feeds.parsed import ParsedFeed
from ingest.feeds.schema import ChangeType, Record
from ingest.feeds.told import change_row, told
from ingest.feeds.urls import podcast_key as key_of_url
from ingest.schema import DAY_US

MOVE_TIMES, MOVE_OVER_US = 3, 2 * DAY_US

_NOTHING: Record = {"move_url": None, "move_seen": 0, "move_since_us": None}


def sighted(state: Record, url: str | None, is_same: bool, now_us: int) -> Record:
    """The state after an answer that pointed to `url` (null: to nowhere else).

    `is_same`: what came from there is this podcast, as far as is known. Where it is not when the redirect
    first appears, that URL never counts, though its content is what we see from then on.
    """
    if url is None or url == state["feed_url"]:
        return state | _NOTHING
    if url != state["move_url"]:
        return state | {"move_url": url, "move_seen": int(is_same), "move_since_us": now_us}
    if not state["move_seen"]:
        return state
    return state | {"move_seen": state["move_seen"] + 1}


def to_prove(state: Record, now_us: int) -> str | None:
    """The URL to fetch for the second signal; null: the first is not there yet."""
    if (state["move_seen"] or 0) < MOVE_TIMES or now_us - state["move_since_us"] < MOVE_OVER_US:
        return None
    url: str = state["move_url"]
    return url


def is_same_feed(podcast: Record, items: Record, candidate: ParsedFeed, canonical: Mapping[str, str]) -> bool:
    """The second signal: whether `candidate` is the podcast of these PODCASTS and ITEMS rows (of before the
    move). A guid derived from a URL proves nothing."""
    podcast_key = podcast["podcast_key"]
    known = dict(zip(items["item_hashes"], items["episode_keys"], strict=True))
    there = {known[item_hash] for item_hash in candidate.item_hashes if item_hash in known}
    ours = set(known.values())
    for item in candidate.items:
        if item.item_hash not in known:
            guids = possible_guids(item.content, canonical)
            telling = [episode_key(podcast_key, guid) for guid in guids if len(guid) >= TELLING_CHARS]
            there.add(next((key for key in telling if key in ours), item.item_hash))
    return is_same_podcast(
        podcast["podcast_guid"] if podcast["guid_source"] == "declared" else None,
        candidate.content["podcast_guid"] if candidate.content["guid_source"] == "declared" else None,
        [str(key) for key in ours],
        [str(key) for key in there],
    )


def moved(state: Record, is_same: bool, now_us: int) -> tuple[Record, list[Record]]:
    """(state, podcast.moved or nothing) once the candidate was fetched: it is this podcast, or never will be.

    A change of scheme or a trailing slash is minor. The validators are dropped: they are of the old place.
    """
    url = state["move_url"]
    if not is_same:
        return state | {"move_seen": 0}, []
    fields = [
        FieldChange("feed_url", state["feed_url"], url, key_of_url(url) == key_of_url(state["feed_url"]))
    ]
    change = change_row(ChangeType.PODCAST_MOVED, fields)
    after = state | _NOTHING | {"feed_url": url, "etag": None, "last_modified": None}
    return told(after, [change], now_us)


def unproved(state: Record, now_us: int) -> Record:
    """The candidate could not be read: it is tried again when it was seen for two more days."""
    return state | {"move_seen": 1, "move_since_us": now_us}
