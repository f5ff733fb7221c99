"""The outbox: what the lake tells of changes, and who hears of it, in one transaction (UPDATES §5)."""

from __future__ import annotations

from pathlib import Path
from typing import NotRequired, TypedDict

from sqlalchemy import Engine


class PodcastData(TypedDict):
    """The podcast as the lake and the registry know it now."""

    guid: str | None
    feed_url: str | None
    title: str | None


class EpisodeData(TypedDict):
    """The episode as the lake knows it now."""

    key: str  # decimal
    guid: str | None
    title: str | None
    enclosure_url: str | None
    published: str | None  # ISO 8601, UTC


class FieldData(TypedDict):
    """One field before and after."""

    field: str
    old: object
    new: object
    is_shortened: NotRequired[bool]  # there where old or new is not whole


class ChangeData(TypedDict):
    """`outbox.data`: what an event says of a change beside the outbox's own columns."""

    podcast: PodcastData
    episode: EpisodeData | None  # None: of the podcast itself
    changes: list[FieldData]  # sorted by field
    is_minor: bool
    minor_fields: list[str]  # those of `changes` that matter to nobody by themselves


def hand_over(engine: Engine, lake_root: Path, shard: int, now_us: int) -> int:
    """Put what the lake's shard tells newly into the outbox, with its deliveries; how many changes.

    Raises OSError and polars errors where the lake cannot be read.
    """
    raise NotImplementedError
