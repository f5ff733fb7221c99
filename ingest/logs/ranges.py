"""Lists of addresses and referrers, ready to be looked up. An empty one is a rule that does nothing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from ingest.logs.numbers import RANGE, Numbers

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_REFERRER_CHARS = 2_048
# What matches both of these matches whatever a browser sends.
_ANY = ["https://a.example/", "http://b.test:8080/c?d=1"]


class ReferenceListError(ValueError):
    """A list that cannot be used; the message names list or file, entry and reason."""


@dataclass(frozen=True)
class AddressRanges:
    """Sorted, disjoint ranges: IPv4 as numbers, IPv6 by its upper 64 bits (more of it we do not keep)."""

    ipv4: pl.DataFrame  # RANGE
    ipv6: pl.DataFrame

    @classmethod
    def of(cls, networks: Iterable[Network] = ()) -> AddressRanges:
        """From networks in any order, also overlapping ones."""
        ipv4, ipv6 = [], []
        for network in networks:
            if network.version == 4:
                ipv4.append((int(network[0]), int(network[-1])))
            else:
                ipv6.append((int(network[0]) >> 64, int(network[-1]) >> 64))
        return cls(_table(ipv4), _table(ipv6))

    def contain(self, addresses: Numbers) -> pl.Series:
        """Which of these addresses lie in a range? Boolean, same order."""
        if not self.ipv4.height and not self.ipv6.height:
            return pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(addresses.canonical))
        inside = pl.lit(True).alias("inside")
        tables = (table.with_columns(inside) for table in (self.ipv4, self.ipv6))
        return addresses.located(*tables)["inside"].fill_null(False)


def _table(ranges: list[tuple[int, int]]) -> pl.DataFrame:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return pl.DataFrame(merged, schema=RANGE, orient="row").sort("start")


@dataclass(frozen=True)
class ReferrerRules:
    """Hosts (with all below them) and regexes of referrers that no listener comes from."""

    pattern: str | None
    entries: int = 0

    @classmethod
    def of(cls, text: str) -> ReferrerRules:
        """A host or a regex a line (a regex has a sign no host has); `#` begins a comment.

        Raises ReferenceListError.
        """
        patterns = []
        for number, line in enumerate(text.splitlines(), 1):
            entry = line.partition("#")[0].strip()
            if not entry:
                continue
            if re.fullmatch(r"[A-Za-z0-9.-]+", entry):
                entry = rf"^[a-z][a-z0-9+.-]*://(?:[^/]*[.@])?{re.escape(entry.lower())}(?:[:/?#]|$)"
            # Rust only: linear on whatever strangers send as their referrer.
            if not _compiles(entry):
                raise ReferenceListError(f"line {number}: no regular expression: {entry!r}")
            if pl.Series(_ANY).str.contains(f"(?i){entry}").all():
                raise ReferenceListError(f"line {number}: {entry!r} matches every referrer")
            patterns.append(f"(?:{entry})")
        joined = f"(?i){'|'.join(patterns)}"
        if not _compiles(joined):
            raise ReferenceListError(f"its {len(patterns)} patterns are too large together")
        return cls(joined if patterns else None, len(patterns))

    def match(self, referrers: pl.Series) -> pl.Series:
        """Which of these distinct referrers (String) are bogus? Boolean."""
        if self.pattern is None:
            return pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(referrers))
        return referrers.str.slice(0, MAX_REFERRER_CHARS).str.contains(self.pattern).fill_null(False)


def _compiles(pattern: str) -> bool:
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError:
        return False
    return True
