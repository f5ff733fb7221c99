"""What changed in a podcast between its last good record and the feed as parsed now (UPDATES §3).

Pure: rows in, rows out. Replaying `fields` of the changes in order of `sequence` on the baseline gives the
records, volatile fields aside. The baseline is the first good fetch: it tells podcast.added, no episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from ingest.feeds import flaps
from ingest.feeds.diff import FieldChange, field_changes, is_equal, record_hash
from ingest.feeds.episode_changes import EpisodeChanges, share
from ingest.feeds.episodes import Item, episodes_needed, identified
from ingest.feeds.parsed import ParsedFeed
from ingest.feeds.reasons import FeedUnreadable, Reason
from ingest.feeds.recurrence import rule_text
from ingest.feeds.rhythm import MOST_PUBLICATIONS
from ingest.feeds.schema import PODCAST_CONTENT, ChangeType, Record, canonical_json
from ingest.feeds.told import change_row, told
from ingest.feeds.urls import derived_guid

_EMPTY: Record = {}


@dataclass
class Previous:
    """What is known of a podcast: its STATE row before the poll, and its last good rows (null: none yet).

    `episodes`: episode key → EPISODES row, at least those that `episodes_needed` names, removed ones too.
    """

    state: Record
    podcast: Record | None = None
    items: Record | None = None
    episodes: Mapping[int, Record] = field(default_factory=dict)


@dataclass
class Detected:
    """What to store. Rows are those of the schema without `generation` (CHANGES without `shard` too)."""

    state: Record
    podcast: Record | None = None  # null: as it was
    items: Record | None = None
    episodes: list[Record] = field(default_factory=list)  # only those that differ
    changes: list[Record] = field(default_factory=list)  # in order of sequence
    damped: FeedUnreadable | None = None  # FLAPPING: the last good record stays; for crawl.after_answer


def detect(
    previous: Previous, parsed: ParsedFeed, feed_url: str, now_us: int, canonical: Mapping[str, str]
) -> Detected:
    """Compare a parsed feed with what is known. `canonical`: enclosure URL as written → canonical URL.

    Call it before `crawl.after_answer`, which takes `damped` and the state returned here.
    """
    state = _audited(previous.state, parsed)
    podcast_key = state["podcast_key"]
    # Only these, also when more are at hand: a delta and the whole document must find the same.
    needed = episodes_needed(podcast_key, previous.items, parsed, canonical)
    records = {key: previous.episodes[key] for key in needed if key in previous.episodes}
    found = identified(podcast_key, previous.items, records, parsed, canonical)
    episodes = EpisodeChanges(podcast_key, previous.items, records, found, now_us, canonical)
    content = _podcast_content(parsed, previous.podcast, feed_url)
    content_hash = _moved_hash(flaps.last_good(state), previous.podcast, content, episodes)
    state, is_damped = flaps.observed(state, content_hash, now_us)
    if is_damped:
        detail = f"alternates between {flaps.contents(state)} contents; the last good record stays"
        return Detected(state, damped=FeedUnreadable(Reason.FLAPPING, detail))

    items = _items_row(podcast_key, parsed, found, episodes)
    podcast, fields = _podcast_row(podcast_key, previous.podcast, content, items, feed_url, now_us)
    changes = _podcast_changes(previous.podcast, content, fields) + episodes.changes
    state, changes = told(_next_state(state, content, changes, items, episodes, now_us), changes, now_us)
    return Detected(
        state=state,
        podcast=None if previous.podcast is not None and is_equal(previous.podcast, podcast) else podcast,
        items=None if previous.items is not None and is_equal(previous.items, items) else items,
        episodes=episodes.rows,
        changes=changes,
    )


def _podcast_content(parsed: ParsedFeed, known: Record | None, feed_url: str) -> Record:
    """A derived guid is of the feed's own URL, not of one that it redirects to for now; and it stays the one
    derived first: it names the podcast, also where its feed moved since.
    """
    content = {name: parsed.content[name] for name in PODCAST_CONTENT}
    if content["guid_source"] == "derived":
        is_known = known is not None and known["guid_source"] == "derived"
        content["podcast_guid"] = known["podcast_guid"] if known and is_known else derived_guid(feed_url)
    return content


def _moved_hash(last: int, known: Record | None, content: Record, episodes: EpisodeChanges) -> int:
    """The hash of all that the feed says, from that of the last good record: a sum, so what was not read
    need not be known. Signed, 64 bits."""
    moved = last + episodes.hash_delta + share(0, record_hash(content, PODCAST_CONTENT))
    if known is not None:
        moved -= share(0, known["record_hash"])
    moved &= (1 << 64) - 1
    return moved - (1 << 64) if moved >> 63 else moved


def _items_row(podcast_key: int, parsed: ParsedFeed, found: list[Item], episodes: EpisodeChanges) -> Record:
    """Items that repeat another one are not in it: a delta reads them again, and leaves them out again."""
    keys, guid_keys = [item.key for item in found], [item.guid_key for item in found]
    return {
        "podcast_key": podcast_key,
        "header_hash": parsed.header_hash,
        "item_hashes": [item.item_hash for item in found],
        "episode_keys": keys,
        "guid_keys": None if guid_keys == keys else guid_keys,
        "published_us": [episodes.ordering[item.key] for item in found],
    }


def _podcast_row(
    podcast_key: int, known: Record | None, content: Record, items: Record, feed_url: str, now_us: int
) -> tuple[Record, list[FieldChange]]:
    changes = field_changes(known or _EMPTY, content, PODCAST_CONTENT)
    dates = [when for when in items["published_us"] if when is not None]
    row = {
        "podcast_key": podcast_key,
        "feed_url": feed_url,
        "original_url": known["original_url"] if known else feed_url,
        **content,
        "episode_count": len(items["item_hashes"]),
        "newest_us": max(dates, default=None),
        "oldest_us": min(dates, default=None),
        "record_hash": record_hash(content, PODCAST_CONTENT),
        "changed_us": known["changed_us"] if known and not changes else now_us,
    }
    return row, changes


def _podcast_changes(known: Record | None, content: Record, fields: list[FieldChange]) -> list[Record]:
    record = canonical_json(content)
    if known is None:
        return [change_row(ChangeType.PODCAST_ADDED, fields, record=record) | {"is_minor": True}]
    changes = [change_row(ChangeType.PODCAST_UPDATED, fields, record=record)] if fields else []
    before = _live_items(known)
    for guid, status in _live_items(content).items():
        if status == "live" and before.get(guid) != "live":
            became = [FieldChange("live_item", before.get(guid), status, is_minor=False)]
            changes.append(change_row(ChangeType.PODCAST_LIVE, became, guid=guid, record=record))
    return changes


def _live_items(content: Record) -> dict[str, str]:
    """podcast:liveItem → its status, by guid, else by what else tells one from another."""
    found: dict[str, str] = {}
    for item in _tags(content, "liveItem"):
        named = item.get("guid") or item.get("start") or item.get("title")
        guid = named[0].get("text") if isinstance(named, list) else named
        found[str(guid)] = str(item.get("status")).strip().lower()
    return found


def _tags(content: Record, name: str) -> list[Record]:
    """The podcast: tags of that name: attributes are strings, children lists of tags."""
    found: list[Record] = orjson.loads(content["podcast_tags"] or "{}").get(name, [])
    return found


def _next_state(
    state: Record,
    content: Record,
    changes: list[Record],
    items: Record,
    episodes: EpisodeChanges,
    now_us: int,
) -> Record:
    is_changed = state["changed_us"] is None or any(not change["is_minor"] for change in changes)
    frequency = next(iter(_tags(content, "updateFrequency")), _EMPTY)
    dates = set(state["publications_us"] or ()) - episodes.dropped_us
    dates |= {when for when in items["published_us"] if when is not None}
    return state | {
        "changed_us": now_us if is_changed else state["changed_us"],
        "publications_us": sorted(dates)[-MOST_PUBLICATIONS:],
        "update_rule": rule_text(frequency.get("rrule"), frequency.get("dtstart")),
        "ttl_min": content["ttl_min"],
        "skip_hours": content["skip_hours"] or [],
        "skip_days": content["skip_days"] or [],
        "is_complete": bool(content["is_complete"]) or str(frequency.get("complete", "")).lower() == "true",
    }


def _audited(state: Record, parsed: ParsedFeed) -> Record:
    return state | {
        "deltas": (state["deltas"] or 0) + (parsed.method == "delta"),
        "audits": (state["audits"] or 0) + (parsed.audit is not None),
        "mismatches": (state["mismatches"] or 0) + (parsed.audit is False),
    }
