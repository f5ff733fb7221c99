"""Optional lists of addresses and referrers. An absent list is a rule that does nothing."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl


class ReferenceListError(ValueError):
    """A list that cannot be used; the message names file, line and reason."""


def _lines(path: Path | None) -> list[tuple[int, str]]:
    """(line number, entry) of a list; `#` begins a comment."""
    if path is None or not path.is_file():
        return []
    texts = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [(number, text) for number, text in enumerate(texts, 1) if text]


@dataclass(frozen=True)
class AddressRanges:
    """Sorted, disjoint ranges: IPv4 as numbers, IPv6 by its upper 64 bits (more of it we do not keep)."""

    ipv4: pl.DataFrame  # start, end: UInt64
    ipv6: pl.DataFrame
    version: str

    @classmethod
    def load(cls, path: Path | None) -> AddressRanges:
        """From a file with one address or CIDR a line. Raises ReferenceListError."""
        networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for number, text in _lines(path):
            try:
                networks.append(ipaddress.ip_network(text, strict=False))
            except ValueError as error:
                name = path.name if path else ""
                raise ReferenceListError(f"{name}, line {number}: no address range: {text!r}") from error
        ipv4 = _table([(int(n[0]), int(n[-1])) for n in networks if n.version == 4])
        ipv6 = _table([(int(n[0]) >> 64, int(n[-1]) >> 64) for n in networks if n.version == 6])
        return cls(ipv4, ipv6, _version(repr((ipv4.rows(), ipv6.rows())) if networks else ""))

    def contain(self, canonical: pl.Series) -> pl.Series:
        """Which of these canonical addresses (String) lie in a range? Boolean, same order."""
        if not self.ipv4.height and not self.ipv6.height:
            return pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(canonical))
        is_ipv4 = pl.col("canonical").str.contains(".", literal=True)
        octets = pl.col("canonical").str.split_exact(".", 3).struct
        ipv4 = sum(
            (octets.field(f"field_{i}").cast(pl.UInt64, strict=False) * 256 ** (3 - i) for i in range(4)),
            start=pl.lit(0, pl.UInt64),
        )
        ipv6 = pl.col("canonical").str.to_integer(base=16, dtype=pl.UInt64, strict=False)
        rows = canonical.to_frame("canonical").with_row_index("row")
        inside = [
            _within(rows.filter(is_ipv4).with_columns(value=ipv4), self.ipv4),
            _within(rows.filter(~is_ipv4).with_columns(value=ipv6), self.ipv6),
        ]
        return rows.select(pl.col("row").is_in(pl.concat(inside).implode())).to_series()


def _version(content: str) -> str:
    """Content hash of a list; "none" for one that is absent or empty."""
    return hashlib.sha256(content.encode()).hexdigest()[:12] if content else "none"


def _table(ranges: list[tuple[int, int]]) -> pl.DataFrame:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return pl.DataFrame(merged, schema={"start": pl.UInt64, "end": pl.UInt64}, orient="row").sort("start")


def _within(rows: pl.DataFrame, ranges: pl.DataFrame) -> pl.Series:
    """Rows whose value lies in a range: the last range that starts before it must not end before it."""
    near = rows.sort("value").join_asof(ranges, left_on="value", right_on="start", strategy="backward")
    return near.filter(pl.col("value") <= pl.col("end"))["row"]


@dataclass(frozen=True)
class ReferrerRules:
    """Hosts (with all below them) and regexes of referrers that no listener comes from."""

    pattern: str | None
    version: str

    @classmethod
    def load(cls, path: Path | None) -> ReferrerRules:
        """From a file with a host or a regex a line (a regex has a sign no host has)."""
        alternatives = []
        for number, text in _lines(path):
            if re.fullmatch(r"[A-Za-z0-9.-]+", text):
                text = rf"^[a-z][a-z0-9+.-]*://(?:[^/]*[.@])?{re.escape(text.lower())}(?:[:/?#]|$)"
            try:
                pl.Series([""]).str.contains(text)
            except pl.exceptions.ComputeError as error:
                name = path.name if path else ""
                raise ReferenceListError(f"{name}, line {number}: no regular expression: {text!r}") from error
            alternatives.append(f"(?:{text})")
        joined = "|".join(alternatives)
        return cls(f"(?i){joined}" if joined else None, _version(joined))

    def match(self, referrers: pl.Series) -> pl.Series:
        """Which of these distinct referrers (String) are bogus? Boolean."""
        if self.pattern is None:
            return pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(referrers))
        return referrers.str.contains(self.pattern).fill_null(False)
