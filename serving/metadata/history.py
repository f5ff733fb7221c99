"""How a field of a podcast or episode changed over time: from the marts, and what they do not have yet from
the lake.

The mart `fct_metadata_changes` is sorted and complete up to its last whole build; the lake has the last hour.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson
import polars as pl

from ingest.feeds.schema import CHANGES, EPISODE_CONTENT, PODCAST_CONTENT, shard_of
from ingest.feeds.state import find as crawl_state
from ingest.feeds.state import next_due_of
from ingest.lake import LAST
from serving.metadata.told import as_text, field_values, instant

# What a podcast's and an episode's changes can name.
FIELDS = tuple(sorted({*PODCAST_CONTENT, *EPISODE_CONTENT, "feed_url", "tier", "live_item", "removed_us"}))
_MART = "fct_metadata_changes"
_FILES_AT_ONCE = 500


class Marts(Protocol):
    """One published version."""

    def rows(self, sql: str, params: Sequence[Any] = ...) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Asked:
    """Whose history is meant."""

    podcast_key: int
    field: str | None = None  # None: of all fields
    episode_key: int | None = None  # None: the podcast's own
    of_episodes: bool = False  # with episode_key None: of all its episodes, too
    with_minor: bool = True


def history(
    lake_root: Path,
    marts: Marts | None,
    asked: Asked,
    limit: int,
    before: tuple[int, str] | None = None,
    known_since_us: int | None = None,
) -> list[dict[str, Any]]:
    """Changed fields, the newest first: {"sequence", "detected_at", "change", "episode_key", "episode_guid",
    "is_minor", "field", "old", "new"}; values are text as the marts have them.

    before: (sequence, field) of the last row of the page before. known_since_us: of changes detected before,
    addresses are not told (serving/metadata/told.py); None: all are.
    """
    stored: list[dict[str, Any]] = []
    last_sequence = last_generation = 0
    if marts is not None:
        last_sequence, last_generation = _up_to(marts, asked.podcast_key)
        stored = _stored(marts, asked, limit, before)
    state = crawl_state(lake_root, asked.podcast_key)
    newer: list[dict[str, Any]] = []
    if state is not None and state["sequence"] > last_sequence:
        newer = _newer(lake_root, asked, last_sequence, last_generation)
        if before is not None:
            newer = [row for row in newer if _place(row) > _place_of(before)]
    told = []
    for row in [*sorted(newer, key=_place), *stored][:limit]:
        hides = known_since_us is not None and row["detected_us"] < known_since_us
        old, new = field_values(row["field"] or "", row["old"], row["new"], hides)
        told.append(
            {
                "sequence": row["sequence"],
                "detected_at": instant(row["detected_us"]),
                "change": row["change"],
                "episode_key": None if row["episode_key"] is None else str(row["episode_key"]),
                "episode_guid": row["episode_guid"],
                "is_minor": row["is_minor"],
                "field": row["field"],
                "old": old,
                "new": new,
            }
        )
    return told


def _place(row: dict[str, Any]) -> tuple[int, str]:
    return _place_of((row["sequence"], row["field"] or ""))


def _place_of(at: tuple[int, str]) -> tuple[int, str]:
    return -at[0], at[1]


def _up_to(marts: Marts, podcast_key: int) -> tuple[int, int]:
    """(the podcast's last sequence that the marts have, the last commit of its shard that they have)."""
    (found,) = marts.rows(
        f"""select
            coalesce(max(sequence) filter (where podcast_key = ?), 0) as sequence,
            coalesce(max(generation), 0) as generation
        from {_MART} where podcast_key & 255 = ?""",
        [podcast_key, shard_of(podcast_key)],
    )
    return int(found["sequence"]), int(found["generation"])


def _stored(marts: Marts, asked: Asked, limit: int, before: tuple[int, str] | None) -> list[dict[str, Any]]:
    conditions, values = ["podcast_key = ?"], [asked.podcast_key]
    if asked.episode_key is not None:
        conditions.append("episode_key = ?")
        values.append(asked.episode_key)
    elif not asked.of_episodes:
        conditions.append("episode_key is null")
    more: list[Any] = []
    if asked.field is not None:
        conditions.append("field = ?")
        more.append(asked.field)
    if not asked.with_minor:
        conditions.append("not is_minor")
    if before is not None:
        conditions.append("(sequence < ? or (sequence = ? and coalesce(field, '') > ?))")
        more += [before[0], before[0], before[1]]
    return marts.rows(
        f"""select sequence, epoch_us(detected_at) as detected_us, change, episode_key,
            episode_id as episode_guid, is_minor, field, old_value as old, new_value as new
        from {_MART} where {" and ".join(conditions)}
        order by sequence desc, coalesce(field, '') limit ?""",
        [*values, *more, limit],
    )


def _newer(lake_root: Path, asked: Asked, sequence: int, generation: int) -> list[dict[str, Any]]:
    """What the lake's commits behind `generation` of the podcast's shard say of changes behind `sequence`."""
    shard = shard_of(asked.podcast_key)
    paths = _files(lake_root / "changes", shard, generation, int(next_due_of(lake_root, shard)[0]))
    is_its = (pl.col("podcast_key") == asked.podcast_key) & (pl.col("sequence") > sequence)
    found: list[dict[str, Any]] = []
    for first in range(0, len(paths), _FILES_AT_ONCE):
        some = paths[first : first + _FILES_AT_ONCE]
        rows = pl.scan_parquet(some, schema=pl.Schema(CHANGES), hive_partitioning=False).filter(is_its)
        found += [one for row in rows.collect().iter_rows(named=True) for one in _flat(row, asked)]
    return found


def _files(root: Path, shard: int, after: int, up_to: int) -> list[str]:
    if not root.is_dir():
        return []
    found = []
    for day in sorted(entry.name for entry in os.scandir(root) if entry.name < LAST):
        if not day.startswith("day="):
            continue
        for entry in os.scandir(root / day):
            start, _, rest = entry.name.partition("-")
            number = rest.removesuffix(".parquet")
            if start == f"{shard:03}" and number.isdecimal() and after < int(number) <= up_to:
                found.append(entry.path)
    return found


def _flat(row: dict[str, Any], asked: Asked) -> list[dict[str, Any]]:
    """A CHANGES row as rows of the mart, those asked for."""
    key = row["episode_key"]
    is_its_episode = key == asked.episode_key if asked.episode_key is not None else asked.of_episodes
    if (key is not None or asked.episode_key is not None) and not is_its_episode:
        return []
    if row["is_minor"] and not asked.with_minor:
        return []
    common = {name: row[name] for name in ("sequence", "detected_us", "change", "episode_key", "is_minor")}
    common["episode_guid"] = row["guid"]
    fields = orjson.loads(row["fields"] or "[]") or [{"field": None, "old": None, "new": None}]
    return [
        common | {"field": one["field"], "old": as_text(one["old"]), "new": as_text(one["new"])}
        for one in fields
        if asked.field in (None, one["field"])
    ]
