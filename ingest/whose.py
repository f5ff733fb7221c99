"""Whose requests: the keys of an address, or of an app's installation, in a span of time. Nothing is written.

The address is keyed in memory with each secret that lives. Where a secret was destroyed the requests
themselves go on: each carries its address's key of the epoch before, too, so that the keys of one address
hang together as long as it asked in every epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import xxhash

from ingest.lake import EMPTY, Lake
from ingest.logs.keyring import EPOCH_DAYS, EPOCH_US, KeyRing
from ingest.logs.listeners import canonical_address, keys_in_epoch
from ingest.schema import DAY_US

KEYS = {"key_epoch": pl.Int32, "address_key": pl.Int64}
_DAY_0 = date(1970, 1, 1)


class NoSuchAddress(ValueError):
    """It is no address; the message does not repeat it."""


@dataclass(frozen=True)
class Span:
    """Instants from `first_us` on, before `end_us` (epoch µs)."""

    first_us: int
    end_us: int

    @property
    def days(self) -> list[date]:
        """UTC days it touches."""
        first, last = self.first_us // DAY_US, (self.end_us - 1) // DAY_US
        return [_DAY_0 + timedelta(days=day) for day in range(first, last + 1)]

    @property
    def epochs(self) -> range:
        return range(self.first_us // EPOCH_US, (self.end_us - 1) // EPOCH_US + 1)


@dataclass(frozen=True)
class Whose:
    """The keys under which somebody's rows stand in a span."""

    span: Span
    keys: pl.DataFrame  # KEYS, the epochs of the span alone
    install_key: int | None = None
    dark_epochs: tuple[int, ...] = ()  # of the span: no secret lives, and no request leads there


def install_key(install_id: str) -> int:
    """As in `lake/app_devices`: xxh3 of the installation's own id, signed."""
    key = xxhash.xxh3_64_intdigest(install_id.encode())
    return key - 2**64 if key >= 2**63 else key


def whose_install(install_id: str, span: Span) -> Whose:
    """The plays an app told of; requests carry no such id."""
    return Whose(span, pl.DataFrame(schema=KEYS), install_key(install_id))


def whose(address: str, span: Span, lake: Lake, keys: KeyRing) -> Whose:
    """The keys of an address. Raises NoSuchAddress, KeyRingError."""
    canonical = canonical_address(address.strip())
    if canonical is None:
        raise NoSuchAddress("that is no IP address: 203.0.113.7 and 2001:db8::7 are")
    days = lake.event_days()
    known = [(day - _DAY_0).days // EPOCH_DAYS for day in (days[0], days[-1])] if days else []
    # One more each way: a request carries the key of the epoch before its own.
    epochs = range(min(known, default=0) - 1, max(known, default=-2) + 2)
    living = [epoch for epoch in epochs if keys.has(epoch)]
    text = pl.Series([canonical])
    found = {epoch: {int(keys_in_epoch(text, epoch, keys)[0])} for epoch in living}
    for epoch in sorted(epochs, reverse=True):
        if epoch not in found and (later := found.get(epoch + 1)):
            # Mapped by the requests of the epoch after, which were keyed by both secrets.
            found[epoch] = set(_pairs(lake, epoch + 1, "address_key", later)["address_key_prev"])
    for epoch in sorted(epochs):
        if epoch not in living and (earlier := found.get(epoch - 1)):
            more = set(_pairs(lake, epoch, "address_key_prev", earlier)["address_key"])
            found[epoch] = found.get(epoch, set()) | more
    rows = [(epoch, key) for epoch in span.epochs for key in sorted(found.get(epoch, ()))]
    dark = tuple(epoch for epoch in span.epochs if epoch in epochs and not found.get(epoch))
    return Whose(span, pl.DataFrame(rows, KEYS, orient="row"), dark_epochs=dark)


def _pairs(lake: Lake, epoch: int, by: str, keys: set[int]) -> pl.DataFrame:
    """Distinct (address_key, address_key_prev) of an epoch's requests with one of `keys` in column `by`."""
    wanted = pl.Series(sorted(keys), dtype=pl.Int64).implode()
    parts = [
        scan.filter(pl.col("key_epoch") == epoch, pl.col(by).is_in(wanted))
        .select("address_key", "address_key_prev")
        .unique()
        .collect()
        for scan in scans(
            lake, [_DAY_0 + timedelta(days=epoch * EPOCH_DAYS + day) for day in range(EPOCH_DAYS)]
        )
    ]
    empty = pl.DataFrame(schema={"address_key": pl.Int64, "address_key_prev": pl.Int64})
    return pl.concat([empty, *parts]).unique()


def files_in(folder: Path) -> list[Path]:
    """Its Parquet files but the one that carries a table's schema, and what is in the making."""
    return sorted(path for path in folder.glob("[!.]*.parquet") if path.name != EMPTY)


def scans(lake: Lake, days: list[date]) -> Iterator[pl.LazyFrame]:
    """The requests of these event days, whatever became of their files, a day at a time."""
    for day in days:
        if paths := files_in(lake.day_folder(day)):
            yield pl.scan_parquet(paths, hive_partitioning=False, include_file_paths="path")
