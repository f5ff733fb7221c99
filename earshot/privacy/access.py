"""What is held of somebody: the rows of lake and marts under their keys, and the lists they stand on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import polars as pl

from earshot.pipeline import reading
from ingest.lake import Lake
from ingest.lake import reading as reading_lake
from ingest.logs.keyring import KeyRing
from ingest.logs.listeners import canonical_address
from ingest.logs.numbers import Numbers
from ingest.logs.rules import Rules
from ingest.settings import Settings
from ingest.whose import Whose, files_in, scans

Row = dict[str, Any]
_INSTANTS = ("started_us", "first_request_us", "last_request_us")


@dataclass(frozen=True)
class Held:
    """What there is, all of it; rows as they are kept, instants as text beside."""

    requests: list[Row]  # of the lake
    plays: list[Row]  # of the lake's app_devices
    servings: list[Row]  # of the lake's insertions
    downloads: list[Row]  # of the published marts
    lists: list[Row]  # of the operator's: list, entry, reason
    dark_epochs: tuple[int, ...]  # key epochs of the span in which nobody can look any more

    @property
    def rows(self) -> int:
        return len(self.requests) + len(self.plays) + len(self.servings)


def held(settings: Settings, lake: Lake, of: Whose, address: str | None) -> Held:
    """Reads; writes nothing."""
    with reading_lake(lake.root):
        requests = [_mine(scan, of) for scan in scans(lake, of.span.days)]
        plays, servings = (_table(lake, name, of) for name in ("app_devices", "insertions"))
    found = pl.concat(requests).drop("path").sort("started_us", "line_number") if requests else pl.DataFrame()
    return Held(
        _rows(found),
        _rows(plays),
        _rows(servings),
        _downloads(settings, of),
        _on_lists(settings, address) if address else [],
        of.dark_epochs,
    )


def _mine(scan: pl.LazyFrame, of: Whose) -> pl.DataFrame:
    in_span = pl.col("started_us").is_between(of.span.first_us, of.span.end_us, closed="left")
    if of.install_key is not None and "install_key" in scan.collect_schema().names():
        return scan.filter(in_span, pl.col("install_key") == of.install_key).collect()
    return scan.filter(in_span).join(of.keys.lazy(), on=["key_epoch", "address_key"], how="semi").collect()


def _table(lake: Lake, name: str, of: Whose) -> pl.DataFrame:
    found = [
        _mine(pl.scan_parquet(path, hive_partitioning=False), of)
        for folder in sorted((lake.root / name).glob("day=*"))
        for path in files_in(folder)
    ]
    return pl.concat(found) if found else pl.DataFrame()


def _downloads(settings: Settings, of: Whose) -> list[Row]:
    database = settings.published_dir / "current" / "marts.duckdb"
    if not database.exists() or of.keys.is_empty():
        return []
    with reading(database) as con, contextlib.suppress(duckdb.CatalogException):
        cursor = con.execute(
            "select downloads.* from fct_downloads as downloads"
            " inner join"
            " (select unnest(?::integer[]) as key_epoch, unnest(?::bigint[]) as address_key) as mine"
            " on downloads.key_epoch = mine.key_epoch and downloads.address_key = mine.address_key"
            " where first_request_us >= ? and first_request_us < ? order by first_request_us",
            [*(of.keys[name].to_list() for name in of.keys.columns), of.span.first_us, of.span.end_us],
        )
        names = [column[0] for column in cursor.description or []]
        return [_told(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]
    return []


def _on_lists(settings: Settings, address: str) -> list[Row]:
    """The operator's own lists hold what was put there: whoever asks for access asks for that, too."""
    rules = Rules.load(settings)
    canonical = canonical_address(address.strip())
    one = Numbers(pl.Series("canonical", [canonical], dtype=pl.String))
    today = datetime.now(UTC).date()
    found = []
    for name, addresses in (
        ("excluded_addresses", rules.excluded_addresses),
        ("included_addresses", rules.included_addresses),
    ):
        if addresses.acting(today).contain(one, KeyRing.of(settings))[0]:
            found.append({"list": name, "told": "the address, or its network, is on it: take it off by hand"})
    return found


def _rows(frame: pl.DataFrame) -> list[Row]:
    return [_told(row) for row in frame.iter_rows(named=True)]


def _told(row: Row) -> Row:
    """Instants also as text, and what JSON does not know as text alone."""
    for name in _INSTANTS:
        if isinstance(row.get(name), int):
            row[name.replace("_us", "_at")] = datetime.fromtimestamp(row[name] / 1e6, UTC).isoformat()
    plain = (str, int, float, bool, type(None))
    return {name: value if isinstance(value, plain) else str(value) for name, value in row.items()}
