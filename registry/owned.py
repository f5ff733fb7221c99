"""Whose a registry in PostgreSQL is: the installation's id, as the comment of its table of revisions.

A comment, for it belongs to the database and not to its rows: a backup does not take it.
"""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Connection, text

from ingest.installation import PATTERN, AnotherInstallation, identity, known
from registry.database import alone, connected, described, is_sqlite, unmigrated, writing

_TABLE = "alembic_version"
_MARK = "registry of installation "


def claim(url: str | None, data: Path, take_over: bool = False) -> None:
    """Make it this installation's, migrated; SQLite is so by its place.

    Raises AnotherInstallation where it is another's and is not to be taken over, SettingError.
    """
    if not _is_shared(url):
        return
    if not take_over:
        refuse_another(url, data)
    own = identity(data)
    with connected(url, data) as engine, writing(engine) as connection:
        if is_sqlite(connection):
            return
        alone(connection, "claim")
        found = _owner(connection)
        if found == own:
            return
        if found and not take_over:
            raise AnotherInstallation(described(url, data), found)
        connection.execute(text(f"comment on table {_TABLE} is '{_MARK}{own}'"))


def refuse_another(url: str | None, data: Path) -> None:
    """Raises AnotherInstallation where it is another's, SettingError; changes nothing."""
    if not _is_shared(url):
        return
    with unmigrated(url, data) as engine, engine.connect() as connection:
        found = None if is_sqlite(connection) else _owner(connection)
    if found and found != known(data):
        raise AnotherInstallation(described(url, data), found)


def _is_shared(url: str | None) -> bool:
    return bool(url) and not str(url).startswith("sqlite")


def _owner(connection: Connection) -> str | None:
    told = connection.execute(text(f"select obj_description(to_regclass('{_TABLE}'), 'pg_class')")).scalar()
    found = re.fullmatch(f"{_MARK}({PATTERN})", str(told or ""))
    return found[1] if found else None
