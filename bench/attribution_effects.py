"""What collaborations do to the simulated audience, and so the truth: who came because of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from bench.attribution_audience import (
    DAY,
    HISTORY_DAYS,
    WEEK,
    Array,
    Cast,
    Columns,
    concat,
    downloads_of,
    stay,
)

EXPOSURE = 14 * DAY  # who downloads the episode within it has heard of A (ATTRIBUTION §2)
FOLLOW_UP = 30 * DAY
LOOK_BACK = 60 * DAY
TYPES = ("guest_swap", "promo_swap", "feed_drop", "host_read")


def chosen_collaborations(cast: Cast, rng: np.random.Generator) -> pl.DataFrame:
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


@dataclass
class Effects:
    """What collaborations bring: downloads of A, the truth, and who the caused are."""

    downloads: list[Columns] = field(default_factory=list)
    truth: list[tuple[int, float, int, int, int, int]] = field(default_factory=list)
    caused: list[Columns] = field(default_factory=list)


def effects_of(cast: Cast, downloads: Columns, chosen: pl.DataFrame, rng: np.random.Generator) -> Effects:
    """What collaborations bring, and the truth; in order of t0, so that later ones see earlier converts."""
    spec = cast.spec
    order = np.argsort(downloads["show"], kind="stable")
    bounds = np.searchsorted(downloads["show"][order], np.arange(spec.shows + 1))
    members = np.split(np.arange(spec.people), np.flatnonzero(np.diff(cast.household)) + 1)
    of_show: dict[int, Columns] = {}

    def of(show: int) -> Columns:
        if show not in of_show:
            rows = order[bounds[show] : bounds[show + 1]]
            of_show[show] = {name: column[rows] for name, column in downloads.items()}
        return of_show[show]

    effects = Effects()
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
        added = downloads_of(
            cast,
            {
                "person": np.concatenate([converts, spilt]),
                "show": np.full(len(start), a),
                "start": start,
                "end": stay(cast, start, rng),
            },
            rng,
        )
        effects.downloads.append(added)
        of_show[a] = concat([of(a), added])
        number = row["collaboration"]
        counts = (len(person), int(fresh.sum()), int(caused.sum()), len(spilt))
        effects.truth.append((number, row["effect"], *counts))
        exposed, converted = at[caused], at[caused] + delay[caused]
        effects.caused.append(
            {
                "collaboration": np.full(len(exposed), number),
                "person": person[caused],
                "exposed": exposed,
                "converted": converted,
            }
        )
    return effects


def _others(members: list[Array], cast: Cast, person: int) -> list[int]:
    home = members[cast.household[person]]
    return [int(other) for other in home if other != person]


def _first_of_each(person: Array, at: Array) -> tuple[Array, Array]:
    order = np.lexsort((at, person))
    people, first = np.unique(person[order], return_index=True)
    return people, at[order][first]


def _around(downloads: Columns, person: Array, at: Array) -> tuple[Array, Array]:
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
