"""What collaborations brought, as the marts tell it, against the truth of simulated worlds."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from attribution.relations import frame
from bench.attribution_registry import FIRST_ID, tell_shows, with_permuted_genres
from bench.attribution_requests import write
from bench.attribution_scores import scores
from bench.attribution_world import World, WorldSpec, simulate
from bench.measure import Cost, measured, python
from bench.report import Figures, cache, say, show
from earshot.pipeline import reading
from ingest.lake import Lake
from ingest.logs.rules import Rules
from ingest.schema import DAY_US
from ingest.settings import Settings

REPEATS = 1
WORLDS = 8
FIRST_SEED = 9_300  # no form or parameter of the estimator was chosen by worlds from here on
LARGE = WorldSpec()
REQUESTS_A_STEP = 2_000_000  # counted at once, as `earshot rebuild` does
ATTRIBUTION = ["path:models/intermediate/attribution", "path:models/marts/attribution"]
# What the attribution models stand on, and what remembers what was counted: the other marts would double a
# run's time and change nothing in it.
BELOW = ["--select", *(f"+{path}" for path in ATTRIBUTION), "int_counted_*", "int_data_ends"]
BELOW += ["--exclude", *ATTRIBUTION]
RULES = ("last_touch", "first_touch", "linear", "time_decay")
GATES = {
    "bias": "±0.05 (±0.08 with permuted genres)",
    "coverage": "0.85 to 0.95",
    "false_credit": "≤ 0.05",
    "rmse_over_last_touch": "≤ 0.1",
    "rmse_over_matched": "≤ 1.15",
    "relative_error_of_many": "≤ 0.16",
    "platform_month_error": "≤ 0.08",
}


@dataclass(frozen=True)
class Measured:
    """One world: a row a collaboration, and what the attribution models cost."""

    table: pl.DataFrame
    cost: Cost


def run(
    rows: int | None,
    repeats: int,
    worlds: int = WORLDS,
    people: int = LARGE.people,
    shows: int = LARGE.shows,
    collaborations: int = LARGE.collaborations,
    seed: int = FIRST_SEED,
    permute_genres: bool = False,
) -> Figures:
    """The figures of ATTRIBUTION.md §3 over `worlds` worlds from `seed` on; the first two have no use.

    permute_genres: each world is measured once more with genres that say nothing: the figures `permuted`.
    Keeps the rows beside the results, for `bench plots`.
    """
    named: list[Measured] = []
    permuted: list[Measured] = []
    for number in range(worlds):
        spec = replace(LARGE, people=people, shows=shows, collaborations=collaborations, seed=seed + number)
        world = simulate(spec)
        with tempfile.TemporaryDirectory(prefix="earshot-bench-") as room:
            settings = Settings(data=Path(room))
            lake = Lake(settings.lake_dir)
            write(world, lake, Rules.load(settings))
            counted(settings.data, spec, spec.days, world.events.height // REQUESTS_A_STEP)
            named.append(_measured(world, settings))
            if permute_genres:
                tell_shows(with_permuted_genres(world), lake)
                counted(settings.data, spec, spec.days)  # dim_podcasts is below attribution
                permuted.append(_measured(world, settings))
        one = named[-1]
        brought, caused = one.table.select(pl.col("tau", "caused").sum()).row(0)
        say(
            f"world {spec.seed}: {world.events.height:,} downloads, {brought:,.0f} new listeners, {caused:,}"
            f" in truth, {one.cost.cpu_s:.0f} cpu-s, {one.cost.peak_mb:.0f} MB"
        )
        _keep(people, named, permuted)
    found = [scores(pl.concat(one.table for one in every)) for every in (named, permuted) if every]
    show(
        f"{worlds} worlds of {people:,} people, {found[0]['collaborations']} collaborations",
        ["figure", "found", "with permuted genres", "wanted"],
        [
            [name, *(f"{figures[name]}" for figures in found), *["–"] * (2 - len(found)), wanted]
            for name, wanted in GATES.items()
        ],
    )
    costs = [one.cost for one in named]
    return {
        "worlds": worlds,
        "people": people,
        "first_seed": seed,
        **found[0],
        "seconds_per_collaboration": round(
            sum(cost.cpu_s for cost in costs) / sum(one.table.height for one in named), 2
        ),
        "peak_mb": round(max(cost.peak_mb for cost in costs)),
        **({"permuted": found[1]} if permute_genres else {}),
    }


def kept_rows(people: int, are_genres_permuted: bool = False) -> Path:
    """Where the rows of the last run lie."""
    suffix = "-permuted" if are_genres_permuted else ""
    return cache() / "results" / f"attribution-{people}{suffix}.parquet"


def _keep(people: int, named: list[Measured], permuted: list[Measured]) -> None:
    """After each world: a run takes an hour."""
    for are_permuted, every in ((False, named), (True, permuted)):
        if every:
            kept = kept_rows(people, are_permuted)
            kept.parent.mkdir(parents=True, exist_ok=True)
            pl.concat(one.table for one in every).write_parquet(kept)


def _measured(world: World, settings: Settings) -> Measured:
    """Have the collaborations of a counted log measured, by what production runs."""
    cost = attributed(settings.data)
    return Measured(_against_truth(world, settings.warehouse), cost)


def counted(data: Path, spec: WorldSpec, days: int, steps: int = 0) -> Cost:
    """Count what the lake holds, `days` from the world's start, with so many steps before the last one."""
    cost = Cost(0, 0, 0)
    for step in range(1, steps + 1):
        before_us = spec.start_us + days * step // (steps + 1) * DAY_US
        cost += _stage(data, "count", *BELOW, before_us=before_us)
    return cost + _stage(data, "count", *BELOW)


