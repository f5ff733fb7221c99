"""The episodes of a feed against their records: what is new, edited, gone and back (UPDATES §3)."""

from __future__ import annotations

from collections.abc import Mapping

import xxhash

from ingest.feeds.diff import FieldChange, field_changes, is_equal, record_hash
from ingest.feeds.episodes import Item, enclosure_urls
from ingest.feeds.schema import EPISODE_CONTENT, EPISODES, ChangeType, Record
from ingest.feeds.told import change_row
from ingest.feeds.windows import ordering_us, taken_out
from ingest.schema import Schema

_TIMES: Schema = {"removed_us": EPISODES["removed_us"]}
_TOLD: Schema = {**EPISODE_CONTENT, **_TIMES}


class EpisodeChanges:
    """`rows`: EPISODES rows that differ; `changes`: what is told of them, none at the first fetch.

    `items`: the last ITEMS row. `records`: the rows that `episodes_needed` names. `found`: the items now.
    """

    def __init__(
        self,
        podcast_key: int,
        items: Record | None,
        records: Mapping[int, Record],
        found: list[Item],
        now_us: int,
        canonical: Mapping[str, str],
    ) -> None:
        self._podcast_key = podcast_key
        self._records = records
        self._now_us = now_us
        self._canonical = canonical
        self._told: list[tuple[int, int, Record]] = []  # (ordering, key, change)
        self.rows: list[Record] = []
        self.hash_delta = 0  # what the episodes add to the content hash
        self.dropped_us: set[int] = set()  # publication dates that no longer are
        self._is_first = items is None
        last = items or {"episode_keys": [], "published_us": []}
        before = dict(zip(last["episode_keys"], last["published_us"], strict=True))
        self.ordering: dict[int, int | None] = {}  # of the episodes in the feed now
        for item in found:
            if item.content is None:
                self.ordering[item.key] = before[item.key]
            else:
                self._read(item.key, item.content, is_new_here=item.key not in before)
        vanished = {key: when for key, when in before.items() if key not in self.ordering}
        removed = taken_out(vanished, self.ordering, last["episode_keys"])
        for key, when in vanished.items():
            self._left(key, when, key in removed)

    @property
    def changes(self) -> list[Record]:
        """Oldest episode first."""
        return [change for _, _, change in sorted(self._told, key=lambda told: told[:2])]

    def _read(self, key: int, content: Record, is_new_here: bool) -> None:
        record = self._records.get(key)
        row = self._row(key, content, record)
        self.ordering[key] = when = ordering_us(content["published_us"], row["first_seen_us"])
        self.hash_delta += share(key, row["record_hash"])
        if record is None:
            self.rows.append(row)
            if not self._is_first:
                self._tell(ChangeType.EPISODE_CREATED, row, field_changes({}, content, EPISODE_CONTENT))
            return
        if not is_new_here:
            self.hash_delta -= share(key, record["record_hash"])
        was = ordering_us(record["published_us"], record["first_seen_us"])
        if was is not None and was != when:
            self.dropped_us.add(was)
        changes = field_changes(record, row, _TOLD)
        if changes:
            row["changed_us"] = self._now_us
            self._tell(ChangeType.EPISODE_UPDATED, row, changes)
        if not is_equal(record, row):
            self.rows.append(row)

    def _left(self, key: int, when: int | None, is_removed: bool) -> None:
        record = self._records.get(key)
        if record is None:
            return
        self.hash_delta -= share(key, record["record_hash"])
        row = {name: record[name] for name in EPISODES if name != "generation"} | {
            "last_seen_us": self._now_us
        }
        if is_removed:
            if when is not None:
                self.dropped_us.add(when)
            row |= {"removed_us": self._now_us, "changed_us": self._now_us}
            self._tell(ChangeType.EPISODE_REMOVED, row, field_changes(record, row, _TIMES))
        self.rows.append(row)

    def _row(self, key: int, content: Record, record: Record | None) -> Record:
        """The EPISODES row of an episode that is in the feed."""
        return {
            "podcast_key": self._podcast_key,
            "episode_key": key,
            **{name: content[name] for name in EPISODE_CONTENT},
            "enclosure_urls": enclosure_urls(
                content, record["enclosure_urls"] or () if record else (), self._canonical
            ),
            "record_hash": record_hash(content, EPISODE_CONTENT),
            "first_seen_us": record["first_seen_us"] if record else self._now_us,
            "changed_us": record["changed_us"] if record else self._now_us,
            "last_seen_us": None,
            "removed_us": None,
        }

    def _tell(self, change: ChangeType, row: Record, fields: list[FieldChange]) -> None:
        when = ordering_us(row["published_us"], row["first_seen_us"])
        key = row["episode_key"]
        told_row = change_row(change, fields, episode_key=key, guid=row["guid"])
        self._told.append((-1 if when is None else when, key, told_row))


def share(key: int, hashed: int) -> int:
    """What one record adds to the content hash; the podcast's own has key 0."""
    return xxhash.xxh3_64_intdigest(
        key.to_bytes(8, "little", signed=True) + hashed.to_bytes(8, "little", signed=True)
    )
