"""The people of the simulated platform, its shows, and who downloads what of his own accord.

People live in households and like two genres. They follow weekly shows, find new ones by taste, by what they
hear already (a show's kin) and by spikes of publicity, and leave again. Times are whole milliseconds since
the world's start. A table is a dict of arrays of one length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bench.attribution_devices import Network

Array = npt.NDArray[Any]
Columns = dict[str, Array]

HOUR = 3_600_000
DAY = 24 * HOUR
WEEK = 7 * DAY
HISTORY_DAYS = 144  # 80 before the first exposure, 60 of look-back, and some air
KIN = 3  # shows whose audience takes up a show more than its taste explains


@dataclass(frozen=True)
class WorldSpec:
    """What is simulated. Rates are of people, not of keys."""

    seed: int = 1
    people: int = 200_000
    shows: int = 60
    collaborations: int = 26
    days: int = 240
    start: date = date(2026, 1, 5)  # a Monday
    genres: int = 8
    network: Network = field(default_factory=Network)
    # what people do
    follows: float = 1.6  # shows followed at the start, beside one
    churn_days: float = 170.0  # mean time a follower stays
    one_off: float = 0.35  # of those who find a show, download one episode and leave it
    weekly_growth: float = 0.04  # people who find a show, of its followers
    by_kin: float = 0.3  # of them come from the audience of its kin
    spikes: float = 1.5  # of publicity, a show
    spike_size: tuple[float, float] = (3.0, 8.0)  # times the usual finds
    drift: float = 0.5  # at most so much more, or less, at the end than at the start
    # what collaborations do
    no_effect: float = 1 / 3
    effect: tuple[float, float] = (0.004, 0.05)  # of the exposed who did not know A; log-uniform
    response_days: float = 6.0  # mean time from exposure to the first download of A
    in_bursts: float = 1 / 3  # of collaborations come in threes on one A within ten days
    with_kin: float = 0.5  # of partners are kin of A
    spill_over: float = 0.08  # of the others in a convert's household follow

    def __post_init__(self) -> None:
        if self.days < HISTORY_DAYS + 44 + 21:
            raise ValueError(f"days: {HISTORY_DAYS + 44 + 21} at least, for history, exposure and follow-up")
        if self.shows < 2 * self.genres:
            raise ValueError("shows: at least two a genre")

    @property
    def start_us(self) -> int:
        return (
            int(datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC).timestamp()) * 10**6
        )


class Cast:
    """People and shows."""

    def __init__(self, spec: WorldSpec, rng: np.random.Generator) -> None:
        self.spec = spec
        people, shows = spec.people, spec.shows
        self.end = spec.days * DAY
        # households of one to five
        sizes = rng.choice([1, 2, 3, 4, 5], size=people, p=[0.32, 0.34, 0.16, 0.13, 0.05])
        self.household = np.repeat(np.arange(people), sizes)[:people].astype(np.int32)  # 0, 1, … without gaps
        self.first, self.second = (rng.integers(0, spec.genres, people) for _ in range(2))
        self.activity = rng.gamma(2.0, 0.5, people)
        self.diligence = rng.beta(6.0, 2.0, people)  # share of a followed show's episodes
        self.is_automatic = rng.random(people) < 0.4  # the app downloads by itself, soon and at home

        self.genre = rng.permutation(np.arange(shows) % spec.genres)
        self.popularity = rng.lognormal(0.0, 0.8, shows)
        self.popularity /= self.popularity.sum()
        self.phase = rng.integers(0, 7, shows) * DAY + rng.integers(4, 9, shows) * HOUR
        self.trend = rng.uniform(-spec.drift, spec.drift, shows)
        alike = self.genre[:, None] == self.genre[None, :]
        nearness = rng.random((shows, shows)) + 0.5 * alike - 9.0 * np.eye(shows)
        self.kin = np.argsort(-nearness, axis=1)[:, :KIN]

    def liking(self, genre: int) -> Array:
        """How much each person's taste is for a genre; 1 for one they do not care for."""
        liking: Array = 1.0 + 5.0 * (self.first == genre) + 2.0 * (self.second == genre)
        return liking

    def aired(self, show: Array | int, number: Array | int) -> Array:
        """When the `number`th weekly episode of a show came out; numbers below 0 before the world began."""
        aired: Array = self.phase[show] + number * WEEK
        return aired

    def newest(self, show: Array | int, at: Array | int) -> Array:
        """The number of the newest episode at a time."""
        newest: Array = (at - self.phase[show]) // WEEK
        return newest


def follows_of(cast: Cast, rng: np.random.Generator) -> Columns:
    """Who follows which show from when to when: person, show, start, end; start = end: one episode only."""
    followed = _followed(cast, rng)
    return _without_doubles(concat([followed, *_found(cast, followed, rng)]))


def concat(tables: Sequence[Columns]) -> Columns:
    """Tables of the same columns, one below the other."""
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def stay(cast: Cast, start: Array, rng: np.random.Generator) -> Array:
    """Until when those who find a show follow it; `start` itself for those who leave at once."""
    stays = np.maximum(10.0, rng.exponential(cast.spec.churn_days, len(start))) * DAY
    return np.where(rng.random(len(start)) < cast.spec.one_off, start, start + stays).astype(np.int64)


