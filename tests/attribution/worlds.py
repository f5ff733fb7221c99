"""`python -m tests.attribution.worlds --worlds N`: how near PACE comes to the truth of simulated worlds."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from bench.attribution_registry import with_permuted_genres
from bench.attribution_requests import counted, linked_over_epochs
from bench.attribution_scores import scores
from bench.attribution_world import World, WorldSpec, simulate
from tests.attribution.event_log import EventLog, Settings, family_key
from tests.attribution.numpy_pace import (
    Collaboration,
    Linkability,
    calibration,
    estimates,
    last_touch,
    measure,
    placebo_triples,
)


def family_keys(families: pl.DataFrame) -> pl.DataFrame:
    """family (the world's number), family_key. `families`: family, app, os."""
    keys = [family_key(app, system) for app, system in families.select("app", "os").iter_rows()]
    return families.select("family", family_key=pl.Series(keys, dtype=pl.Int64)).unique()


def log_of(
    world: World, settings: Settings | None = None, families: pl.DataFrame | None = None
) -> tuple[EventLog, pl.DataFrame, list[Collaboration]]:
    """The world as the oracle takes it: log, airings (episode, show, at) and collaborations.

    `families`: family, app, os as cleaning names them, where keys are to be those of a lake.
    """
    keys = family_keys(world.agents if families is None else families)
    events = counted(world.events).join(keys, on="family", maintain_order="left")
    log = EventLog(events, world.shows["genre"].to_numpy(), settings)
    since = pl.col("aired_us") - log.origin_us
    airings = world.episodes.select("episode", "show", at=since // 1_000 + log.start)
    named = [
        Collaboration(
            row["collaboration"], row["show"], row["partner"], row["episode"], log.time(row["started_us"])
        )
        for row in world.collaborations.iter_rows(named=True)
    ]
    return log, airings, named


def judged(
    world: World,
    triples: int,
    is_linkability_known: bool = False,
    settings: Settings | None = None,
) -> pl.DataFrame:
    """Estimates, last touch and truth side by side: one row a collaboration."""
    log, airings, named = log_of(world, settings)
    true_link = linkability(world, log)
    used = true_link if is_linkability_known else Linkability()
    zs = [measure(log, airings, one, [one]).z for one in placebo_triples(log, airings, named, triples)]
    k = calibration(np.array(zs))
    made = estimates(log, airings, named, k, used).with_columns(
        pl.col("collaboration").cast(pl.Int64), k=pl.lit(k), true_linkability=pl.lit(true_link.value)
    )
    gross = last_touch(world.events, world.collaborations).with_columns(
        pl.col("collaboration").cast(pl.Int64)
    )
    when = world.collaborations.select(
        pl.col("collaboration").cast(pl.Int64),
        "show",
        "partner",
        month=pl.from_epoch("started_us", "us").dt.truncate("1mo"),
    )
    return (
        when.join(made, on="collaboration")
        .join(gross, on="collaboration")
        .join(world.truth, on="collaboration", suffix="_people")
    )


def linkability(world: World, log: EventLog) -> Linkability:
    """The true λ: of the caused who were exposed under a tenured key, how many show A under the same key."""
    exposures = (
        world.caused.join(
            world.collaborations.select("show", "episode", pl.col("collaboration").cast(pl.Int64)),
            on="collaboration",
        )
        .join(
            counted(world.events).select(
                "person", "episode", "address_key", "family", exposed_us="started_us"
            ),
            on=["person", "episode", "exposed_us"],
        )
        .join(family_keys(world.agents), on="family")
    )
    keys = exposures["address_key"].to_numpy(), exposures["family_key"].to_numpy()
    rows = log.rows_of(*keys, exposures["exposed_us"].to_numpy())
    linked = total = 0
    for show in exposures["show"].unique():
        of_show = rows[(exposures["show"] == show).to_numpy()]
        final = log.at[of_show] + log.settings.exposure + log.settings.follow_up
        of_show = of_show[log.tenured[of_show] & log.is_clean(of_show, final)]
        since, until = log.last_and_next(of_show, show)
        unknown = since > log.settings.look_back
        total += int(unknown.sum())
        linked += int((until[unknown] <= log.settings.follow_up).sum())
    value = linked / max(1, total)
    return Linkability(value, (value * (1 - value) / max(1, total)) ** 0.5, is_assumed=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=2)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--shows", type=int, default=40)
    parser.add_argument("--collaborations", type=int, default=20)
    parser.add_argument("--triples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1_000, help="of the first world")
    parser.add_argument("--know-linkability", action="store_true", help="λ is the world's, not assumed")
    parser.add_argument("--permute-genres", action="store_true", help="shows have each other's labels")
    parser.add_argument(
        "--rotate-keys", action="store_true", help="keys are linked over epochs, as in a lake"
    )
    parser.add_argument("--prior-of-mean", action="store_true", help="see Settings")
    parser.add_argument("--keep", type=Path, help="writes the rows there, as Parquet")
    asked = parser.parse_args()
    spec = WorldSpec(people=asked.people, shows=asked.shows, collaborations=asked.collaborations)
    settings = Settings(is_prior_of_mean=asked.prior_of_mean)
    tables: list[pl.DataFrame] = []
    for seed in range(asked.seed, asked.seed + asked.worlds):
        began = time.perf_counter()
        world = simulate(replace(spec, seed=seed))
        if asked.rotate_keys:
            world = replace(world, events=linked_over_epochs(world.events))
        if asked.permute_genres:
            world = with_permuted_genres(world)
        made = time.perf_counter()
        table = judged(world, asked.triples, asked.know_linkability, settings)
        table = table.with_columns(world=pl.lit(seed))
        tables.append(table)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        told = f"world {seed}: {world.events.height} downloads, {made - began:.0f} s to simulate, "
        told += f"{time.perf_counter() - made:.0f} s to estimate, {peak} MB, "
        told += f"k {table['k'][0]:.2f}, true λ {table['true_linkability'][0]:.3f}"
        print(told, file=sys.stderr, flush=True)
    table = pl.concat(tables)
    if asked.keep:
        table.write_parquet(asked.keep)
    print(json.dumps(scores(table)))


if __name__ == "__main__":
    main()
