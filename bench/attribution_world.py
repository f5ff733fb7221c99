"""A simulated platform whose collaborations have a known effect (ATTRIBUTION.md §3): who follows what, why.

People live in households and like two genres. They follow weekly shows, find new ones by taste, by what they
hear already (a show's kin) and by spikes of publicity, and leave again. A collaboration converts some of
those who download its episode; a third of them convert nobody. Everything is drawn from one seed. By which
address and agent a download reaches the log is bench/attribution_devices.py.

Times inside are whole milliseconds since the world's start, in the frames epoch microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bench.attribution_devices import AGENTS, Network, devices, seen_as

Array = npt.NDArray[Any]

HOUR = 3_600_000
DAY = 24 * HOUR
WEEK = 7 * DAY
EXPOSURE = 14 * DAY  # who downloads the episode within it has heard of A (ATTRIBUTION §2)
FOLLOW_UP = 30 * DAY
LOOK_BACK = 60 * DAY
HISTORY_DAYS = 144  # 80 before the first exposure, 60 of look-back, and some air
KIN = 3  # shows whose audience takes up a show more than its taste explains
TYPES = ("guest_swap", "promo_swap", "feed_drop", "host_read")


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


@dataclass(frozen=True)
class World:
    """What a log would show, and the truth.

    `events`, in order of time: person, device (Int32), address_key (Int64), agent, family (Int16, rows of
    AGENTS), show (Int16), episode (Int32), started_us. One row a download.
    `shows`: show, genre. `episodes`: episode, show, aired_us.
    `collaborations`: collaboration, type, show (A), partner (B), episode (of B), started_us (t0).
    `truth`, one row a collaboration: effect, exposed (people, of whom `fresh` had not downloaded A for 60
    days), caused (new listeners within 30 days of their exposure whom nothing else would have brought) and
    spilled (people of their households who were not exposed themselves).
    """

    spec: WorldSpec
    events: pl.DataFrame
    shows: pl.DataFrame
    episodes: pl.DataFrame
    collaborations: pl.DataFrame
    truth: pl.DataFrame

    @cached_property
    def agents(self) -> pl.DataFrame:
        """agent, family, app, os, text: what the codes in `events` stand for."""
        return AGENTS


def simulate(spec: WorldSpec) -> World:
    """The world of `spec`: the same for the same spec."""
    rng = np.random.default_rng(spec.seed)
    cast = _Cast(spec, rng)
    followed = _followed(cast, rng)
    follows = _without_doubles(_concat([followed, *_found(cast, followed, rng)]))
    downloads = _downloads(cast, follows, rng)
    chosen = _chosen_collaborations(cast, rng)
    brought, truth = _converted(cast, downloads, chosen, rng)
    return _as_frames(cast, _concat([downloads, *brought]), chosen, truth, rng)


class _Cast:
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


def _concat(tables: Sequence[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _stay(cast: _Cast, start: Array, rng: np.random.Generator) -> Array:
    """Until when those who find a show follow it; `start` itself for those who leave at once."""
    stays = np.maximum(10.0, rng.exponential(cast.spec.churn_days, len(start))) * DAY
    return np.where(rng.random(len(start)) < cast.spec.one_off, start, start + stays).astype(np.int64)


def _followed(cast: _Cast, rng: np.random.Generator) -> dict[str, Array]:
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


def _found(cast: _Cast, followed: dict[str, Array], rng: np.random.Generator) -> list[dict[str, Array]]:
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
                "end": _stay(cast, start, rng),
            }
        )
    return finds


def _without_doubles(follows: dict[str, Array]) -> dict[str, Array]:
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


def _downloads(cast: _Cast, follows: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
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


def _fetched(cast: _Cast, person: Array, aired: Array, rng: np.random.Generator) -> Array:
    """When followers download an episode: apps within hours, people on a later day, less at the weekend."""
    soon = aired + rng.exponential(5.0, len(person)) * HOUR
    day = (aired + rng.exponential(2.0, len(person)) * DAY) // DAY
    by_hand = day * DAY + _time_of_day(len(person), rng)
    by_hand = np.where(by_hand <= aired, by_hand + DAY, by_hand)
    waits = (by_hand // DAY % 7 == 5) & (rng.random(len(person)) < 0.4)
    by_hand = np.where(waits, by_hand + 2 * DAY, by_hand)
    return np.where(cast.is_automatic[person], soon, by_hand).astype(np.int64)


def _chosen_collaborations(cast: _Cast, rng: np.random.Generator) -> pl.DataFrame:
    """Which A with which episode of which B, from when, and how strongly: in order of t0.

    An A has one collaboration or one burst of three. Every fourth is inserted up to three days after airing.
    """
    spec = cast.spec
    growing = list(rng.permutation(spec.shows))
    rows: list[tuple[int, int, int, int, float]] = []
    while len(rows) < spec.collaborations and growing:
        a = int(growing.pop())
        burst = 3 if rng.random() < spec.in_bursts / (3 - 2 * spec.in_bursts) else 1
        first = rng.integers(HISTORY_DAYS, spec.days - 44 - 20) * DAY
        partners: set[int] = set()
        for _ in range(min(burst, spec.collaborations - len(rows))):
            is_kin = rng.random() < spec.with_kin
            b = int(rng.choice(cast.kin[a])) if is_kin else int(rng.integers(spec.shows))
            if b == a or b in partners:
                b = next(other for other in rng.permutation(spec.shows) if other not in {a, *partners})
            partners.add(int(b))
            wanted = first + rng.integers(0, 4) * DAY
            number = int(cast.newest(int(b), int(wanted) + WEEK))
            late = int(rng.integers(1, 4)) * DAY if rng.random() < 0.25 else 0
            t0 = int(cast.aired(int(b), number)) + late
            low, high = np.log(spec.effect)
            effect = 0.0 if rng.random() < spec.no_effect else float(np.exp(rng.uniform(low, high)))
            rows.append((a, int(b), number, t0, effect))
    table = pl.DataFrame(rows, schema=["show", "partner", "number", "t0", "effect"], orient="row")
    types = pl.Series(rng.choice(TYPES, table.height))
    return table.with_columns(type=types).sort("t0", "show", "partner").with_row_index("collaboration")


def _converted(
    cast: _Cast, downloads: dict[str, Array], chosen: pl.DataFrame, rng: np.random.Generator
) -> tuple[list[dict[str, Array]], pl.DataFrame]:
    """What collaborations bring, and the truth; in order of t0, so that later ones see earlier converts."""
    spec = cast.spec
    order = np.argsort(downloads["show"], kind="stable")
    bounds = np.searchsorted(downloads["show"][order], np.arange(spec.shows + 1))
    members = np.split(np.arange(spec.people), np.flatnonzero(np.diff(cast.household)) + 1)
    of_show: dict[int, dict[str, Array]] = {}

    def of(show: int) -> dict[str, Array]:
        if show not in of_show:
            rows = order[bounds[show] : bounds[show + 1]]
            of_show[show] = {name: column[rows] for name, column in downloads.items()}
        return of_show[show]

    brought, truth = [], []
    for row in chosen.iter_rows(named=True):
        a, b, t0 = row["show"], row["partner"], row["t0"]
        heard = of(b)
        hits = (heard["number"] == row["number"]) & (heard["at"] >= t0) & (heard["at"] < t0 + EXPOSURE)
        person, at = _first_of_each(heard["person"][hits], heard["at"][hits])
        before, after = _around(of(a), person, at)
        fresh = at - before > LOOK_BACK
        liking = cast.liking(cast.genre[a])[person]
        chance = row["effect"] * np.where(liking > 1, 1.25, 0.75)
        delay = (rng.exponential(spec.response_days, len(person)) * DAY).astype(np.int64)
        # Whoever finds A sooner by himself needs no collaboration; whoever would later is not its doing.
        comes = fresh & (rng.random(len(person)) < chance) & (at + delay < np.minimum(after, cast.end))
        caused = comes & (delay <= FOLLOW_UP) & (after > at + FOLLOW_UP)
        converts, when = person[comes], at[comes] + delay[comes]

        others = [(o, w) for p, w in zip(converts, when, strict=True) for o in _others(members, cast, p)]
        spilt = np.array([o for o, _ in others], np.int64)
        spilt_at = np.array([w for _, w in others], np.int64)
        follows = rng.random(len(spilt)) < spec.spill_over
        spilt, spilt_at = spilt[follows], spilt_at[follows]
        spilt_at = spilt_at + (rng.exponential(5.0, len(spilt)) * DAY).astype(np.int64)
        known_at, would = _around(of(a), spilt, spilt_at)
        new = (spilt_at - known_at > LOOK_BACK) & (would > spilt_at) & ~np.isin(spilt, person)
        spilt, spilt_at = spilt[new], spilt_at[new]

        start = np.concatenate([when, spilt_at])
        added = _downloads(
            cast,
            {
                "person": np.concatenate([converts, spilt]),
                "show": np.full(len(start), a),
                "start": start,
                "end": _stay(cast, start, rng),
            },
            rng,
        )
        brought.append(added)
        of_show[a] = _concat([of(a), added])
        truth.append(
            (row["collaboration"], row["effect"], len(person), fresh.sum(), caused.sum(), len(spilt))
        )
    names = ["collaboration", "effect", "exposed", "fresh", "caused", "spilled"]
    return brought, pl.DataFrame(truth, schema=names, orient="row")


def _others(members: list[Array], cast: _Cast, person: int) -> list[int]:
    home = members[cast.household[person]]
    return [int(other) for other in home if other != person]


def _first_of_each(person: Array, at: Array) -> tuple[Array, Array]:
    order = np.lexsort((at, person))
    people, first = np.unique(person[order], return_index=True)
    return people, at[order][first]


def _around(downloads: dict[str, Array], person: Array, at: Array) -> tuple[Array, Array]:
    """The last download of a show up to `at` and the next after it; a far past and a far future for none."""
    span = 1 << 36  # more milliseconds than a world has
    keys = np.sort(downloads["person"].astype(np.int64) * span + downloads["at"])
    if not len(keys):
        return np.full(len(at), -span), np.full(len(at), span)
    place = np.searchsorted(keys, person.astype(np.int64) * span + at, side="right")
    earlier, later = keys[np.maximum(place - 1, 0)], keys[np.minimum(place, len(keys) - 1)]
    has_earlier = (place > 0) & (earlier // span == person)
    has_later = (place < len(keys)) & (later // span == person)
    return np.where(has_earlier, earlier % span, -span), np.where(has_later, later % span, span)


def _as_frames(
    cast: _Cast,
    downloads: dict[str, Array],
    chosen: pl.DataFrame,
    truth: pl.DataFrame,
    rng: np.random.Generator,
) -> World:
    spec = cast.spec
    weeks = spec.days // 7 + 1

    def us(at: str) -> pl.Expr:
        return (pl.col(at) * 1_000 + spec.start_us).alias("started_us")

    episode = pl.col("show").cast(pl.Int32) * weeks + pl.col("number")
    who = devices(spec.network, cast.household, rng)
    seen = seen_as(spec.network, who, downloads["person"], downloads["at"], cast.is_automatic, rng)
    frame = pl.DataFrame(
        {**seen, "show": downloads["show"], "number": downloads["number"], "at": downloads["at"]}
    )
    events = frame.select(
        pl.col("person").cast(pl.Int32),
        pl.col("device").cast(pl.Int32),
        "address_key",
        pl.col("agent").cast(pl.Int16),
        pl.col("family").cast(pl.Int16),
        pl.col("show").cast(pl.Int16),
        episode.cast(pl.Int32).alias("episode"),
        us("at"),
    ).sort("started_us", "person", "episode")
    shows = np.repeat(np.arange(spec.shows), weeks)
    numbers = np.tile(np.arange(weeks), spec.shows)
    return World(
        spec,
        events,
        pl.DataFrame({"show": np.arange(spec.shows, dtype=np.int16), "genre": cast.genre.astype(np.int16)}),
        pl.DataFrame({"show": shows, "number": numbers, "aired": cast.aired(shows, numbers)}).select(
            episode.cast(pl.Int32).alias("episode"),
            pl.col("show").cast(pl.Int16),
            us("aired").alias("aired_us"),
        ),
        chosen.select(
            "collaboration",
            "type",
            pl.col("show", "partner").cast(pl.Int16),
            (pl.col("partner").cast(pl.Int32) * weeks + pl.col("number")).cast(pl.Int32).alias("episode"),
            us("t0"),
        ),
        truth,
    )
