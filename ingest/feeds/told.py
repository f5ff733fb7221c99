"""Rows of CHANGES: what is told of a podcast, numbered without holes."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.feeds.diff import FieldChange, fields_json
from ingest.feeds.schema import ChangeType, Record


def change_row(
    change: ChangeType,
    fields: Sequence[FieldChange],
    *,
    episode_key: int | None = None,
    guid: str | None = None,
    record: str | None = None,
) -> Record:
    """A change that is not numbered yet; minor when all its fields are."""
    return {
        "change": change.value,
        "episode_key": episode_key,
        "guid": guid,
        "is_minor": all(one.is_minor for one in fields),
        "fields": fields_json(fields),
        "record": record,
    }


def told(state: Record, changes: Sequence[Record], now_us: int) -> tuple[Record, list[Record]]:
    """(state with its sequence moved on, CHANGES rows without shard and generation)."""
    sequence = state["sequence"] or 0
    rows = [
        {"podcast_key": state["podcast_key"], "sequence": sequence + number, "detected_us": now_us, **change}
        for number, change in enumerate(changes, start=1)
    ]
    return state | {"sequence": sequence + len(rows)}, rows
