"""A small published folder: every mart with the columns of its dbt contract, and the rows a test gives."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import yaml

from serving.publish import Publication, publish

MODELS = Path(__file__).parents[3] / "dbt_project/models/marts"

Row = Mapping[str, Any]


@cache
def contracts() -> dict[str, dict[str, str]]:
    """mart → column → type, as the contracts beside the models say."""
    found = {}
    for path in sorted(MODELS.rglob("*.yml")):
        for model in yaml.safe_load(path.read_text("utf-8")).get("models", []):
            found[model["name"]] = {column["name"]: column["data_type"] for column in model["columns"]}
    return found


def publish_rows(published_dir: Path, tables: Mapping[str, Sequence[Row]]) -> Publication:
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
