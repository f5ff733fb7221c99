"""R34: the figures before a restatement are kept, and what changed is told by show and reason."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from ingest.lake import Lake
from serving.former_figures import former_figures
from serving.publish import publish
from tests.dbt.lakes import (
    DAY_US,
    START_US,
    Row,
    add_file,
    catalog,
    day_of,
    dbt,
    marts,
    random_requests,
    set_catalog,
)

DAYS = [date(2026, 9, 3), date(2026, 9, 4)]


def build(lake: Lake, folder: Path) -> None:
    dbt(lake, folder / "warehouse.duckdb", "calendar", "run")
    publish(folder / "warehouse.duckdb", folder / "published", 3, lake=lake.root)


def figures(folder: Path) -> dict[tuple[Any, ...], int]:
    """What is published now: (date, class, show, reason) → figure of the published rule."""
    current = folder / "published" / "current" / "marts.duckdb"
    frame = former_figures(current, DAYS[0], DAYS[-1])
    keys = ["date", "source_class", "show_id", "reason"]
    return {row[:4]: row[4] for row in frame.select(*keys, "published").iter_rows() if row[4]}


def restate(
    lake: Lake, folder: Path, rows: list[Row], restated_us: int, version: str, is_killed: bool = False
) -> None:
    """As `orchestration.restating` does, with the judgement given; killed, half the days are judged."""
    kept = former_figures(folder / "published" / "current" / "marts.duckdb", DAYS[0], DAYS[-1])
    lake.write_former_figures(
        kept.with_columns(
            restated_us=pl.lit(restated_us),
            first_day=pl.lit(DAYS[0]),
            last_day=pl.lit(DAYS[-1]),
            rules_version=pl.lit(version),
        )
    )
    if is_killed:
        former = lake.requests().select("request_key", "exclusion_reason", "rules_version").collect()
        was = {key: values for key, *values in former.iter_rows()}
        rows = [
            {**row, "exclusion_reason": reason, "rules_version": rules}
            if day_of(row["started_us"]) == DAYS[1]
            else row
            for row in rows
            for reason, rules in [was[row["request_key"]]]
        ]
    add_file(lake, "first", rows)
    for day in DAYS[:1] if is_killed else DAYS:
        lake.record_restated(day, version, restated_us)
    if not is_killed:
        lake.finish_restatements(restated_us)


def judged(rows: list[Row], rng: random.Random, version: str) -> list[Row]:
    return [
        {**row, "rules_version": version, "exclusion_reason": rng.choice([None, "bot", "datacenter"])}
        if day_of(row["started_us"]) in DAYS
        else row
        for row in rows
    ]


def differences(folder: Path, restated_us: int) -> dict[tuple[Any, ...], tuple[int, int]]:
    with duckdb.connect(str((folder / "published/current/marts.duckdb").resolve()), read_only=True) as con:
        rows = con.execute(
            "select date, source_class, show_id, reason, former_published, restated_published"
            " from fct_restatements"
            " where epoch_us(restated_at) = ? and former_published <> restated_published",
            [restated_us],
        ).fetchall()
    return {row[:4]: row[4:] for row in rows}


def changed(
    before: dict[tuple[Any, ...], int], after: dict[tuple[Any, ...], int]
) -> dict[tuple[Any, ...], tuple[int, int]]:
    pairs = {key: (before.get(key, 0), after.get(key, 0)) for key in {*before, *after}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def test_r34_a_restatement_keeps_the_former_figures_and_tells_what_changed(tmp_path: Path) -> None:
    rng = random.Random(7)
    rows = random_requests(rng, 300)
    lake = Lake(tmp_path / "lake")
    set_catalog(lake, catalog())
    add_file(lake, "first", rows)
    build(lake, tmp_path)
    original = figures(tmp_path)
    assert original

    restate(lake, tmp_path, judged(rows, rng, "b"), 1_000_000, "b")
    build(lake, tmp_path)
    second = figures(tmp_path)
    assert differences(tmp_path, 1_000_000) == changed(original, second) != {}

    # Judged again: the first restatement still tells what it changed, and no more.
    restate(lake, tmp_path, judged(rows, rng, "c"), 2_000_000, "c")
    build(lake, tmp_path)
    third = figures(tmp_path)
    assert differences(tmp_path, 1_000_000) == changed(original, second)
    assert differences(tmp_path, 2_000_000) == changed(second, third) != {}
    dbt(lake, tmp_path / "rebuilt.duckdb", "calendar", "run")
    kept, rebuilt = marts(tmp_path / "warehouse.duckdb"), marts(tmp_path / "rebuilt.duckdb")
    assert kept == rebuilt

    # What arrives later is not the restatement's doing.
    late = {**rows[0], "request_key": 9999, "exclusion_reason": None, "listener_key": 77}
    add_file(lake, "late", [late])
    build(lake, tmp_path)
    assert differences(tmp_path, 2_000_000) == changed(second, third)
    dbt(lake, tmp_path / "again.duckdb", "calendar", "run")
    assert marts(tmp_path / "again.duckdb") == marts(tmp_path / "warehouse.duckdb")
    dbt(lake, tmp_path / "warehouse.duckdb", "calendar", "run", "--full-refresh")
    assert marts(tmp_path / "again.duckdb") == marts(tmp_path / "warehouse.duckdb")


def test_r34_a_restatement_is_told_once_all_its_days_are_judged(tmp_path: Path) -> None:
    """Builds go on while days are judged: what one of them had told would have stayed."""
    rng = random.Random(11)
    rows = random_requests(rng, 300)
    lake = Lake(tmp_path / "lake")
    set_catalog(lake, catalog())
    add_file(lake, "first", rows)
    build(lake, tmp_path)
    original, under_b = figures(tmp_path), judged(rows, rng, "b")

    restate(lake, tmp_path, under_b, 1_000_000, "b", is_killed=True)
    build(lake, tmp_path)
    half = figures(tmp_path)
    assert differences(tmp_path, 1_000_000) == {}

    restate(lake, tmp_path, under_b, 2_000_000, "b")
    build(lake, tmp_path)
    assert differences(tmp_path, 1_000_000) == changed(original, half) != {}
    assert differences(tmp_path, 2_000_000) == changed(half, figures(tmp_path)) != {}


def test_r34_the_reasons_tell_under_which_lists_they_were_judged(tmp_path: Path) -> None:
    early = {**random_requests(random.Random(0), 1)[0], "exclusion_reason": "bot", "request_key": 1}
    rows = [
        {**early, "started_us": START_US, "rules_version": "a"},
        {**early, "started_us": START_US + DAY_US, "rules_version": "b", "request_key": 2},
    ]
    lake = Lake(tmp_path / "lake")
    add_file(lake, "first", rows)
    dbt(lake, tmp_path / "w.duckdb", "calendar", "run")
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as con:
        told = con.execute(
            "select date, source, reason, rules_version, requests"
            " from marts.fct_exclusions_daily order by date"
        ).fetchall()
    assert told == [
        (date(2026, 9, 1), early["source"], "bot", "a", 1),
        (date(2026, 9, 2), early["source"], "bot", "b", 1),
    ]
