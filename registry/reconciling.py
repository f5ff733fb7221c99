"""What directories said of tracked podcasts, held against registry and last good records, and written down.

Gaps are filled, nothing else is changed: what differs becomes a finding (registry/findings.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, select, update

from ingest.feeds.schema import shard_of
from ingest.feeds.sources.apple import Mismatch
from ingest.feeds.sources.reconcile import (
    Conflict,
    ConflictReason,
    Field,
    Reconciled,
    Tracked,
    Update,
    reconcile,
)
from ingest.feeds.sources.values import Ids
from ingest.feeds.state import Shard, folder_of
from ingest.feeds.urls import derived_guid
from ingest.lake import reading
from registry.batches import PARAMETERS, batches
from registry.database import writing
from registry.findings import FEED_URL, Finding, FindingReason, disagreements, replace_findings
from registry.registrations import has_stand_in
from registry.shards import bump
from registry.tables import PodcastState, podcasts

MAX_TOLD = 200  # findings told one by one; the registry has all


@dataclass(frozen=True)
class Word:
    """What `source` said, asked or unasked, of a tracked podcast; no ids: it has nothing of it."""

    podcast_key: int
    source: str
    ids: tuple[Ids, ...] = ()
    missing: Mismatch | None = None  # what became of our itunes_id there


@dataclass(frozen=True)
class Known:
    """A tracked podcast, and whether there is a good record of it: only then is its guid known."""

    tracked: Tracked
    has_record: bool


@dataclass
class Applied:
    """What came of it, by source."""

    updates: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    findings: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    told: list[Finding] = field(default_factory=list)  # at most MAX_TOLD


def known_of(engine: Engine, lake_root: Path, keys: Collection[int]) -> dict[int, Known]:
    """podcast_key → what we know, of those that somebody tracks.

    A guid that the feed declares goes before one that was registered, and that before the derived one.
    """
    original_url = func.coalesce(podcasts.c.original_url, podcasts.c.feed_url)
    query = select(
        podcasts.c.podcast_key,
        podcasts.c.feed_url,
        original_url.label("original_url"),
        podcasts.c.podcast_guid,
        podcasts.c.itunes_id,
        podcasts.c.podcastindex_id,
    ).where(podcasts.c.state != PodcastState.DEREGISTERED)
    rows: list[Any] = []
    with engine.connect() as connection:
        for some in batches(sorted(keys), PARAMETERS):
            rows += connection.execute(query.where(podcasts.c.podcast_key.in_(some))).all()
    declared = _declared(lake_root, [row.podcast_key for row in rows])
    return {row.podcast_key: _known(row, declared) for row in rows}


def _known(row: Any, declared: dict[int, str | None]) -> Known:
    guid = declared.get(row.podcast_key) or _said_guid(row)
    tracked = Tracked(
        row.podcast_key,
        row.feed_url,
        row.original_url,
        guid or derived_guid(row.original_url),
        guid is not None,
        row.itunes_id,
        row.podcastindex_id,
    )
    return Known(tracked, row.podcast_key in declared)


def _said_guid(row: Any) -> str | None:
    """The registry's guid, unless it only stands in for one that nobody had said."""
    return None if has_stand_in(row) else row.podcast_guid


def _is_gap(row: Any, name: Field) -> bool:
    return (_said_guid(row) if name is Field.PODCAST_GUID else getattr(row, name)) is None


def _declared(lake_root: Path, keys: Sequence[int]) -> dict[int, str | None]:
    """podcast_key → the guid its feed declares, if any; of those that have a good record."""
    by_shard: dict[int, list[int]] = defaultdict(list)
    for key in keys:
        by_shard[shard_of(key)].append(key)
    found: dict[int, str | None] = {}
    for shard, of_shard in sorted(by_shard.items()):
        if not folder_of(lake_root, shard).exists():
            continue
        with reading(lake_root):
            rows = Shard(lake_root, shard).podcasts(of_shard, ("podcast_guid", "guid_source"))
        for key, row in rows.items():
            found[key] = row["podcast_guid"] if row["guid_source"] == "declared" else None
    return found


