"""Rows of the catalogue's frames for tests: what is not said is null or empty."""

from __future__ import annotations

from ingest.feeds.schema import CHANGES, EPISODES, ITEMS, PODCASTS, STATE, ChangeType, Record
from ingest.schema import Schema


def state_row(podcast_key: int, **said: object) -> Record:
    return _row(STATE, {"podcast_key": podcast_key, "sequence": 0, "failures": 0, "polls": 0, **said})


def podcast_row(podcast_key: int, **said: object) -> Record:
    return _row(PODCASTS, {"podcast_key": podcast_key, **said})


def episode_row(podcast_key: int, episode_key: int, **said: object) -> Record:
    return _row(EPISODES, {"podcast_key": podcast_key, "episode_key": episode_key, **said})


def items_row(podcast_key: int, **said: object) -> Record:
    return _row(ITEMS, {"podcast_key": podcast_key, **said})


def change_row(podcast_key: int, sequence: int, **said: object) -> Record:
    given = {
        "change": ChangeType.PODCAST_UPDATED,
        "is_minor": False,
        "fields": "[]",
        "detected_us": 0,
        **said,
    }
    return _row(CHANGES, {"podcast_key": podcast_key, "sequence": sequence, **given})


def _row(schema: Schema, said: Record) -> Record:
    unknown = set(said) - set(schema)
    assert not unknown, f"no such column: {unknown}"
    return {name: said.get(name) for name in schema}
