"""Which episode each item of a feed is, through edits, reused guids and guids that change (UPDATES §3).

An item whose text did not change is the episode it was. So a delta, which does not read it, and the whole
document find the same. Only the records named by `episodes_needed` are looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from ingest.feeds.identity import GuidSource, distinct_guids, episode_key
from ingest.feeds.parsed import ParsedFeed
from ingest.feeds.schema import Record

MOST_ENCLOSURE_URLS = 200  # of one episode: a path that changes at every fetch does not grow without end


@dataclass(frozen=True)
class Item:
    """An item of the feed now. `content`: columns of EPISODE_CONTENT; null: not read, as it was.

    `guid_key`: the key that its guid gives to a new episode; another one than `key` if its guid changed.
    """

    item_hash: int
    key: int
    guid_key: int
    content: Record | None


def enclosures_of(parsed: ParsedFeed) -> set[str]:
    """All enclosure URLs as written, alternate ones too: what `canonical` must map."""
    return {url for item in parsed.items for url in _urls_of(item.content)}


def episodes_needed(
    podcast_key: int, items: Record | None, parsed: ParsedFeed, canonical: Mapping[str, str]
) -> set[int]:
    """The keys of the EPISODES rows that detection looks at: of items that left, changed, came or were read.

    `items`: the ITEMS row of the last good record. Rows that do not exist are new episodes.
    """
    known = _known(items)
    still_there = set(parsed.item_hashes)
    needed = {key for item_hash, (key, _) in known.items() if item_hash not in still_there}
    holders = {guid_key: key for key, guid_key in known.values()}
    for item in parsed.items:
        if item.item_hash in known:
            needed.add(known[item.item_hash][0])
        else:
            guids = possible_guids(item.content, canonical)
            own = {episode_key(podcast_key, guid) for guid in guids}
            needed |= own | {holders[key] for key in own & holders.keys()}
    return needed


def identified(
    podcast_key: int,
    items: Record | None,
    episodes: Mapping[int, Record],
    parsed: ParsedFeed,
    canonical: Mapping[str, str],
) -> list[Item]:
    """The items of the feed in document order, each an episode of its own; repeated ones are left out.

    `episodes`: EPISODES rows by key, at least the `episodes_needed`. An episode whose guid changed keeps its
    key, hence its history: the guid it was first seen with.
    """
    needed = episodes_needed(podcast_key, items, parsed, canonical)
    records = {key: episodes[key] for key in needed if key in episodes}
    known = _known(items)
    kept = {item_hash: known[item_hash] for item_hash in parsed.item_hashes if item_hash in known}
    read = {item.item_hash: _with_canonical(item.content, canonical) for item in parsed.items}
    fresh = {item_hash: content for item_hash, content in read.items() if item_hash not in kept}
    keys = _Keys(podcast_key, records, {key for key, _ in kept.values()})
    contents = _distinct(fresh, keys)
    keys.give(contents)
    left = [records[key] for key, _ in known.values() if key in records and not keys.is_taken(key)]
    if left:
        keys.follow(contents, left)

    found: dict[int, Item] = {}
    for item_hash in parsed.item_hashes:
        if item_hash in contents:
            guid_key = episode_key(podcast_key, contents[item_hash]["guid"])
            item = Item(item_hash, keys.given[item_hash], guid_key, contents[item_hash])
        elif item_hash in kept:
            key, guid_key = kept[item_hash]
            record, content = records.get(key), read.get(item_hash)
            if content is not None and record is not None:
                content |= {"guid": record["guid"], "guid_source": record["guid_source"]}
            item = Item(item_hash, key, guid_key, content if record is not None else None)
        else:
            continue
        found.setdefault(item.key, item)
    return list(found.values())


def enclosure_urls(content: Record, before: Iterable[str], canonical: Mapping[str, str]) -> list[str]:
    """Canonical enclosure URLs of an episode, all ever seen, sorted; at most MOST_ENCLOSURE_URLS old ones."""
    now = {canonical[url] for url in _urls_of(content) if url in canonical}
    old = sorted(set(before) - now)[: max(MOST_ENCLOSURE_URLS - len(now), 0)]
    return sorted(now | set(old))


def possible_guids(content: Record, canonical: Mapping[str, str]) -> list[str]:
    """Every guid that an item may end up with, best first, as other items take the better ones."""
    content = _with_canonical(content, canonical)
    guids: list[str] = []
    while (found := distinct_guids([content], guids)[0]) is not None:
        guids.append(found[0])
    return guids


class _Keys:
    """Hands out episode keys: that of the record with the guid, else the guid's own."""

    def __init__(self, podcast_key: int, records: Mapping[int, Record], kept: set[int]) -> None:
        self._podcast_key = podcast_key
        self._records = records
        self._by_guid = {record["guid"]: key for key, record in sorted(records.items())}
        self._taken = set(kept)
        self.given: dict[int, int] = {}  # item hash → key

    def __contains__(self, guid: object) -> bool:
        """Whether an item that did not change has this guid."""
        return isinstance(guid, str) and self.of(guid) in self._taken

    def is_taken(self, key: int) -> bool:
        return key in self._taken

    def of(self, guid: str) -> int:
        return self._by_guid.get(guid) or episode_key(self._podcast_key, guid)

    def record_of(self, guid: str) -> Record | None:
        return self._records.get(self.of(guid))

    def give(self, contents: Mapping[int, Record]) -> None:
        """A key to each item; those that a record knows by its guid come first."""
        for item_hash, content in sorted(
            contents.items(), key=lambda one: one[1]["guid"] not in self._by_guid
        ):
            key, number = self.of(content["guid"]), 1
            while key in self._taken:  # its own key belongs to an episode whose guid changed
                number += 1
                key = episode_key(self._podcast_key, f"{content['guid']}\n{number}")
            self._taken.add(key)
            self.given[item_hash] = key

    def follow(self, contents: Mapping[int, Record], left: Iterable[Record]) -> None:
        """A new item that is one of the episodes that left, under another guid, gets the key of that."""
        by_look: dict[tuple[object, ...], deque[int]] = {}
        for record in left:
            for look in _looks(record):
                by_look.setdefault(look, deque()).append(record["episode_key"])
        followed: set[int] = set()
        for item_hash, content in contents.items():
            if self.given[item_hash] in self._records:
                continue
            for look in _looks(content):
                keys = by_look.get(look, deque())
                while keys and keys[0] in followed:
                    keys.popleft()
                if keys:
                    self.given[item_hash] = keys.popleft()
                    followed.add(self.given[item_hash])
                    break


