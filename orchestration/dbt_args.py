"""How dbt is called: the environment and the arguments, as plain functions.

Imports neither Dagster nor dbt, so that the command line uses the same ones.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ingest.settings import Settings
from serving.contract import project_dir

# Before dbt's arguments: dbt of this Python, ready sooner. Where it must be one file: `lean_executable`.
LEAN_DBT = (sys.executable, "-m", "orchestration.lean_dbt")


def lean_executable() -> str | None:
    """The script `earshot-dbt` of this Python; none where Earshot is not installed as it is now."""
    beside = Path(sys.executable).with_name("earshot-dbt")
    return str(beside) if beside.exists() else None


def target_dir(settings: Settings) -> Path:
    """Where dbt builds; inside the data folder, so that two data folders never share state."""
    return settings.data.resolve() / "dbt" / "target"


def manifest_dir(settings: Settings) -> Path:
    """Where the manifest Dagster loads lies: not `target_dir`, which a running build rewrites."""
    return settings.data.resolve() / "dbt" / "manifest"


def dbt_environment(settings: Settings) -> dict[str, str]:
    """What dbt needs to know, as environment variables; all paths absolute."""
    project = str(project_dir())
    return {
        "EARSHOT_LAKE": str(settings.lake_dir.resolve()),
        "EARSHOT_WAREHOUSE": str(settings.warehouse.resolve()),
        "EARSHOT_WINDOW": settings.window.value,
        "EARSHOT_TIME_ZONE": settings.time_zone,
        "EARSHOT_FLAG_MADS": f"{settings.flag_mads:g}",
        "EARSHOT_FLAG_MIN_DOWNLOADS": str(settings.flag_min_downloads),
        "EARSHOT_RECONCILIATION_TOLERANCE": f"{settings.reconciliation_tolerance:g}",
        "EARSHOT_DUCKDB_MEMORY": settings.duckdb_memory,
        "DBT_PROJECT_DIR": project,
        "DBT_PROFILES_DIR": project,
        "DBT_TARGET_PATH": str(target_dir(settings)),
        "DBT_LOG_PATH": str(settings.data.resolve() / "dbt" / "logs"),
        # † With "debug", which tells everything dbt does, a model costs a fifth more.
        "DBT_LOG_LEVEL_FILE": os.environ.get("DBT_LOG_LEVEL_FILE", "info"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_USE_COLORS": "false",  # what it says is kept in logs
        "DO_NOT_TRACK": "1",
    }


def build_args(select: Sequence[str] = (), full_refresh: bool = False, tests: bool = True) -> list[str]:
    """`dbt build` as production runs it: unit tests are for CI, and no Dagster asset check shows them; of
    exposures there is nothing to build.

    Changing `--vars` would force a full parse, so everything variable travels in the environment.
    """
    args = ["build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "exposure"]
    if not tests:
        args += ["--exclude-resource-type", "test"]
    if select:
        args += ["--select", " ".join(select)]
    if full_refresh:
        args.append("--full-refresh")
    return args


def parse_args() -> list[str]:
    """Write the manifest without opening the warehouse."""
    return ["parse", "--quiet"]
