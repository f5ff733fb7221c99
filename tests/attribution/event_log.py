"""Downloads sorted by key and time, and what PACE asks of them (ATTRIBUTION §2, 1–3), in NumPy.

Every question is a binary search in one sorted array of `key * SPAN + time`. Times are milliseconds; 100 days
are added to each so that a look back never reaches into the key before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[Any]

DAY = 86_400_000
MARGIN = 100 * DAY
SPAN = 1 << 36  # two years of milliseconds
STRATA = 9  # three classes of downloads of A's genre by three of all


@dataclass(frozen=True)
class Settings:
    """The parameters of ATTRIBUTION §2. Times in milliseconds."""

    exposure: int = 14 * DAY
    follow_up: int = 30 * DAY
    look_back: int = 60 * DAY
    tenure: int = 28 * DAY
    active_until: int = DAY // 2  # before t: an event that is not of the same sitting
    strata_back: int = 45 * DAY
    families_shared: int = 5  # a clean address has at most so many in any week
    history_from: int = 80 * DAY  # before the first exposure
    placebo_until: int = 44 * DAY
    panel_bits: int = 0  # pools are of keys whose first so many bits are zero; 0: of all
    placebo_panel_bits: int = 0  # those of placebo triples
    history_panel_bits: int = 0  # and beside placebo episodes
    as_of_us: int | None = None  # nothing later is seen; None: the newest download
    prior: float = 6.0  # a
    is_prior_of_mean: bool = False  # a is added to θ's counts of a mean placebo episode (docs/decisions/0017)
    pool_prior: float = 10.0
    response: float = 6.0 * DAY
    least_exposed: int = 200
    least_events: float = 5.0


class EventLog:
    """The downloads of one platform.

    `events`: address_key, family_key, show, episode, started_us (whole milliseconds). `genres`: by show. A
    key is the rank of its `device_key`. Rows are those of the sorted arrays `key`, `at`, `show`, `episode`.
    """

    def __init__(self, events: pl.DataFrame, genres: Array, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.genres = genres
        if self.settings.as_of_us is not None:
            events = events.filter(pl.col("started_us") <= self.settings.as_of_us)
        us = events["started_us"].to_numpy()
        if np.any(us % 1_000):
            raise ValueError("started_us: whole milliseconds are wanted")
        self.origin_us = int(us.min())
        at = (us - self.origin_us) // 1_000 + MARGIN
        as_of_us = self.settings.as_of_us or int(us.max())
        self.as_of = (as_of_us - self.origin_us) // 1_000 + MARGIN
        address_keys, family_keys = (events[name].to_numpy() for name in ("address_key", "family_key"))
        self.device_key, first, key = np.unique(
            address_keys ^ family_keys, return_index=True, return_inverse=True
        )
        order = np.argsort(key * SPAN + at, kind="stable")
        self.key, self.at = key[order], at[order]
        self.place = self.key * SPAN + self.at
        self.show = events["show"].to_numpy()[order]
        self.episode = events["episode"].to_numpy()[order]
        self.key_address = np.unique(address_keys[first], return_inverse=True)[1]
        self.shared_at = self._shared_at()
        self._counts: dict[int, Array] = {}
        self._places: dict[int, Array] = {}

    def in_panel(self, bits: int) -> Array:
        """By key: whether its first `bits` bits are zero."""
        if not bits:
            return np.ones(len(self.device_key), bool)
        return self.device_key.astype(np.uint64) >> np.uint64(64 - bits) == 0

    def rows_of(self, address_key: Array, family_key: Array, us: Array) -> Array:
        """The rows of downloads that are in the log."""
        key = np.searchsorted(self.device_key, address_key ^ family_key)
        return np.searchsorted(self.place, key * SPAN + (us - self.origin_us) // 1_000 + MARGIN)

    def time(self, us: int) -> int:
        return (us - self.origin_us) // 1_000 + MARGIN

    @property
    def start(self) -> int:
        return MARGIN

    def _shared_at(self) -> Array:
        """By key: the start of the first week (Thursday to Wednesday, UTC) in which its address had more than
        `families_shared` families; SPAN: none was."""
        origin = self.origin_us // 1_000 - MARGIN
        week = (self.at + origin) // (7 * DAY)
        first = week.min()
        seen = np.unique(self.key * 1_024 + week - first)
        address_weeks = self.key_address[seen // 1_024] * 1_024 + seen % 1_024
        found, families = np.unique(address_weeks, return_counts=True)
        found = found[families > self.settings.families_shared]
        shared_at = np.full(self.key_address.max() + 1, SPAN)
        addresses, earliest = np.unique(found // 1_024, return_index=True)
        shared_at[addresses] = (found[earliest] % 1_024 + first) * 7 * DAY - origin
        return shared_at[self.key_address]

    def is_clean(self, rows: Array, until: Array | int) -> Array:
        """By row: whether its key's address was shared in no week that was over by `until`."""
        return self.shared_at[self.key[rows]] + 7 * DAY > until

    @cached_property
    def tenured(self) -> Array:
        """By row: whether its key is known for long and was active before (step 2)."""
        s = self.settings
        first = np.searchsorted(self.key, np.arange(len(self.key_address)))
        is_old = self.at - self.at[first][self.key] >= s.tenure
        last = np.searchsorted(self.place, self.place - s.active_until, side="right") - 1
        last = np.maximum(last, 0)
        is_active = (self.key[last] == self.key) & (self.at[last] >= self.at - s.tenure)
        return is_old & is_active

    @cached_property
    def _in_episodes(self) -> tuple[Array, Array]:
        order = np.argsort(self.episode, kind="stable")
        return order, self.episode[order]

    @cached_property
    def _tenured(self) -> tuple[Array, Array]:
        rows = np.flatnonzero(self.tenured)
        return rows, self.at[rows]

    def tenured_between(self, start: int, end: int) -> Array:
        """The tenured rows of [start, end), in their order."""
        rows, at = self._tenured
        return rows[(at >= start) & (at < end)]

    def heard(self, episode: int, start: int) -> Array:
        """The rows of an episode's downloads in the exposure window from `start`, in their order."""
        order, episodes = self._in_episodes
        rows = order[slice(*np.searchsorted(episodes, [episode, episode + 1]))]
        return rows[(self.at[rows] >= start) & (self.at[rows] < start + self.settings.exposure)]

    def first_of_each(self, rows: Array) -> Array:
        """The first of `rows` (in their order) of each key."""
        return rows[np.diff(self.key[rows], prepend=-1) != 0]

    def of_show(self, show: int) -> Array:
        """The sorted places of a show's downloads."""
        if show not in self._places:
            self._places[show] = self.place[self.show == show]
        return self._places[show]

    def downloads(self, rows: Array, back: int, genre: int) -> tuple[Array, Array]:
        """How many downloads the key of each row had in [t − back, t): of a genre, and at all."""
        until = np.searchsorted(self.place, self.place[rows], side="left")
        since = np.searchsorted(self.place, self.place[rows] - back, side="left")
        if genre not in self._counts:
            hits = np.cumsum(self.genres[self.show] == genre, dtype=np.int32)
            self._counts[genre] = np.concatenate([[0], hits])
        return self._counts[genre][until] - self._counts[genre][since], until - since

    def last_and_next(self, rows: Array, show: int) -> tuple[Array, Array]:
        """Time since the key's last download of a show at or before t, and to its next; SPAN: none."""
        places, wanted = self.of_show(show), self.place[rows]
        if not len(places):
            return np.full(len(rows), SPAN), np.full(len(rows), SPAN)
        spot = np.searchsorted(places, wanted, side="right")
        last, following = places[np.maximum(spot - 1, 0)], places[np.minimum(spot, len(places) - 1)]
        has_last = (spot > 0) & (last // SPAN == self.key[rows])
        has_next = (spot < len(places)) & (following // SPAN == self.key[rows])
        return np.where(has_last, wanted - last, SPAN), np.where(has_next, following - wanted, SPAN)


@dataclass(frozen=True)
class Cohort:
    """One row a tenured key that did not know A: first index event, stratum 0 … 8, whether it became new."""

    key: Array
    at: Array
    stratum: Array
    converted: Array
    followed: Array  # which share of the follow-up is over
    known: int  # tenured keys left out since they knew A

    @property
    def counts(self) -> Array:
        return np.bincount(self.stratum, minlength=STRATA)

    @property
    def person_time(self) -> Array:
        """Follow-ups seen, by stratum: `counts` once all are over."""
        return np.bincount(self.stratum, self.followed, STRATA)

    @property
    def converts(self) -> Array:
        """By stratum."""
        return np.bincount(self.stratum, self.converted, STRATA)

    @property
    def known_share(self) -> float:
        return self.known / max(1, self.known + len(self.key))


def cohort(log: EventLog, rows: Array, show: int, final: int) -> Cohort:
    """Step 3 for index events `rows` (sorted), the growing show A and the time when follow-up ends."""
    s = log.settings
    rows = log.first_of_each(rows[log.tenured[rows] & log.is_clean(rows, final)])
    since, until = log.last_and_next(rows, show)
    knows = since <= s.look_back
    known, rows, until = int(knows.sum()), rows[~knows], until[~knows]
    of_genre, of_all = log.downloads(rows, s.strata_back, int(log.genres[show]))
    stratum = np.digitize(of_genre, [1, 4]) * 3 + np.digitize(of_all, [4, 10])
    followed = np.minimum(1.0, (log.as_of - log.at[rows]) / s.follow_up)
    return Cohort(log.key[rows], log.at[rows], stratum, until <= s.follow_up, followed, known)


def family_key(app: str | None, system: str | None) -> int:
    """The first 60 bits of the MD5 of `app|os`."""
    return int(hashlib.md5(f"{app or ''}|{system or ''}".encode()).hexdigest()[:15], 16)
