"""A data folder with real marts, published again and again with figures that tell the versions apart."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg2

from serving.postgres import MartsDatabase
from serving.publish import MartOrder, Publication, publish

READ_BY_THE_DASHBOARD = (
    "dim_episodes",
    "dim_shows",
    "fct_collaboration_lift",
    "fct_episode_pacing",
    "fct_show_daily",
    "fct_show_dimensions_daily",
    "fct_show_listeners",
    "fct_show_pacing",
)
READER = "bi_reader"


@dataclass
class House:
    """`data` has a warehouse; `owner` is the address of an empty database, `reader` of who may read it."""

    data: Path
    owner: str
    reader: str

    def publish(self) -> Publication:
        """The marts of the dashboard as the next version, to PostgreSQL too."""
        done = publish(
            self.data / "warehouse.duckdb",
            self.data / "published",
            keep=3,
            marts=[MartOrder(name, ()) for name in READ_BY_THE_DASHBOARD],
            postgres=MartsDatabase(self.owner, READER),
        )
        assert done.postgres_problem is None
        return done

    def add_downloads(self, more: int) -> None:
        """So many more downloads on one show's last day, so that the next version is told from this one."""
        with duckdb.connect(str(self.data / "warehouse.duckdb")) as con:
            con.execute(
                "update marts.fct_show_daily set downloads = downloads + ? where (date, show_id) = (select"
                " (date, show_id) from marts.fct_show_daily where source_class = 'server_log' and show_id is"
                " not null order by date desc, show_id limit 1) and source_class = 'server_log'",
                [more],
            )

    def of_file(self, sql: str) -> list[tuple[Any, ...]]:
        """As a Python DuckDB 2 reads the shared file."""
        with duckdb.connect(str((self.data / "published/current/shared.duckdb").resolve()), True) as con:
            return con.execute(sql).fetchall()

    def of_server(self, sql: str) -> list[tuple[Any, ...]]:
        """As a client of PostgreSQL reads the schema."""
        with (
            closing(psycopg2.connect(self.reader, options="-c search_path=marts")) as server,
            server.cursor() as cursor,
        ):
            cursor.execute(sql)
            return list(cursor.fetchall())


def furnish(target: Path, source: Path, owner: str) -> House:
    """A house with a copy of the warehouse in the data folder `source`, published once."""
    target.mkdir()
    shutil.copy(source / "warehouse.duckdb", target / "warehouse.duckdb")
    with closing(psycopg2.connect(owner)) as server, server, server.cursor() as cursor:
        cursor.execute(f"create role {READER} login")
    scheme, rest = owner.split("://")
    house = House(target, owner, f"{scheme}://{READER}@{rest.split('@', 1)[1]}")
    house.publish()
    return house
