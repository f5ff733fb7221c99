"""Whose requests: the keys of an address, or of an app's installation, in a span of time.

The address is keyed in memory with each secret that lives; nothing is written, but for the secrets that an
erasure makes ahead of the logs they will key. Where a secret was destroyed the requests
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

from ingest.lake import EMPTY, Lake, utc_now_us
from ingest.logs.clean import EARLIEST_US
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
    dark_epochs: tuple[int, ...] = ()  # with requests in the span: the secret is gone, no request leads there
    made_epochs: tuple[int, ...] = ()  # whose secrets were made for it, before any log of their days


def install_key(install_id: str) -> int:
    """As in `lake/app_devices`: xxh3 of the installation's own id, signed."""
    key = xxhash.xxh3_64_intdigest(install_id.encode())
    return key - 2**64 if key >= 2**63 else key


def whose_install(install_id: str, span: Span) -> Whose:
    """The plays an app told of; requests carry no such id."""
    return Whose(span, pl.DataFrame(schema=KEYS), install_key(install_id))


def whose(
    address: str,
    span: Span,
    lake: Lake,
    keys: KeyRing,
    *,
    also_later: bool = False,
    now_us: int | None = None,
) -> Whose:
    """The keys of an address. Raises NoSuchAddress, KeyRingError.

    also_later: to keep out what is delivered later, too: the secrets are made of those epochs of the span
    that had no log yet, so that their keys are known before the logs come.
    """
    canonical = canonical_address(address.strip())
    if canonical is None:
        raise NoSuchAddress("that is no IP address: 203.0.113.7 and 2001:db8::7 are")
    now_us = utc_now_us() if now_us is None else now_us
    known = {(day - _DAY_0).days // EPOCH_DAYS for day in lake.event_days()}
    # One more each way: a request carries the key of the epoch before its own.
    epochs = range(min(known, default=0) - 1, max(known, default=-2) + 2)
    living = [epoch for epoch in sorted({*epochs, *_in_time(span, now_us)}) if keys.has(epoch)]
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
    dark = tuple(epoch for epoch in span.epochs if epoch in known and not found.get(epoch))
    made = tuple(_made(span, keys, now_us)) if also_later else ()
    for epoch in made:
        found[epoch] = found.get(epoch, set()) | {int(keys_in_epoch(text, epoch, keys)[0])}
    rows = [(epoch, key) for epoch in span.epochs for key in sorted(found.get(epoch, ()))]
    return Whose(span, pl.DataFrame(rows, KEYS, orient="row"), dark_epochs=dark, made_epochs=made)


def _in_time(span: Span, now_us: int) -> range:
    """The epochs of a span whose requests can be taken in: none before 2010, none that is far ahead."""
    first, last = EARLIEST_US // EPOCH_US, now_us // EPOCH_US + 1
    return range(max(span.epochs.start, first), min(span.epochs.stop, last + 1))


def _made(span: Span, keys: KeyRing, now_us: int) -> Iterator[int]:
    """Make the secrets that requests of the span would need; what was destroyed stays so."""
    for epoch in _in_time(span, now_us):
        if keys.has(epoch) or keys.is_destroyed(epoch) or not keys.can_key(epoch):
            continue
        # A request carries the key of the epoch before its own as well.
        keys.secret(epoch - 1)
        keys.secret(epoch)
        yield epoch


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
