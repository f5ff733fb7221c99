"""A small published folder: every mart with the columns of its dbt contract, and the rows a test gives."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import duckdb
import yaml

from serving.publish import Publication, publish

MODELS = Path(__file__).parents[3] / "dbt_project/models/marts"

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]

_DAY = date(2026, 9, 1)
_VALUES: dict[str, Any] = {
    "bigint": 7_000_001,
    "integer": 7_001,
    "double": 7.5,
    "boolean": False,
    "date": _DAY,
    "timestamp": datetime(2026, 9, 1, 6),
}
# Columns with a closed set of values, or that belong to no show.
_ONE_OF = {
    "source_class": "server_log",
    "time_zone": "UTC",
    "currency": "EUR",
    "window": "calendar",
    "period": "week",
    "dimension": "app",
    "rules_version": "rules-1",
    "state": "final",
    "type": "guest_swap",
    "theta_source": "none",
    "linkability_source": "assumed",
    "model_version": "pace-3",
}


@cache
def contracts() -> dict[str, dict[str, str]]:
    """mart → column → type, as the contracts beside the models say."""
    found = {}
    for path in sorted(MODELS.rglob("*.yml")):
        for model in yaml.safe_load(path.read_text("utf-8")).get("models", []):
            found[model["name"]] = {column["name"]: column["data_type"] for column in model["columns"]}
    return found


def publish_rows(published_dir: Path, tables: Tables) -> Publication:
    """Publish all marts as the next version; those not named are empty, columns not given null."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder) / "warehouse.duckdb"
        with duckdb.connect(str(warehouse)) as con:
            con.execute("create schema marts")
            for mart, columns in contracts().items():
                listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
                con.execute(f"create table marts.{mart} ({listed})")
                for row in tables.get(mart, ()):
                    names = ", ".join(f'"{name}"' for name in row)
                    marks = ", ".join("?" * len(row))
                    con.execute(f"insert into marts.{mart} ({names}) values ({marks})", list(row.values()))
        return publish(warehouse, published_dir, keep=3, window="calendar")


def a_show(show_id: str, **more: Any) -> Row:
    """A row of dim_shows."""
    return {"show_id": show_id, "show_title": f"Title of {show_id}", "episodes": 3, **more}


def marked(show_ids: Sequence[str]) -> Tables:
    """A row a show in every mart that has a show_id; all of its texts hold `mark(show_id)`."""
    return {
        mart: [_marked_row(columns, show_id, number) for number, show_id in enumerate(show_ids)]
        for mart, columns in contracts().items()
        if "show_id" in columns
    }


def mark(show_id: str) -> str:
    """What an answer holds that tells anything of this show."""
    return f"{show_id}-secret"


def _marked_row(columns: Mapping[str, str], show_id: str, number: int) -> Row:
    """number: by which collaborations of different shows are different ones."""
    row = {}
    for column, kind in columns.items():
        if column == "show_id":
            row[column] = show_id
        elif column == "collaboration_id":
            row[column] = _VALUES[kind] + number
        elif kind == "varchar":
            row[column] = _ONE_OF.get(column, mark(show_id))
        elif kind == "bigint" and column.endswith(("_key", "_id")):
            row[column] = crc32(f"{column} {show_id}".encode())  # no two shows share an episode
        else:
            row[column] = _VALUES.get(kind)
    return row
