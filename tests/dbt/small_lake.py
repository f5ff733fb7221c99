"""`make unit`: dbt build with unit tests, twice, on a small lake made by the real ingest.

The second build must find nothing new to count: building again is free of effects.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from earshot import world as worlds
from earshot.pipeline import DbtFailed, run_dbt
from ingest.catalog import take_in_catalog
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.settings import Settings
from tests.dbt.lakes import marts


def main() -> int:
    """Exit code 0 when every model builds and every test passes."""
    with tempfile.TemporaryDirectory(prefix="earshot-small-lake-") as folder:
        settings = Settings(data=Path(folder) / "data", settle_s=0)
        world = worlds.build(worlds.WorldSpec(shows=5, days=2, lines=2000))
        worlds.write(world, settings.landing_dir)
        worlds.write_catalog(world, settings.landing_dir / "catalog" / "episodes.csv")
        lake = Lake(settings.lake_dir)
        take_in_catalog([settings.landing_dir / "catalog" / "episodes.csv"], lake)
        take_in(find_landing_files(settings), settings, lake)
        try:
            run_dbt(settings, ["build"], print)
            first = marts(settings.warehouse)
            run_dbt(settings, ["build", "--exclude-resource-type", "unit_test", "--quiet"], print)
        except DbtFailed as error:
            print(error, file=sys.stderr)
            return 1
        if marts(settings.warehouse) != first:
            print("a second build changed the marts", file=sys.stderr)
            return 1
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
