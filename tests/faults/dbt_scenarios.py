"""Builds of the marts by dbt, killed one after the other: they count in place, and must not count twice."""

from __future__ import annotations

import os
from pathlib import Path

from earshot.made_up.world import WorldSpec, build, write, write_catalog
from ingest.catalog import take_in_catalog
from ingest.lake import Lake
from ingest.logs.found import find_landing_files
from ingest.logs.intake import take_in
from ingest.settings import Settings
from orchestration.dbt_args import dbt_environment
from tests.dbt.lakes import environment, marts
from tests.faults.scenario import Facts, Scenario, Told

# What downloads rest on; the rest is made anew as a whole by each build.
SELECTED = ("+fct_show_daily", "+fct_exclusions_daily", "+int_counted_files")


class Marts(Scenario):
    """Half the files are counted already, by the first work; the second one counts the rest."""

    def prepare(self, data: Path) -> None:
        settings = Settings(data=data, settle_s=0)
        world = build(WorldSpec(shows=4, days=2, lines=1_500))
        write(world, settings.landing_dir)
        write_catalog(world, data / "episodes.csv")
        take_in_catalog([data / "episodes.csv"], Lake(data / "lake"))
        take_in(find_landing_files(settings)[::2], settings, Lake(data / "lake"))

    def more(self, data: Path) -> None:
        """The other half of the files."""
        settings = Settings(data=data, settle_s=0)
        take_in(find_landing_files(settings), settings, Lake(data / "lake"))

    def work(self, data: Path, told: Told) -> None:
        """As `earshot-dbt run` does it, but in this process, which has dbt at hand."""
        from dbt.cli.main import dbtRunner

        os.chdir(data)
        where = {
            "EARSHOT_WAREHOUSE": "warehouse.duckdb",
            "EARSHOT_LAKE": "lake",
            "DBT_TARGET_PATH": told["target"],  # parsed once
        }
        select = ("--select", *SELECTED) if told["bounded"] else ()
        with environment(**{**dbt_environment(Settings(data=data)), **where}):
            done = dbtRunner().invoke(["--quiet", "run", *select])
        assert done.success, done.exception or done.result

    def look(self, data: Path) -> Facts:
        return dict(marts(data / "warehouse.duckdb"))
