"""The counts of the cohort models as arrays, one place a target."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

STRATA = 9  # three classes of downloads of A's genre by three of all


class Cohort(StrEnum):
    """Whose conversions are counted (ATTRIBUTION §2, 4–6)."""

    EXPOSED = "exposed"
    CONTEMPORANEOUS = "contemporaneous"
    HISTORY = "history"
    PLACEBO = "placebo"
    HELD_OUT = "held_out"  # got the episode without the collaboration, by chance; no part of PACE


@dataclass(frozen=True)
class Counts:
    """One cohort of each target, targets × strata; zero where a stratum has no row."""

    keys: Floats
    followed: Floats  # keys, each for the share of its follow-up that is over
    converts: Floats
    converting_keys: Floats  # distinct ones: below `converts` where an episode after the other was counted


@dataclass(frozen=True)
class Placebos:
    """Placebo episodes one by one, episodes × strata: who downloaded it, and others in the same days."""

    target: Ints  # place of its target
    key: Ints  # the episode's
    placebo: Counts
    history: Counts


@dataclass(frozen=True)
class Measured:
    """Collaborations and placebo triples, by target_id."""

    target_id: Ints
    show_key: Ints  # A
    partner_show_key: Ints  # B
    starts_us: Ints  # t0
    first_us: Ints  # the least t0 of it and its siblings, before which its history lies
    follow_up_us: Ints
    is_placebo: Bools
    is_final: Bools  # every exposed key was followed up whole
    reached: Floats  # N so far
    known: Floats
    exposed: Floats  # n so far
    response: Floats  # Σ G over the exposed, as far as they were followed
    full_response: Floats  # G(30 d)
    arrived: Floats  # share of N that has come so far
    placebo_episodes: Floats  # m
    has_history: Bools
    has_look_back: Bools  # A's logs reach back far enough to tell who is new to it
    cohorts: dict[Cohort, Counts]
    placebos: Placebos

    @property
    def can_tell(self) -> Bools:
        """Whether anyone was exposed for any time: else there is nothing to divide by."""
        return (self.exposed > 0) & (self.response > 0)


def measured(rates: pl.DataFrame, totals: pl.DataFrame, targets: pl.DataFrame) -> Measured:
    """Line up int_cohort_rates, int_cohort_totals and int_collaborations.

    Final is what was measured after its end: the totals tell when, which may be before the newest data. A
    target without totals was not measured: all its counts are 0. Rates of no target are left out. Raises
    ValueError for a stratum or a cohort that there is not.
    """
    rows = targets.select(
        "target_id",
        "show_key",
        "partner_show_key",
        "starts_us",
        "first_us",
        "is_placebo",
        "final_us",
        follow_up_us=pl.col("final_us") - pl.col("exposure_ends_us"),
    ).join(
        totals.select(
            "target_id",
            "as_of_us",
            "reached",
            "known",
            "exposed",
            "response",
            "full_response",
            "arrived",
            "placebo_episodes",
            "has_history",
            "has_look_back",
        ),
        on="target_id",
        how="left",
        validate="1:1",
    )
    rows = rows.sort("target_id")
    of_targets: dict[str, Any] = {
        name: rows[name].cast(pl.Int64).to_numpy()
        for name in (
            "target_id",
            "show_key",
            "partner_show_key",
            "starts_us",
            "first_us",
            "follow_up_us",
        )
    }
    is_final = (rows["as_of_us"] >= rows["final_us"]).fill_null(False)
    placebo_episodes = _floats(rows["placebo_episodes"])
    return Measured(
        **of_targets,
        is_placebo=rows["is_placebo"].fill_null(False).cast(pl.Boolean).to_numpy(),
        is_final=is_final.cast(pl.Boolean).to_numpy(),
        reached=_floats(rows["reached"]),
        known=_floats(rows["known"]),
        exposed=_floats(rows["exposed"]),
        response=_floats(rows["response"]),
        full_response=_floats(rows["full_response"]),
        arrived=_floats(rows["arrived"]),
        placebo_episodes=placebo_episodes,
        has_history=rows["has_history"].fill_null(False).cast(pl.Boolean).to_numpy() & (placebo_episodes > 0),
        has_look_back=rows["has_look_back"].fill_null(False).cast(pl.Boolean).to_numpy(),
        **_cohorts(rates, of_targets["target_id"]),
    )


def _floats(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(0.0).to_numpy()


def _cohorts(rates: pl.DataFrame, ids: Ints) -> dict[str, Any]:
    strange = rates.filter(
        ~pl.col("stratum").is_between(0, STRATA - 1) | ~pl.col("cohort").is_in([one.value for one in Cohort])
    )
    if strange.height:
        raise ValueError(f"no such cohort or stratum: {strange.select('cohort', 'stratum').row(0)}")
    # In one order, whatever the warehouse's: what is added up below comes to the same, to the last digit.
    rates = rates.filter(pl.col("target_id").is_in(ids.tolist())).sort(
        "target_id", "cohort", "placebo_key", "stratum"
    )
    target = np.searchsorted(ids, rates["target_id"].cast(pl.Int64).to_numpy())
    cohort = rates["cohort"].to_numpy()
    of_episodes = rates.select(pl.lit(pl.Series(target)).alias("target"), "placebo_key")
    is_episode = np.isin(cohort, (Cohort.PLACEBO.value, Cohort.HISTORY.value))
    episodes = (
        of_episodes.filter(pl.Series(is_episode)).unique().sort("target", "placebo_key").with_row_index()
    )
    place = of_episodes.join(episodes, on=["target", "placebo_key"], how="left", maintain_order="left")
    episode = place["index"].fill_null(0).cast(pl.Int64).to_numpy()

    def counted(rows: Bools, places: Ints, size: int) -> Counts:
        return _counted(rates.filter(pl.Series(rows)), places[rows], size)

    return {
        "cohorts": {one: counted(cohort == one.value, target, len(ids)) for one in Cohort},
        "placebos": Placebos(
            target=episodes["target"].cast(pl.Int64).to_numpy(),
            key=episodes["placebo_key"].cast(pl.Int64).to_numpy(),
            placebo=counted(cohort == Cohort.PLACEBO.value, episode, episodes.height),
            history=counted(cohort == Cohort.HISTORY.value, episode, episodes.height),
        ),
    }


def _counted(rates: pl.DataFrame, place: Ints, size: int) -> Counts:
    """Rows of rates at their places, size × strata."""
    stratum = rates["stratum"].cast(pl.Int64).to_numpy()
    columns: dict[str, Any] = {}
    for name in ("keys", "followed", "converts", "converting_keys"):
        columns[name] = np.zeros((size, STRATA))
        np.add.at(columns[name], (place, stratum), _floats(rates[name]))
    return Counts(**columns)
