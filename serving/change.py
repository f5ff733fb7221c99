"""What one build did to the marts: enough to make the next published version from the current one.

A build may say which dates it touched and which marts it left alone. That is believed only if the current
version was made from the warehouse as it was right before that build, and the warehouse is now as it was
right after: told by size and time of the file, so whoever else writes to it, or a publication that failed in
between, has the next version copied whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from ingest.durable import write_atomically

# Rows of changed dates are added behind the sorted ones: after a day the marts are sorted, and packed, anew.
WHOLE_AFTER = timedelta(hours=20)
MOST_DAYS = 40  # more are as well copied whole


@dataclass(frozen=True)
class State:
    """A warehouse file's size and time."""

    size: int
    mtime_ns: int

    @staticmethod
    def of(warehouse: Path) -> State | None:
        """As it is now; None without one."""
        try:
            found = warehouse.stat()
        except FileNotFoundError:
            return None
        return State(found.st_size, found.st_mtime_ns)


NOTHING = State(0, 0)  # before the first build


@dataclass(frozen=True)
class Change:
    """What one build did between two states of the warehouse."""

    before: State
    after: State
    days: tuple[date, ...]  # dates whose rows may differ, in the marts that are told by date
    kept: tuple[str, ...]  # marts it did not make
    rules: str  # a digest of the settings it counted by: under others, all rows may differ

    def write(self, path: Path) -> None:
        """Keep it for the publication that follows."""
        told = asdict(self) | {"days": [day.isoformat() for day in self.days]}
        write_atomically(path, json.dumps(told).encode())

    @staticmethod
    def read(path: Path) -> Change | None:
        """What the last build left there; None when that is nothing that can be read."""
        try:
            told = json.loads(path.read_text("utf-8"))
            return Change(
                State(**told["before"]),
                State(**told["after"]),
                tuple(date.fromisoformat(day) for day in told["days"]),
                tuple(told["kept"]),
                str(told["rules"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class Former:
    """A published version to go on from."""

    folder: Path
    tables: dict[str, dict[str, Any]]  # of its manifest, by mart
    sorted_at: str  # when its rows were sorted last
    shared_sha256: str  # of its shared.duckdb


def former(
    folder: Path | None,
    told: Mapping[str, Any] | None,
    warehouse: Path,
    change: Change | None,
    window: str | None,
    is_same_shape: Callable[[Mapping[str, dict[str, Any]]], bool],
) -> Former | None:
    """The current version in `folder`, if `change` is all that lies between it and the warehouse; else None.

    told: its manifest. is_same_shape: whether its tables, by mart, are columned and sorted as those of now.
    """
    if folder is None or told is None or change is None or len(change.days) > MOST_DAYS:
        return None
    try:
        tables = {table["name"]: table for table in told["tables"]}
        sorted_at, shared = told["sorted_at"], told["shared"]["sha256"]
        same = (
            State(**told["warehouse"]) == change.before
            and State.of(warehouse) == change.after
            and (told["window"], told["rules"]) == (window, change.rules)
            and is_same_shape(tables)
        )
        age = datetime.now(UTC) - datetime.fromisoformat(sorted_at)
    except (ValueError, KeyError, TypeError):
        return None
    return Former(folder, tables, sorted_at, shared) if same and age < WHOLE_AFTER else None
