"""The marts rebuilt step by step, killed on the way, are those of one build."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from earshot import rebuild as rebuilding
from earshot.made_up.world import WorldSpec, build, write, write_catalog
from earshot.pipeline import build_marts, reading
from earshot.rebuild import RequestsAreGone, WarehouseInUse, rebuild
from ingest.catalog import take_in_catalog
from ingest.lake import Lake, write_parquet
from ingest.logs.intake import find_landing_files, take_in
from ingest.schema import DAY_US, KEPT
from ingest.settings import Settings
from tests.dbt.lakes import marts


class Killed(Exception):
    """Stands for a process that ends between two steps."""


@contextlib.contextmanager
def held_open(warehouse: Path) -> Iterator[None]:
    """Another process has the warehouse open."""
    hold = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.communicate()


def test_a_rebuild_killed_on_the_way_goes_on_and_ends_with_the_marts_of_one_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data=tmp_path, settle_s=0)
    world = build(WorldSpec(shows=4, days=4, lines=3_000))
    write(world, settings.landing_dir)
    write_catalog(world, tmp_path / "episodes.csv")
    take_in_catalog([tmp_path / "episodes.csv"], Lake(settings.lake_dir))
    take_in(find_landing_files(settings), settings, Lake(settings.lake_dir))
    build_marts(settings)
    in_one_piece = marts(settings.warehouse)
    monkeypatch.setattr(rebuilding, "REQUESTS_A_STEP", 400)

    def killed_after_a_step(counted: int, of: int) -> None:
        if counted:
            raise Killed(f"{counted} of {of}")

    with pytest.raises(Killed):
        rebuild(settings, killed_after_a_step)
    assert marts(settings.warehouse) == in_one_piece, "the warehouse in use is left alone until the end"

    said: list[tuple[int, int]] = []
    with (
        held_open(settings.warehouse),
        pytest.raises(WarehouseInUse, match="run the command again"),
    ):
        rebuild(settings, lambda counted, of: said.append((counted, of)))
    assert 0 < said[0][0] < said[0][1]
    assert len(said) > 2, "counted in several steps"
    assert said[-1][0] == said[0][1]

    done = rebuild(settings, lambda counted, of: None)
    assert done.resumed == done.requests
    assert marts(settings.warehouse) == in_one_piece
    assert not (tmp_path / "rebuild").exists()
    with reading(settings.published_dir / "current" / "marts.duckdb") as published:
        assert published.execute("select count(*) from fct_downloads").fetchone() == (
            len(in_one_piece["fct_downloads"]),
        )


def test_files_with_a_line_of_days_ago_are_not_all_counted_in_one_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rebuilding, "REQUESTS_A_STEP", 100)
    days = range(20_697, 20_701)
    files = pl.DataFrame(
        {
            "first_us": [days[0] * DAY_US] * 4,
            "last_us": [(day + 1) * DAY_US - 1 for day in days],
            "requests": [100] * 4,
        }
    )
    steps = rebuilding._steps(files)
    # The last day is what remains: it comes with all other marts.
    assert steps == [((day + 1) * DAY_US, 100 * n) for n, day in enumerate(days[:3], 1)]


def test_a_rebuild_that_would_lose_figures_of_requests_that_are_gone_is_refused_unless_that_is_wanted(
    tmp_path: Path,
) -> None:
    settings = Settings(data=tmp_path, settle_s=0)
    world = build(WorldSpec(shows=2, days=2, lines=400))
    write(world, settings.landing_dir)
    lake = Lake(settings.lake_dir)
    take_in(find_landing_files(settings), settings, lake)
    write_parquet(pl.DataFrame([(date(2026, 5, 1), 0)], schema=KEPT, orient="row"), lake.kept_path)
    with pytest.raises(RequestsAreGone, match=r"before 2026-05-01 were removed.*--without-removed"):
        rebuild(settings, lambda counted, of: None)
    assert not settings.published_dir.exists()
    models: list[tuple[int, int]] = []
    done = rebuild(
        settings,
        lambda counted, of: None,
        models=lambda done, of: models.append((done, of)),
        without_removed=True,
    )
    assert done.version == 1 and done.requests > 0
    assert models and models[-1][0] == models[-1][1], "every model was told"
