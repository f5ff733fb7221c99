"""The warehouse forgets the keys of old downloads: what was counted stays, who it was does not.

A download older than the lake's first kept day gets a random number in the place of its listener and its
address, and the key epoch FORGOTTEN: figures that add downloads up go on, and nobody can be followed. Figures
that tell listeners apart keep what they have for that time (dbt_project/macros/kept_rows.sql). Of a listener
who is still heard of, one date a show stays, that of its first download, or it would look new.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from ingest.logs.keyring import EPOCH_US
from ingest.schema import DAY_US

FORGOTTEN = -1
EVERY_DAYS = 7  # at a time: what attribution measures by is looked at anew after each
_WINDOW_DAYS = 2  # a window that reaches over the first kept day keeps its key


@dataclass(frozen=True)
class Forgotten:
    """Downloads, and listeners' links, that lost their keys; `note`: why none did, where that is a fault."""

    downloads: int = 0
    listeners: int = 0
    note: str = ""


def forget_keys(warehouse: Path, first_kept: date | None, every_days: int = EVERY_DAYS) -> Forgotten:
    """Forget the keys of downloads before `first_kept`, once `every_days` of them have come together.

    One transaction. first_kept: of the lake's requests; None: none were removed.
    """
    if first_kept is None or not warehouse.exists():
        return Forgotten()
    limit_us = ((first_kept - date(1970, 1, 1)).days - _WINDOW_DAYS) * DAY_US
    try:
        con = duckdb.connect(str(warehouse))
    except duckdb.IOException:
        return Forgotten(note="no old keys were forgotten: the warehouse is in use")
    with contextlib.closing(con):
        try:
            (oldest,) = con.execute(
                "select min(last_request_us) from intermediate.int_download_windows where key_epoch >= 0"
            ).fetchall()[0]
        except duckdb.CatalogException:
            return Forgotten()  # nothing was ever counted
        if oldest is None or oldest >= limit_us - every_days * DAY_US:
            return Forgotten()
        con.execute("begin")
        _remember_firsts(con, limit_us)
        (downloads,) = con.execute(
            "update intermediate.int_download_windows"
            " set listener_key = cast(hash(uuid()) >> 1 as bigint),"
            " address_key = cast(hash(uuid()) >> 1 as bigint), address_key_prev = null, key_epoch = ?"
            " where key_epoch >= 0 and last_request_us < ?",
            [FORGOTTEN, limit_us],
        ).fetchall()[0]
        (listeners,) = con.execute(
            "delete from intermediate.int_counted_listeners where (key_epoch + 1) * ? <= ?",
            [EPOCH_US, limit_us],
        ).fetchall()[0]
        con.execute(
            "delete from intermediate.int_volume_scores where kind = 'address' and date < ?", [first_kept]
        )
        con.execute("commit")
        con.execute("checkpoint")
    return Forgotten(int(downloads), int(listeners))


def _remember_firsts(con: duckdb.DuckDBPyConnection, limit_us: int) -> None:
    con.execute(
        "create table if not exists intermediate.int_first_downloads"
        " (source_class varchar, show_id varchar, listener_key bigint, first_date date)"
    )
    con.execute(
        "create temporary table firsts as"
        " select source_class, show_id, listener_key, min(first_date) as first_date from ("
        "  select source_class, show_id, listener_key, date as first_date from marts.fct_downloads"
        "  where downloads = 1 and key_epoch >= 0 and last_request_us < ?"
        "  union all select * from intermediate.int_first_downloads) as known group by all",
        [limit_us],
    )
    con.execute("delete from intermediate.int_first_downloads")
    con.execute(
        "insert into intermediate.int_first_downloads select * from firsts where listener_key in"
        " (select listener_key from marts.fct_downloads where key_epoch >= 0 and last_request_us >= ?)",
        [limit_us],
    )
    con.execute("drop table firsts")