def attributed(data: Path) -> Cost:
    """Bring the attribution models up to date with what is counted, and test them."""
    return _stage(data, "build", *ATTRIBUTION)


def _stage(data: Path, stage: str, *arguments: str, before_us: int | None = None) -> Cost:
    env = {} if before_us is None else {"EARSHOT_COUNT_BEFORE_US": str(before_us)}
    return measured(python("-m", "bench.stages", stage, str(data), *arguments), env)[0]


def _against_truth(world: World, warehouse: Path) -> pl.DataFrame:
    """The rows that bench/attribution_scores.py asks for, and all rules' credits of 30 days.

    `matched` is the plain matched control: what PACE would say with θ = 1 and without overlaps.
    """
    with reading(warehouse) as con:
        found = frame(
            con.sql("""
            select
                collaboration_id, estimate as tau, estimate_low as low, estimate_high as high,
                is_insufficient as insufficient, state, theta, k, linkability, converted, organic,
                (converted - organic / theta) / exposed * reach * (1 - known_share) / linkability as matched
            from marts.fct_collaboration_lift
            """)
        )
        gross = frame(
            con.sql(
                "select collaboration_id, rule, new_listeners from marts.fct_attribution_gross"
                " where window_days = 30"
            )
        )
    credits = gross.pivot("rule", index="collaboration_id", values="new_listeners")
    truth = world.truth.join(world.collaborations, on="collaboration").select(
        world=pl.lit(world.spec.seed),
        month=pl.from_epoch("started_us", "us").dt.truncate("1mo"),
        collaboration_id=pl.col("collaboration").cast(pl.Int64) + FIRST_ID,
        effect="effect",
        caused="caused",
    )
    table = truth.join(found, on="collaboration_id", how="left").join(
        credits, on="collaboration_id", how="left"
    )
    unmeasured = table.filter(pl.col("state").is_null() | (pl.col("state") != "final"))
    if unmeasured.height:
        raise AssertionError(f"not measured: {unmeasured['collaboration_id'].to_list()}")
    return table.with_columns(
        pl.col(RULES).fill_null(0.0), pl.col("matched").fill_null(0.0), pl.col("insufficient").fill_null(True)
    ).with_columns(credited="last_touch")
