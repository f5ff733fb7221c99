"""The operator's lists of addresses: excluded ones, and included ones that are exempt (R12, R34).

CSV `address,added_on,validated_on,reason`. An address is an IP, a CIDR, or `key:<address_key>`: the team sees
no addresses, only the keys in the marts. A key lives for one key epoch and acts on requests that carry it as
address_key or address_key_prev. In the copies we keep, a single address is `hash:<number>`, keyed by a secret
that stays the same: such a copy judges like the list itself and tells nobody's address.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from ingest.logs.keyring import LISTS_EPOCH
from ingest.logs.listeners import KeyRing, keys_in_epoch
from ingest.logs.numbers import Numbers
from ingest.logs.ranges import AddressRanges, Network, ReferenceListError
from ingest.reference.address_formats import TooWide, one_network

COLUMNS = ("address", "added_on", "validated_on", "reason")
KEY, HASH = "key:", "hash:"
HASH_EPOCH = LISTS_EPOCH
VALID_DAYS = 90  # an included address must be looked at again after this (IAB 2.3 §5.5.2)


@dataclass(frozen=True)
class Entry:
    """One line: either a network, a key or the hash of an address."""

    line: int  # in its list: what a message names instead of the address
    network: Network | None = None
    key: int | None = None
    hashed: int | None = None
    added_on: date | None = None
    validated_on: date | None = None
    reason: str | None = None

    @property
    def expires_on(self) -> date | None:
        """Last day on which an inclusion acts."""
        since = self.validated_on or self.added_on
        return since + timedelta(days=VALID_DAYS) if since else None


@dataclass(frozen=True)
class Acting:
    """The entries of a list that act on a day, ready to be looked up."""

    ranges: AddressRanges
    keys: frozenset[int]
    hashes: frozenset[int] = frozenset()

    def contain(self, addresses: Numbers, keys: KeyRing) -> pl.Series:
        """Which of these addresses are listed, other than by a key? Boolean, same order."""
        inside = self.ranges.contain(addresses)
        if not self.hashes:
            return inside
        hashed = keys_in_epoch(addresses.canonical, HASH_EPOCH, keys)
        return inside | hashed.is_in(sorted(self.hashes)).fill_null(False)

    def by_key(self) -> pl.Expr:
        """Is a row with address_key and address_key_prev listed by its key?"""
        if not self.keys:
            return pl.lit(False)
        keys = pl.Series(sorted(self.keys), dtype=pl.Int64).implode()
        return pl.any_horizontal(
            pl.col(name).is_in(keys).fill_null(False) for name in ("address_key", "address_key_prev")
        )


@dataclass(frozen=True)
class AddressList:
    """A list of the operator's; of an inclusion list (`expires`) only validated entries act."""

    entries: tuple[Entry, ...] = ()
    expires: bool = False

    def acting(self, on: date) -> Acting:
        """What acts on this day. A rerun of an intake asks for the day of the first one."""
        entries = [entry for entry in self.entries if not self._has_expired(entry, on)]
        networks = (entry.network for entry in entries if entry.network is not None)
        return Acting(
            AddressRanges.of(networks),
            frozenset(entry.key for entry in entries if entry.key is not None),
            frozenset(entry.hashed for entry in entries if entry.hashed is not None),
        )

    @property
    def is_a_copy(self) -> bool:
        """Without its addresses: it judges, but from it no address can be keyed."""
        return any(entry.hashed is not None for entry in self.entries)

    def expired(self, on: date) -> list[Entry]:
        """Entries that no longer act since nobody has validated them for 90 days."""
        return [entry for entry in self.entries if self._has_expired(entry, on)]

    def _has_expired(self, entry: Entry, on: date) -> bool:
        return self.expires and (entry.expires_on is None or entry.expires_on < on)


def read_address_list(text: str, expires: bool) -> AddressList:
    """The CSV of a list, with or without its heading; `#` begins a comment. Raises ReferenceListError.

    A line with an address alone will do for an exclusion; an inclusion needs the day it was validated, else
    the day it was added.
    """
    entries = []
    for number, fields in _lines(text):
        try:
            entries.append(_entry(number, fields, expires))
        except ReferenceListError as error:
            raise ReferenceListError(f"line {number}: {error}") from error
    return AddressList(tuple(entries), expires)


def _lines(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, values by column) of every entry."""
    columns: Sequence[str] = COLUMNS
    begun = False
    reader = csv.reader((_without_comment(line) for line in text.splitlines()), strict=True)
    try:
        for row in reader:
            values = [value.strip() for value in row]
            if not any(values):
                continue
            heading = [value.lower() for value in values]
            if not begun and COLUMNS[0] in heading:
                columns = heading
                if unknown := set(columns) - set(COLUMNS):
                    raise ReferenceListError(
                        f"line {reader.line_num}: unknown column {sorted(unknown)[0]!r}; "
                        f"there are {', '.join(COLUMNS)}"
                    )
            elif len(values) > len(columns):
                raise ReferenceListError(
                    f"line {reader.line_num}: {len(values)} values, but the columns are {', '.join(columns)}"
                )
            else:
                yield reader.line_num, dict(zip(columns, values, strict=False))
            begun = True
    except csv.Error as error:
        raise ReferenceListError(f"line {reader.line_num}: not CSV: {error}") from error


def _without_comment(line: str) -> str:
    # A reason may hold a #; an address alone cannot.
    is_comment = line.lstrip().startswith("#")
    return "" if is_comment else line if "," in line else line.partition("#")[0]


def _entry(line: int, values: dict[str, str], expires: bool) -> Entry:
    text = values["address"]
    network, key, hashed = None, None, None
    kind = next((prefix for prefix in (KEY, HASH) if text.lower().startswith(prefix)), None)
    if kind == KEY:
        key = _number(text, KEY)
    elif kind == HASH:
        hashed = _number(text, HASH)
    else:
        try:
            network = one_network(text)
        except TooWide:
            raise
        except ReferenceListError:
            # Without the text: it may hold somebody's address, and messages are kept.
            raise ReferenceListError(f"no address; wanted is an IP, a CIDR or {KEY}<address_key>") from None
    entry = Entry(
        line,
        network,
        key,
        hashed,
        _day(values, "added_on"),
        _day(values, "validated_on"),
        values.get("reason") or None,
    )
    if expires and entry.expires_on is None:
        raise ReferenceListError(
            f"no validated_on: an included address acts for {VALID_DAYS} days from that day on"
        )
    return entry


def _number(text: str, kind: str) -> int:
    try:
        number = int(text[len(kind) :])
    except ValueError:
        number = 2**63
    if not -(2**63) <= number < 2**63:
        raise ReferenceListError(f"{text[:60]!r} is no key: wanted is {KEY} and the address_key of a mart")
    return number


def _day(values: dict[str, str], name: str) -> date | None:
    text = values.get(name)
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ReferenceListError(f"{name} is no date such as 2026-11-20: {text[:40]!r}") from None
    # A day of grace: the operator's clock may be ahead of ours.
    if day > datetime.now(UTC).date() + timedelta(days=1):
        raise ReferenceListError(f"{name} lies in the future: {text}")
    return day
