"""Listed addresses by their keys: for the marts, and for copies of lists that name no address."""

from __future__ import annotations

import csv
import io
import ipaddress
import re
from collections.abc import Callable, Iterable
from datetime import date

import polars as pl

from ingest.logs.listeners import EPOCH_DAYS, KeyRing, keys_in_epoch
from ingest.logs.ranges import Network
from ingest.logs.rejects import ADDRESS_LIKE, MASK, masked
from ingest.reference.address_lists import HASH, HASH_EPOCH, KEY, AddressList, Entry
from ingest.schema import ADDRESS_LISTS

# A dormitory or an office is many listeners behind a few addresses. In a wider network each has an address
# of their own, so that no address stands out, and its keys are not worked out.
KEYED_ADDRESSES = 1_024
KEYED_EPOCHS = 4  # the longest trailing period, 90 days, touches four
_ADDRESS = re.compile(ADDRESS_LIKE)


def without_addresses(entries: Iterable[Entry], keys: KeyRing) -> str:
    """The CSV of these entries, each in its line, with the hashes of single addresses in their place."""
    lines: dict[int, str] = {}
    for entry in entries:
        out = io.StringIO()
        days = (day.isoformat() if day else "" for day in (entry.added_on, entry.validated_on))
        reason = _ADDRESS.sub(MASK, entry.reason or "")
        csv.writer(out, lineterminator="").writerow([_unnamed(entry, keys), *days, reason])
        lines[entry.line] = out.getvalue()
    return "".join(f"{lines.get(number, '')}\n" for number in range(1, max(lines, default=0) + 1))


def _unnamed(entry: Entry, keys: KeyRing) -> str:
    if entry.key is not None:
        return f"{KEY}{entry.key}"
    if entry.network is not None:
        first, width = _canonical(entry.network)
        if width > 1:
            return str(entry.network)
        (hashed,) = keys_in_epoch(pl.Series([first(0)]), HASH_EPOCH, keys)
        return f"{HASH}{hashed}"
    return f"{HASH}{entry.hashed}"


def _canonical(network: Network) -> tuple[Callable[[int], str], int]:
    """The canonical addresses of a network (R20): the nth, and how many."""
    if isinstance(network, ipaddress.IPv4Network):
        first = int(network[0])
        return lambda n: str(ipaddress.IPv4Address(first + n)), network.num_addresses
    upper = int(network[0]) >> 64
    return lambda n: f"{upper + n:016x}", (int(network[-1]) >> 64) - upper + 1


def keyed(lists: dict[str, AddressList], keys: KeyRing, on: date) -> pl.DataFrame:
    """Listed addresses by their keys, columns of schema.ADDRESS_LISTS: what the marts can know of a list.

    Addresses are keyed for the epochs of the last 90 days and, since a list is read once a day, for that of
    tomorrow.
    """
    rows = [
        {
            "list": name,
            "address_key": key,
            "validated_on": entry.validated_on or entry.added_on,
            "expires_on": entry.expires_on if addresses.expires else None,
            "reason": entry.reason,
        }
        for name, addresses in lists.items()
        for entry in addresses.entries
        for key in _keys(entry, keys, on)
    ]
    frame = pl.DataFrame(rows, schema=ADDRESS_LISTS, orient="row")
    # Of entries that overlap the one that acts longest.
    order: list[str | pl.Expr] = [pl.col("expires_on").fill_null(date.max), "validated_on", "reason"]
    return (
        frame.sort("list", "address_key", *order, nulls_last=False)
        .unique(["list", "address_key"], keep="last", maintain_order=True)
        .with_columns(masked(pl.col("reason")))
    )


def _keys(entry: Entry, keys: KeyRing, on: date) -> list[int]:
    if entry.key is not None:
        return [entry.key]
    if entry.network is None:
        return []
    nth, width = _canonical(entry.network)
    if width > KEYED_ADDRESSES:
        return []
    today = (on - date(1970, 1, 1)).days
    first, now, last = today // EPOCH_DAYS - KEYED_EPOCHS + 1, today // EPOCH_DAYS, (today + 1) // EPOCH_DAYS
    # No secret is made for the list's sake: of an epoch without one there is no request.
    epochs = [
        epoch
        for epoch in range(first, last + 1)
        if keys.has(epoch) or (epoch >= now and not keys.is_destroyed(epoch))
    ]
    addresses = pl.Series([nth(n) for n in range(width)], dtype=pl.String)
    found = [keys_in_epoch(addresses, epoch, keys) for epoch in epochs]
    return pl.concat(found).unique().to_list() if found else []