def _distinct(fresh: Mapping[int, Record], keys: _Keys) -> dict[int, Record]:
    """item hash → content with its guid, without items that only repeat another one."""
    holders: dict[str, Record] = {}
    contents: dict[int, Record] = {}
    for (item_hash, content), found in zip(fresh.items(), distinct_guids(fresh.values(), keys), strict=True):
        if found is None:
            continue
        guid, source = found
        declared = content["guid"]
        if declared and source != GuidSource.DECLARED:
            holder = holders.get(declared) or keys.record_of(declared)
            if holder is not None and _has_same_audio(holder, content):
                continue
        contents[item_hash] = content | {"guid": guid, "guid_source": source}
        holders[guid] = content
    return contents


def _has_same_audio(one: Record, other: Record) -> bool:
    enclosure = one["enclosure_canonical"]
    if enclosure is None and other["enclosure_canonical"] is None:
        return bool(one["title"] == other["title"])
    return bool(enclosure == other["enclosure_canonical"])


def _looks(content: Record) -> list[tuple[object, ...]]:
    """What an episode under another guid is known by: its title and canonical enclosure; where the guid was
    not declared but is ours, its title and date."""
    title, enclosure, published = content["title"], content["enclosure_canonical"], content["published_us"]
    looks: list[tuple[object, ...]] = []
    if title is not None and enclosure is not None:
        looks.append(("enclosure", title, enclosure))
    if title is not None and published is not None and content["guid_source"] != GuidSource.DECLARED:
        looks.append(("date", title, published))
    return looks


def _known(items: Record | None) -> dict[int, tuple[int, int]]:
    """item hash → (episode key, key of its guid)."""
    if items is None:
        return {}
    keys = items["episode_keys"]
    guid_keys = items.get("guid_keys") or keys  # rows of before there were guid_keys have none
    return dict(zip(items["item_hashes"], zip(keys, guid_keys, strict=True), strict=True))


def _with_canonical(content: Record, canonical: Mapping[str, str]) -> Record:
    return content | {"enclosure_canonical": canonical.get(content["enclosure_url"] or "")}


def _urls_of(content: Record) -> list[str]:
    urls = [content["enclosure_url"]] if content["enclosure_url"] else []
    for alternate in orjson.loads(content["alternate_enclosures"] or "[]"):
        urls.extend(alternate["urls"])
    return urls
