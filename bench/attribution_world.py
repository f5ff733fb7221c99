"""A simulated platform whose collaborations have a known effect (ATTRIBUTION.md §3): log and truth.

Everything is drawn from one seed. Who listens to what is bench/attribution_audience.py, what collaborations
change bench/attribution_effects.py, how downloads reach the log bench/attribution_devices.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from bench.attribution_audience import Cast, Columns, WorldSpec, concat, downloads_of, follows_of
from bench.attribution_devices import AGENTS, devices, seen_as
from bench.attribution_effects import Effects, chosen_collaborations, effects_of

__all__ = ["World", "WorldSpec", "simulate"]


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
    `caused`: who they are: collaboration, person, exposed_us, converted_us.
    """

    spec: WorldSpec
    events: pl.DataFrame
    shows: pl.DataFrame
    episodes: pl.DataFrame
    collaborations: pl.DataFrame
    truth: pl.DataFrame
    caused: pl.DataFrame

    @cached_property
    def agents(self) -> pl.DataFrame:
        """agent, family, app, os, text: what the codes in `events` stand for."""
        return AGENTS


def simulate(spec: WorldSpec) -> World:
    """The world of `spec`: the same for the same spec."""
    rng = np.random.default_rng(spec.seed)
    cast = Cast(spec, rng)
    downloads = downloads_of(cast, follows_of(cast, rng), rng)
    chosen = chosen_collaborations(cast, rng)
    effects = effects_of(cast, downloads, chosen, rng)
    return _as_frames(cast, concat([downloads, *effects.downloads]), chosen, effects, rng)


def _as_frames(
    cast: Cast,
    downloads: Columns,
    chosen: pl.DataFrame,
    effects: Effects,
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
        pl.DataFrame(
            effects.truth,
            schema=["collaboration", "effect", "exposed", "fresh", "caused", "spilled"],
            orient="row",
        ),
        pl.DataFrame(concat(effects.caused)).select(
            "collaboration",
            pl.col("person").cast(pl.Int32),
            us("exposed").alias("exposed_us"),
            us("converted").alias("converted_us"),
        ),
    )
