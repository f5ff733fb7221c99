"""What others than the team get: no key of a listener, and a file that any DuckDB since 1.0 opens."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from serving.contract import ContractError, read_contract
from serving.publish import Publication, PublishError, publish
from tests.serving.old_drivers import OldDriver, old_driver

__all__ = ["old_driver"]


def fill(path: Path, rows: int = 40) -> None:
    """Every mart with all columns of its contract, a value of its own in each row and column."""
    with duckdb.connect(str(path)) as con:
        con.execute("create schema if not exists marts")
        for mart in read_contract().values():
            columns = ", ".join(
                f"{_value(column.name, column.type)} as {column.name}" for column in mart.columns
            )
            con.execute(
                f"create or replace table marts.{mart.name} as select {columns} from range({rows}) t (i)"
            )
            con.execute(
                f"comment on table marts.{mart.name} is '{mart.description.replace(chr(39), chr(39) * 2)}'"
            )
        con.execute("create or replace table marts.fct_of_a_plugin as select 'who knows' as listener_key")


def _value(name: str, kind: str) -> str:
    if kind == "date":
        return "date '2026-09-01' + cast(i as integer)"
    if kind == "timestamp":
        return "timestamp '2026-09-01 00:00:00.123456' + i * interval 1 hour"
    return (
        f"'{name} ' || i"
        if kind == "varchar"
        else f"cast(i % 2 as {kind})"
        if kind == "boolean"
        else f"cast(i as {kind})"
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Publication:
    folder = tmp_path_factory.mktemp("house")
    fill(folder / "warehouse.duckdb")
    return publish(folder / "warehouse.duckdb", folder / "published", keep=3, window="calendar")


def columns_of(database: Path) -> dict[str, list[str]]:
    with duckdb.connect(str(database), read_only=True) as con:
        rows = con.execute(
            "select table_name, column_name from duckdb_columns() where schema_name = 'main'"
            " and not internal order by table_name, column_index"
        ).fetchall()
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found


def test_others_get_the_shared_columns_of_the_shared_marts_and_nothing_else(published: Publication) -> None:
    wanted = {
        name: [column.name for column in mart.shared_columns]
        for name, mart in read_contract().items()
        if mart.shared_columns
    }
    assert columns_of(published.shared_database) == wanted
    assert "fct_downloads" not in wanted


def test_the_team_gets_every_mart_with_every_column(published: Publication) -> None:
    inside = columns_of(published.database)
    assert inside.keys() == {*read_contract(), "fct_of_a_plugin"}
    for name, mart in read_contract().items():
        assert inside[name] == [column.name for column in mart.columns]


def test_no_byte_of_a_secret_is_left_in_the_shared_file(published: Publication) -> None:
    content = published.shared_database.read_bytes()
    assert b"show_title" in content
    for secret in (b"feed_url", b"owner_email", b"registry_reason", b"enclosure_url", b"who knows"):
        assert secret not in content, secret


def test_a_mart_without_a_contract_stays_inside_and_is_told_so(published: Publication) -> None:
    manifest = json.loads((published.path / "manifest.json").read_text())
    (plugin,) = [table for table in manifest["tables"] if table["name"] == "fct_of_a_plugin"]
    assert (plugin["subject"], plugin["audience"], plugin["contract_version"]) == ("other", "team", None)
    assert (published.path / "other" / "fct_of_a_plugin.parquet").is_file()


def test_the_manifest_tells_subject_grain_and_what_is_shared(published: Publication) -> None:
    manifest = json.loads((published.path / "manifest.json").read_text())
    tables = {table["name"]: table for table in manifest["tables"]}
    daily = tables["fct_show_daily"]
    assert (daily["subject"], daily["audience"], daily["contract_version"]) == ("downloads", "shared", 1)
    assert daily["grain"] == ["date", "source_class", "show_id"]
    assert daily["rows"] == 40
    assert {part["file"].rsplit("/", 1)[0] for part in daily["files"]} == {"downloads/fct_show_daily"}
    podcasts = {column["name"]: column for column in tables["dim_podcasts"]["columns"]}
    assert podcasts["feed_url"]["audience"] == "team"
    assert podcasts["podcast_key"] | {"description": None} == {
        "name": "podcast_key",
        "type": "BIGINT",
        "is_nullable": False,
        "audience": "shared",
        "description": None,
    }
    assert manifest["shared"]["file"] == "shared.duckdb"


def test_the_comments_of_what_is_shared_come_along(published: Publication) -> None:
    with duckdb.connect(str(published.shared_database), read_only=True) as con:
        told = dict(con.execute("select table_name, comment from duckdb_tables()").fetchall())
    assert told["dim_shows"] == read_contract()["dim_shows"].description


def test_a_driver_of_2024_reads_the_same_figures(published: Publication, old_driver: OldDriver) -> None:
    query = (
        "select show_id, strftime(date, '%Y-%m-%d'), cast(sum(downloads) as bigint)"
        " from fct_show_daily group by all order by all"
    )
    with duckdb.connect(str(published.shared_database), read_only=True) as con:
        wanted = [list(row) for row in con.execute(query).fetchall()]
    assert len(wanted) == 40
    assert old_driver.read(published.shared_database, query) == wanted


def test_without_a_contract_nothing_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "warehouse.duckdb", rows=1)
    monkeypatch.setenv("EARSHOT_DBT_PROJECT", str(tmp_path / "nowhere"))
    with pytest.raises(PublishError, match="not known who may have which mart") as told:
        publish(tmp_path / "warehouse.duckdb", tmp_path / "published", keep=3)
    assert isinstance(told.value.__cause__, ContractError)
    assert not (tmp_path / "published").exists()
