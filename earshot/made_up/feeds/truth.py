"""Which changes a poller of the scripted world must have recorded, given the instants at which it polled.

`expected_changes` walks through the polls of one podcast and compares what each could see with what the one
before it saw: what happened between two polls collapses to the net change. It uses nothing of the product's
code; the rules are those of UPDATES §3 and §4, and the constants below are their figures.

The polls to ask with are those whose results were *committed*: an answer that was fetched and then lost in a
crash never happened for the record. So either read `polled_us` of the podcast's STATE row after each tick
(one poll a podcast and tick) and collect the distinct values, or take the server's poll log
(`earshot.made_up.feeds.server.read_poll_log`) of a run in which nothing was killed.

Where UPDATES leaves a choice, truth takes: a content that comes back once is a correction; from the second
return within FLAP_SPAN on it is held back until seen at SETTLED polls in a row, or until FLAP_SPAN after the
last change told. A redirect is followed and its content taken, also a stranger's. A new-feed-url is as good a
first signal of a move as a permanent redirect, and both need their polls. An episode that was removed and
comes back is updated in `removed_us`. An item is known by its declared guid, else by its enclosure.

Left out of the comparison, in truth and in `observed`: fields whose change is volatile or minor (LEFT_OUT;
the product's own sets, with their reasons, are in ingest/feeds/diff.py), and with
them rows that hold nothing else; `podcast.added`, with which history begins.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from earshot.made_up.feeds.content import DAY, Feed, Item, differences, taken_out
from earshot.made_up.feeds.world import FeedWorld, Seen

Change = tuple[str, str | None, frozenset[str]]  # ChangeType, guid, major fields

GONE_SEEN, GONE_SPAN = 3, 3 * DAY  # 410 so often over so long: gone
DEAD_SPAN = 30 * DAY  # failing so long, by now with 404: dead, told as gone
MOVE_SEEN, MOVE_SPAN = 3, 2 * DAY  # permanent redirect so often over so long: the first signal of a move
RETURNS_TOLD, SETTLED, FLAP_SPAN = 1, 3, DAY  # damping of feeds that alternate

LEFT_OUT = frozenset({
    # what a server or a publisher's system writes anew without saying anything
    "last_build_us", "published_raw", "duration_raw", "language_raw", "categories_raw", "generator",
    "ttl_min", "self_url", "hub_url", "next_page_url", "skip_hours", "skip_days", "guid_source",
    "uses_podping", "enclosure_bytes", "copyright",
    # another writing of what stands in a column beside it
    "description_html", "enclosure_url", "images",
})  # fmt: skip
OF_PODCAST_ONLY = frozenset({"published_us"})  # the channel's pubDate moves with each build
# A namespace tag with a column of its own may or may not also show in `podcast_tags`.
_ALSO_IN_TAGS = frozenset({
    "podcast_guid", "medium", "is_locked", "license", "update_frequency", "chapters_url", "transcripts",
})  # fmt: skip


def expected_changes(world: FeedWorld, number: int, polls: Iterable[int]) -> Counter[Change]:
    """(ChangeType, guid or None, fields) → how often, from polls at these instants, in order."""
    reader = _Reader(world, number)
    for at_us in polls:
        reader.poll(at_us)
    return reader.changes


def observed(rows: Iterable[Mapping[str, object]]) -> Counter[Change]:
    """CHANGES rows of one podcast in the shape of `expected_changes`."""
    found: Counter[Change] = Counter()
    for row in rows:
        if row["is_minor"] or row["change"] == "podcast.added":
            continue
        guid = None if row["guid"] is None else str(row["guid"])
        fields = frozenset(change["field"] for change in json.loads(str(row["fields"] or "[]")))
        _add(found, str(row["change"]), guid, fields)
    return found


def essence(feed: Feed) -> Feed:
    """The feed without what makes no major change."""
    return Feed(
        replace(feed.channel, copyright=None), tuple(replace(item, enclosure_bytes=0) for item in feed.items)
    )


def _add(
    changes: Counter[Change], change: str, guid: str | None, fields: frozenset[str] = frozenset()
) -> None:
    """Adds a change, without what is left out of the comparison."""
    if change.startswith("podcast."):
        guid = None
    if not change.endswith(".updated"):
        changes[change, guid, frozenset()] += 1
        return
    major = fields - LEFT_OUT - (OF_PODCAST_ONLY if guid is None else frozenset())
    if major & _ALSO_IN_TAGS:
        major -= {"podcast_tags"}
    if major:
        changes[change, guid, major] += 1


@dataclass
class _Reader:
    """What a poller knows of one podcast."""

    world: FeedWorld
    number: int
    changes: Counter[Change] = field(default_factory=Counter)
    place: int = 0  # which of the addresses it asks
    held: Feed | None = None  # the last good content
    known: dict[str, Item] = field(default_factory=dict)  # every episode ever seen, as last seen
    removed: set[str] = field(default_factory=set)
    first_seen: dict[str, int] = field(default_factory=dict)
    runs: list[tuple[Feed, int]] = field(default_factory=list)  # contents as they came, and since when
    essences: dict[int, Feed] = field(default_factory=dict)
    held_back: int = 0  # polls in a row that brought the newest of them, not taken
    told_us: int = 0  # when changes were told last
    failing_since_us: int | None = None
    gone_seen: int = 0  # answers 410 in a row
    gone_since_us: int = 0
    is_gone: bool = False
    signals: int = 0  # of a move, in a row
    signals_since_us: int = 0

    def poll(self, at_us: int) -> None:
        seen = self.world.seen(self.number, at_us, self.place)
        if seen.feed is None:
            self._failed(seen.failure or "", at_us)
            return
        self.failing_since_us, self.gone_seen = None, 0
        if self.is_gone:
            self.is_gone = False
            _add(self.changes, "podcast.recovered", None)
        for item in seen.feed.items:
            self.first_seen.setdefault(item.identity, at_us)
        if self.held is None:
            self.known = {item.identity: item for item in seen.feed.items}
        if self._is_taken(seen.feed, at_us):
            told = self.changes.total()
            if self.held is not None:
                self._compare(self.held, seen.feed)
            if self.held is None or self.changes.total() > told:
                self.told_us = at_us
            self.held = seen.feed
        self._watch_for_move(seen, at_us)

    def _is_taken(self, feed: Feed, at_us: int) -> bool:
        """Whether a content is taken now, or held back because the feed alternates."""
        said = self._essence(feed)
        if not self.runs or said != self.runs[-1][0]:
            self.runs.append((said, at_us))
            self.held_back = 0
        if self.held is not None and said == self._essence(self.held):
            self.held_back = 0
            return True
        while self.runs[1:] and self.runs[1][1] <= at_us - FLAP_SPAN:
            del self.runs[0]
        contents = [content for content, _ in self.runs]
        returns = sum(content in contents[:place] for place, content in enumerate(contents))
        self.held_back += 1
        is_flap = said in contents[:-1] and returns > RETURNS_TOLD
        if is_flap and self.held_back < SETTLED and at_us - self.told_us < FLAP_SPAN:
            return False
        self.held_back = 0
        return True

    def _essence(self, feed: Feed) -> Feed:
        if id(feed) not in self.essences:  # the world keeps its feeds, so an id stays theirs
            self.essences[id(feed)] = essence(feed)
        return self.essences[id(feed)]

    def _compare(self, old: Feed, new: Feed) -> None:
        _add(self.changes, "podcast.updated", None, differences(old.channel, new.channel))
        live = {item.guid for item in old.channel.live if item.status == "live"}
        for on_air in new.channel.live:
            if on_air.status == "live" and on_air.guid not in live:
                _add(self.changes, "podcast.live", None)
        for item in new.items:
            self._compare_episode(item)
        for item in taken_out(old.items, new.items, self.first_seen):
            self.removed.add(item.identity)
            _add(self.changes, "episode.removed", item.identity)

    def _compare_episode(self, item: Item) -> None:
        known = self.known.get(item.identity)
        if known is None:
            _add(self.changes, "episode.created", item.identity)
        else:
            fields = differences(known, item)
            if item.identity in self.removed:
                fields |= {"removed_us"}
            _add(self.changes, "episode.updated", item.identity, fields)
        self.known[item.identity] = item
        self.removed.discard(item.identity)

    def _failed(self, how: str, at_us: int) -> None:
        if self.failing_since_us is None:
            self.failing_since_us = at_us
        self.gone_seen = self.gone_seen + 1 if how == "gone" else 0
        if self.gone_seen == 1:
            self.gone_since_us = at_us
        is_gone = self.gone_seen >= GONE_SEEN and at_us - self.gone_since_us >= GONE_SPAN
        is_dead = how == "not_found" and at_us - self.failing_since_us >= DEAD_SPAN
        if (is_gone or is_dead) and not self.is_gone:
            self.is_gone = True
            _add(self.changes, "podcast.gone", None)

    def _watch_for_move(self, seen: Seen, at_us: int) -> None:
        """First signal: told of the new address often and long enough; second: it is the same podcast."""
        assert seen.feed is not None and self.held is not None
        podcast = self.world.podcasts[self.number]
        is_told = seen.redirect in ("moved", "stranger") or seen.feed.channel.announced_url == podcast.urls[1]
        if self.place or not is_told:
            self.signals = 0
            return
        if not self.signals:
            self.signals_since_us = at_us
        self.signals += 1
        is_same = seen.feed is not podcast.stranger
        if is_same and self.signals >= MOVE_SEEN and at_us - self.signals_since_us >= MOVE_SPAN:
            self.place = 1
            _add(self.changes, "podcast.moved", None)