def _followed(cast: Cast, rng: np.random.Generator) -> Columns:
    """Who follows what when the world begins."""
    spec = cast.spec
    person = np.repeat(np.arange(spec.people), 1 + rng.poisson(spec.follows * cast.activity))
    luck = rng.random(len(person))
    genre_share = np.bincount(cast.genre, cast.popularity, spec.genres)
    anything = rng.choice(spec.genres, len(person), p=genre_share)
    genre = np.where(luck < 0.45, cast.first[person], np.where(luck < 0.7, cast.second[person], anything))
    show = np.empty(len(person), np.int64)
    for g in range(spec.genres):
        of_genre = np.flatnonzero(cast.genre == g)
        rows = np.flatnonzero(genre == g)
        weight = cast.popularity[of_genre] / cast.popularity[of_genre].sum()
        show[rows] = rng.choice(of_genre, len(rows), p=weight)
    return {
        "person": person,
        "show": show,
        "start": np.full(len(person), -WEEK, np.int64),
        "end": (rng.exponential(spec.churn_days * 2, len(person)) * DAY).astype(np.int64),
    }


def _found(cast: Cast, followed: Columns, rng: np.random.Generator) -> list[Columns]:
    """Who finds a show by himself: by taste, through its kin, more in a spike, less at the weekend."""
    spec = cast.spec
    order = np.argsort(followed["show"], kind="stable")
    ends = np.cumsum(np.bincount(followed["show"], minlength=spec.shows))
    of_show = np.split(followed["person"][order], ends[:-1])
    cumulated = [np.cumsum(cast.liking(genre) * cast.activity) for genre in range(spec.genres)]
    day = np.arange(spec.days)
    weekday = np.array([1.1, 1.1, 1.1, 1.1, 1.0, 0.8, 0.8])[day % 7]
    finds = []
    for show in range(spec.shows):
        rate = (
            len(of_show[show]) * spec.weekly_growth / 7 * weekday * (1 + cast.trend[show] * day / spec.days)
        )
        for at in rng.integers(0, spec.days, rng.poisson(spec.spikes)):
            size, length = rng.uniform(*spec.spike_size), rng.uniform(1.0, 3.0)
            rate = rate * (1 + (size - 1) * np.exp(-np.maximum(day - at, 0) / length) * (day >= at))
        start = np.repeat(day, rng.poisson(rate)) * DAY
        weights = cumulated[cast.genre[show]]
        person = np.searchsorted(weights, rng.random(len(start)) * weights[-1])
        kin = np.concatenate([of_show[k] for k in cast.kin[show]])
        by_kin = rng.random(len(start)) < spec.by_kin
        if len(kin):
            person = np.where(by_kin, rng.choice(kin, len(start)), person)
        start = start + _time_of_day(len(start), rng)
        finds.append(
            {
                "person": person,
                "show": np.full(len(start), show),
                "start": start,
                "end": stay(cast, start, rng),
            }
        )
    return finds


def _without_doubles(follows: Columns) -> Columns:
    """Without finds of a show that the person is following at that time."""
    left = (
        pl.DataFrame(follows)
        .sort("person", "show", "start")
        .with_columns(
            until=pl.col("end").shift().cum_max().over("person", "show", mapping_strategy="group_to_rows")
        )
        .filter(pl.col("until").is_null() | (pl.col("start") > pl.col("until") + DAY))
    )
    return {name: left[name].to_numpy() for name in ("person", "show", "start", "end")}


def _time_of_day(size: int, rng: np.random.Generator) -> Array:
    """Milliseconds after midnight, in waking hours, most in the morning and the evening."""
    hours = np.where(rng.random(size) < 0.5, rng.normal(8.5, 2.0, size), rng.normal(18.0, 3.0, size))
    return (hours % 24 * HOUR).astype(np.int64)


def downloads_of(cast: Cast, follows: Columns, rng: np.random.Generator) -> Columns:
    """What followers download: at once the newest episode, soon some older ones, then what comes out.

    person, show, number (of the episode), at; each (person, show, number) once a stay.
    """
    person, show, start, end = (follows[name] for name in ("person", "show", "start", "end"))
    newest = cast.newest(show, start)
    comes = np.flatnonzero(start >= 0)
    parts = [(comes, newest[comes], start[comes])]
    stays = comes[end[comes] > start[comes]]
    older = np.repeat(stays, rng.poisson(0.7, len(stays)))
    back = rng.integers(1, 5, len(older))
    parts.append((older, newest[older] - back, start[older] + (rng.exponential(1.0, len(older)) * DAY)))

    last = cast.newest(show, np.minimum(end, cast.end))
    counts = np.maximum(last - newest, 0)
    later = np.repeat(np.arange(len(person)), counts)
    number = newest[later] + 1 + np.arange(len(later)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = rng.random(len(later)) < cast.diligence[person[later]]
    later, number = later[kept], number[kept]
    parts.append((later, number, _fetched(cast, person[later], cast.aired(show[later], number), rng)))

    row, number, at = (np.concatenate(column) for column in zip(*parts, strict=True))
    at = at.astype(np.int64)
    inside = (at >= 0) & (at < cast.end) & (number >= 0)
    row, number, at = row[inside], number[inside], at[inside]
    return {"person": person[row], "show": show[row], "number": number, "at": at}


def _fetched(cast: Cast, person: Array, aired: Array, rng: np.random.Generator) -> Array:
    """When followers download an episode: apps within hours, people on a later day, less at the weekend."""
    soon = aired + rng.exponential(5.0, len(person)) * HOUR
    day = (aired + rng.exponential(2.0, len(person)) * DAY) // DAY
    by_hand = day * DAY + _time_of_day(len(person), rng)
    by_hand = np.where(by_hand <= aired, by_hand + DAY, by_hand)
    waits = (by_hand // DAY % 7 == 5) & (rng.random(len(person)) < 0.4)
    by_hand = np.where(waits, by_hand + 2 * DAY, by_hand)
    return np.where(cast.is_automatic[person], soon, by_hand).astype(np.int64)
