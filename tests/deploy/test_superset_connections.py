"""How Superset opens the marts: the version that is current, nothing but them, and only to read."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from deploy.superset.connections import open_safely
from deploy.superset.postgres import NotAReader, Unreachable, check_reader
from serving.postgres import MartsDatabase
from serving.publish import publish
from tests.postgres import Postgres, postgres
from tests.serving.test_publish import fill

__all__ = ["postgres"]

COUNT = "select count(*) from fct_show_daily"


def connect(address: str) -> duckdb.DuckDBPyConnection:
    """As the driver does with what Superset hands it."""
    url, params = open_safely(make_url(address), {"poolclass": None})
    return duckdb.connect(str(url.database), **params["connect_args"])


@pytest.fixture
def house(tmp_path: Path) -> Path:
    publish_rows(tmp_path, 20)
    return tmp_path


def publish_rows(house: Path, rows: int) -> list[tuple[int]]:
    """How many rows the version has that was just published."""
    fill(house / "warehouse.duckdb", 1, rows=rows)
    done = publish(house / "warehouse.duckdb", house / "published", keep=2)
    with duckdb.connect(str(done.shared_database), read_only=True) as con:
        return con.execute(COUNT).fetchall()


def test_a_connection_opens_the_version_that_is_current_when_it_is_made(house: Path) -> None:
    address = f"duckdb:///{house}/published/current/shared.duckdb"
    with connect(address) as former:
        before = former.execute(COUNT).fetchall()
        for rows in (40, 60):
            now = publish_rows(house, rows)
            with connect(address) as con:
                assert con.execute(COUNT).fetchall() == now != before
        assert former.execute(COUNT).fetchall() == before


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from glob('/etc/*')",
        "attach '/tmp/other.duckdb'",
        "copy (select 1) to '/tmp/out.csv'",
        "create table mine (i integer)",
        "delete from fct_show_daily",
        "set enable_external_access = true",
        "install httpfs",
    ],
)
def test_a_connection_reads_the_marts_and_reaches_nothing_else(house: Path, statement: str) -> None:
    with (
        connect(f"duckdb:///{house}/published/current/shared.duckdb") as con,
        pytest.raises((duckdb.PermissionException, duckdb.InvalidInputException, duckdb.IOException)),
    ):
        con.execute(statement).fetchall()


def test_a_database_in_memory_reaches_no_file_either() -> None:
    with connect("duckdb:///:memory:") as con, pytest.raises(duckdb.PermissionException):
        con.execute("select * from read_csv('/etc/passwd')").fetchall()


def test_only_a_role_that_reads_the_marts_and_writes_nothing_is_connected(
    postgres: Postgres, house: Path
) -> None:
    owner = postgres.url(postgres.create_database())

    def run(statement: str) -> None:
        with closing(psycopg2.connect(owner)) as server, server, server.cursor() as cursor:
            cursor.execute(statement)

    run("create role bi_reader login; create role bi_writer login")
    reader, writer = (owner.replace("//earshot@", f"//{role}@") for role in ("bi_reader", "bi_writer"))
    with pytest.raises(NotAReader, match="cannot read the schema `marts`"):
        check_reader(reader)
    done = publish(
        house / "warehouse.duckdb",
        house / "published",
        keep=2,
        postgres=MartsDatabase(owner, reader="bi_reader"),
    )
    assert done.postgres_problem is None
    check_reader(reader)
    run("grant usage on schema marts to bi_writer; grant insert on marts.fct_show_daily to bi_writer")
    for address in (owner, writer):
        with pytest.raises(NotAReader, match="can write"):
            check_reader(address)

    url, params = open_safely(make_url(reader), {"connect_args": {"options": "-c search_path=marts"}})
    with (
        closing(psycopg2.connect(url.render_as_string(), **params["connect_args"])) as server,
        server.cursor() as cursor,
    ):
        cursor.execute(COUNT)
        assert cursor.fetchone()[0] > 0
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            cursor.execute("create temporary table mine (i integer)")


def test_an_address_that_leads_nowhere_is_told_without_its_password() -> None:
    with pytest.raises(Unreachable, match="PostgreSQL is not connected") as found:
        check_reader("postgresql://reader:s3cr3t@127.0.0.1:1/marts")
    assert "s3cr3t" not in str(found.value)
    for wrong in ("mysql://reader:s3cr3t@there/marts", "postgresql://reader:s3cr3t@there/%zz"):
        with pytest.raises(NotAReader, match="write postgresql://") as refused:
            check_reader(wrong)
        assert "s3cr3t" not in str(refused.value)
