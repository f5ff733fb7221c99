"""All tracked podcasts looked up in a directory, a few a pass, in turn: where that stands, who is next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson
from sqlalchemy import ColumnElement, Engine, or_, select

from registry.tables import PodcastState, podcasts

ROUND_S = 86_400  # a round begins no sooner after the one before: ids and addresses change rarely

_WORDS = ("began_us", "shard", "key", "stumbled_on")


@dataclass(frozen=True)
class Rotation:
    """A round through the podcasts, by shard and key; its text fits into a source's cursor."""

    began_us: int
    shard: int | None = 0  # None: the round is over
    key: int | None = None  # the last podcast done in `shard`; None: none yet
    stumbled_on: int | None = None  # the podcast whose lookup failed last: a second failure passes it over

    @classmethod
    def parse(cls, text: str | None, now_us: int) -> Rotation:
        """From `text`; from nothing or no rotation, and when the time for one has come, a new round."""
        try:
            said = orjson.loads(text or "")
            values = [said[name] for name in _WORDS]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return cls(now_us)
        if not isinstance(values[0], int) or not all(isinstance(value, int | None) for value in values):
            return cls(now_us)
        rotation = cls(*values)
        if rotation.shard is None and now_us >= rotation.begins_us:
            return cls(now_us)
        # A clock that was set back must not have us wait.
        return replace(rotation, began_us=min(rotation.began_us, now_us))

    def text(self) -> str:
        return orjson.dumps(vars(self)).decode()

    @property
    def begins_us(self) -> int:
        """When the next round may begin."""
        return self.began_us + ROUND_S * 1_000_000

    @property
    def is_resting(self) -> bool:
        return self.shard is None

    def past(self, shard: int, key: int) -> Rotation:
        """After this podcast is done, or passed over."""
        return replace(self, shard=shard, key=key, stumbled_on=None)

    def stumbled(self, key: int) -> Rotation:
        """Before this podcast still, whose lookup failed."""
        return replace(self, stumbled_on=key)

    def over(self) -> Rotation:
        return replace(self, shard=None, key=None, stumbled_on=None)


def next_keys(engine: Engine, rotation: Rotation, at_most: int, with_itunes_id: bool) -> Sequence[int]:
    """The podcasts that are next, whoever tracks them; fewer than `at_most`: the last of the round.

    Those whose feed is gone or dead too: a directory may know where it went.
    """
    if rotation.shard is None:
        return []
    of_shard, key = podcasts.c.shard, podcasts.c.podcast_key
    conditions: list[ColumnElement[bool]] = [
        of_shard >= rotation.shard,
        podcasts.c.state != PodcastState.DEREGISTERED,
    ]
    if rotation.key is not None:
        conditions.append(or_(of_shard > rotation.shard, key > rotation.key))
    if with_itunes_id:
        conditions.append(podcasts.c.itunes_id.is_not(None))
    with engine.connect() as connection:
        return list(connection.scalars(select(key).where(*conditions).order_by(of_shard, key).limit(at_most)))
