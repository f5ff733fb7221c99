"""`earshot rebuild`: all marts from the lake again, beside the warehouse in use, which they replace at last.

Day by day, so that memory is bounded by a few days and not by the history, and so that the windows lie in
order of time. What a killed rebuild had counted is not counted again.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from earshot.pipeline import build_marts, models_done, run_dbt
from ingest.durable import sync
from ingest.lake import Lake
from ingest.retention import why_not_anew
from ingest.schema import DAY_US
from ingest.settings import Settings
from orchestration.constants import MADE_LAST
from orchestration.maintaining import counted_files
from serving.postgres import marts_database
from serving.publish import DATABASE_NAME, MARTS_SCHEMA, publish
from serving.told import MART, keep_told

REQUESTS_A_STEP = 2_000_000  # about 1.5 GB of memory
FOLDER = "rebuild"

Progress = Callable[[int, int], None]  # done, of all


class RequestsAreGone(RuntimeError):
    """Requests were removed for their age, and only the marts in use still tell of them."""


class WarehouseInUse(RuntimeError):
    """Somebody has the warehouse open; the message says what to do."""


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild did."""

    requests: int
    steps: int
    resumed: int  # requests that an earlier, killed rebuild had counted
    version: int  # published


def rebuild(
    settings: Settings,
    progress: Progress,
    afresh: bool = False,
    models: Progress = lambda done, of: None,
    without_removed: bool = False,
) -> Rebuilt:
    """Build the marts of the whole lake anew and publish them.

    afresh: throw away what a killed rebuild has left. models: of the step under way.
    without_removed: also where requests were removed for their age; the marts lose what these had counted.
    Raises DbtFailed, RequestsAreGone, WarehouseInUse.
    """
    lake = Lake(settings.lake_dir)
    if not without_removed and (first := lake.first_kept_day()):
        raise RequestsAreGone(why_not_anew(first, settings.warehouse))
    keep_told(settings.published_dir / "current" / DATABASE_NAME, lake)  # an older Earshot has kept none
    beside = settings.data / FOLDER
    if afresh:
        shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True, exist_ok=True)
    mine = settings.model_copy(update={"data": beside})
    lake_here = beside / settings.lake_dir.name
    if not lake_here.is_symlink():
        lake_here.symlink_to(settings.lake_dir.resolve(), target_is_directory=True)

    files = lake.ledger().filter(pl.col("status") == "taken").unique(["source", "file_id"])
    total = int(files["requests"].sum())
    resumed = counted = _counted(mine.warehouse, files)
    progress(counted, total)
    steps = 0
    for before_us, requests in _steps(files):
        if requests <= counted:
            continue
        run_dbt(
            mine,
            ["run", "--exclude", *MADE_LAST],
            models_done(models),
            variables={"EARSHOT_COUNT_BEFORE_US": str(before_us)},
        )
        steps, counted = steps + 1, requests
        progress(counted, total)
    _forget_told(mine.warehouse)
    build_marts(mine, on_line=models_done(models))
    progress(total, total)
    _replace(settings.warehouse, mine.warehouse)
    shutil.rmtree(beside)
    done = publish(
        settings.warehouse,
        settings.published_dir,
        settings.keep_versions,
        window=settings.window.value,
        postgres=marts_database(settings),
        lake=settings.lake_dir,
    )
    return Rebuilt(total, steps + 1, resumed, done.version)


def _steps(files: pl.DataFrame) -> list[tuple[int, int]]:
    """(instant before which files end, requests so far) by step: ends of days, without the last one.

    By their ends, since a late line or one delivered again makes a file begin days before the rest of it.
    """
    days = (
        files.drop_nulls("last_us")
        .group_by(day=pl.col("last_us") // DAY_US)
        .agg(pl.col("requests").sum())
        .sort("day")
        .with_columns(so_far=pl.col("requests").cum_sum())
    )
    steps, done = [], 0
    for day, _, so_far in days.iter_rows():
        if so_far - done >= REQUESTS_A_STEP:
            steps.append(((day + 1) * DAY_US, int(so_far)))
            done = so_far
    return steps[:-1] if steps and steps[-1][1] == files["requests"].sum() else steps


def _counted(warehouse: Path, files: pl.DataFrame) -> int:
    """Requests of the files that a rebuild begun earlier has counted."""
    known = counted_files(warehouse) or set()
    keys = pl.DataFrame(list(known), {"source": pl.String, "file_id": pl.String}, orient="row")
    return int(files.join(keys, on=["source", "file_id"], how="semi")["requests"].sum())


def _forget_told(warehouse: Path) -> None:
    """Restatements that an earlier one has compared with half the history, or told nobody of."""
    if warehouse.exists():
        with contextlib.closing(duckdb.connect(str(warehouse))) as con:
            con.execute(f"drop table if exists {MARTS_SCHEMA}.{MART}")


def _replace(warehouse: Path, by: Path) -> None:
    """Put `by` in the place of `warehouse`, while nobody has it open. Raises WarehouseInUse."""
    try:
        held = duckdb.connect(str(warehouse.resolve())) if warehouse.exists() else None
    except duckdb.IOException as error:
        raise WarehouseInUse(
            f"the new marts are ready, but somebody has {warehouse} open: run the command again when "
            "no build is under way; it goes on where it stopped"
        ) from error
    try:
        by.replace(warehouse)
        sync(warehouse.parent)
    finally:
        if held:
            held.close()