def apply(engine: Engine, lake_root: Path, words: Sequence[Word], now_us: int) -> Applied:
    """Fill the gaps that the words fill, keep what differs; a batch of podcasts a transaction.

    Done again it changes nothing but the time of the findings. What is said of one podcast is weighed
    together, also with what was found before: two directories that disagree fill no gap.
    """
    by_key: dict[int, list[Word]] = defaultdict(list)
    for word in words:
        by_key[word.podcast_key].append(word)
    applied = Applied()
    # By shard: the records of a batch then lie in few files.
    for keys in batches(sorted(by_key, key=lambda key: (shard_of(key), key)), PARAMETERS):
        known = known_of(engine, lake_root, keys)
        with writing(engine) as connection:
            _apply(connection, known, {key: by_key[key] for key in known}, now_us, applied)
    return applied


def _apply(
    connection: Connection,
    known: dict[int, Known],
    words: dict[int, list[Word]],
    now_us: int,
    applied: Applied,
) -> None:
    query = select(podcasts).where(podcasts.c.podcast_key.in_(sorted(known)))
    locked = query.order_by(podcasts.c.podcast_key).with_for_update(key_share=True)
    rows = {row.podcast_key: row for row in connection.execute(locked)}
    asked = {(key, word.source) for key in words for word in words[key]}
    # What those propose that say nothing now.
    others: dict[tuple[int, str], set[str | None]] = defaultdict(set)
    for before in disagreements(connection, list(known)):
        if (before.podcast_key, before.source) not in asked:
            others[before.podcast_key, before.field].add(before.theirs)
    findings: list[Finding] = []
    changed: list[int] = []
    for key, said in words.items():
        ours = known[key]
        result = reconcile(ours.tracked, [ids for word in said for ids in word.ids])
        wanted = [
            new
            for new in result.updates
            if _is_gap(rows[key], new.field) and (ours.has_record or new.field is not Field.PODCAST_GUID)
        ]
        news = [new for new in wanted if others[key, new.field] <= {str(new.value)}]
        for still in wanted:
            if still not in news:
                disagree = ConflictReason.DISAGREE
                result.conflicts.append(Conflict(still.field, None, still.value, still.source, disagree))
        if news:
            values = {str(one.field): one.value for one in news}
            connection.execute(update(podcasts).where(podcasts.c.podcast_key == key).values(values))
            changed.append(key)
        _count(applied, news)
        findings += _findings(ours.tracked, said, result, now_us)
    replace_findings(connection, asked, findings)
    for finding in findings:
        applied.findings[finding.source] += 1
    applied.told += findings[: MAX_TOLD - len(applied.told)]
    bump(connection, map(shard_of, changed))


def _count(applied: Applied, news: Sequence[Update]) -> None:
    for one in news:
        applied.updates[one.source] += 1


def _findings(ours: Tracked, said: Sequence[Word], result: Reconciled, now_us: int) -> Iterator[Finding]:
    """Where a signal of a move has our declared guid, that one goes first."""
    for conflict in result.conflicts:
        yield Finding(
            ours.podcast_key,
            conflict.source,
            str(conflict.field),
            None if conflict.ours is None else str(conflict.ours),
            str(conflict.theirs),
            FindingReason(conflict.reason),
            now_us,
            now_us,
        )
    for move in sorted(result.moves, key=lambda move: not move.is_same_guid):
        reason = FindingReason.OTHER_URL_SAME_GUID if move.is_same_guid else FindingReason.OTHER_URL
        yield Finding(
            ours.podcast_key, move.source, FEED_URL, ours.feed_url, move.url, reason, now_us, now_us
        )
    for word in said:
        if word.missing is not None:
            yield Finding(
                ours.podcast_key,
                word.source,
                str(Field.ITUNES_ID),
                str(ours.itunes_id),
                None,
                FindingReason(word.missing),
                now_us,
                now_us,
            )
