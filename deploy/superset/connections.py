"""How Superset opens a database: DuckDB's current version and nothing else, PostgreSQL only to read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

IN_MEMORY = ("", ":memory:")
READ_ONLY = "-c default_transaction_read_only=on"
# One configuration for every connection of a process: DuckDB refuses a second one with another.
LOCKED = {
    "enable_external_access": "false",  # else SQL reads any file of the server
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "lock_configuration": "true",
    "memory_limit": os.environ.get("EARSHOT_BI_MEMORY") or "1GB",
    "threads": "2",
    "custom_user_agent": "superset",
}


def open_safely(
    url: URL, params: dict[str, Any], username: Any = None, security: Any = None, source: Any = None
) -> tuple[URL, dict[str, Any]]:
    """Superset's DB_CONNECTION_MUTATOR: called before each query, whose engine keeps no connection after it.

    DuckDB keeps one database for a path while it is open anywhere in the process, so `current/shared.duckdb`
    would show an old version. Its real path names the version, and is looked up anew each time.
    """
    if url.get_backend_name() == "duckdb":
        arguments: dict[str, Any] = {"config": dict(LOCKED)}
        if url.database not in (None, *IN_MEMORY):
            url = url.set(database=str(Path(str(url.database)).resolve()), query={})
            arguments["read_only"] = True
        return url, {**params, "connect_args": arguments}
    if url.get_backend_name() == "postgresql":
        given = params.get("connect_args", {})
        options = " ".join(part for part in (given.get("options"), READ_ONLY) if part)
        return url, {**params, "connect_args": {**given, "options": options}}
    return url, params
