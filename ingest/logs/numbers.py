"""Canonical addresses as numbers, worked out once and looked up in any number of range tables.

† 100,000 addresses: text to numbers 11 ms, order 2 ms, each lookup in 500,000 ranges 2 ms of one CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from ingest.schema import Schema

# Inclusive; IPv4 as it is, IPv6 by its upper 64 bits (R20).
RANGE: Schema = {"start": pl.UInt64, "end": pl.UInt64}


_IPV6_CHARS = 16  # hex digits, more than any IPv4 address has characters


def ipv4_number(text: pl.Expr) -> pl.Expr:
    """IPv4 with dots (String) → UInt64."""
    octets = text.str.split_exact(".", 3).struct
    parts = (octets.field(f"field_{i}").cast(pl.UInt64) * 256 ** (3 - i) for i in range(4))
    return sum(parts, start=pl.lit(0, pl.UInt64))


@dataclass(frozen=True)
class Numbers:
    """Canonical addresses (listeners.canonical_address, String) and, once asked for, their numbers."""

    canonical: pl.Series

    def located(self, ipv4: pl.DataFrame, ipv6: pl.DataFrame) -> pl.DataFrame:
        """What tables of sorted, disjoint ranges (RANGE and more) say of each address, in its order.

        Their further columns, null outside all ranges.
        """
        of_ipv4, of_ipv6, order = self._parts
        found = pl.concat([_within(of_ipv4, ipv4), _within(of_ipv6, ipv6)])
        return found.select(pl.all().gather(order))

    @cached_property
    def _parts(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
        """(IPv4, IPv6: each `row` and `value` in the order of value; where each row stands in both)."""
        text = pl.col("canonical")
        rows = self.canonical.to_frame("canonical").with_row_index("row")
        is_ipv4 = (text.str.len_bytes() < _IPV6_CHARS).fill_null(False)
        ipv4 = rows.filter(is_ipv4).select("row", value=ipv4_number(text)).sort("value")
        ipv6_number = text.str.to_integer(base=16, dtype=pl.UInt64)
        ipv6 = rows.filter(~is_ipv4).select("row", value=ipv6_number).sort("value")
        return ipv4, ipv6, pl.concat([ipv4["row"], ipv6["row"]]).arg_sort()


def _within(rows: pl.DataFrame, ranges: pl.DataFrame) -> pl.DataFrame:
    """Of the last range that starts before a value, which must not end before it."""
    near = rows.select("value").join_asof(ranges, left_on="value", right_on="start", strategy="backward")
    is_inside = pl.col("value") <= pl.col("end")
    return near.select(
        pl.when(is_inside).then(pl.col(name)).alias(name) for name in ranges.columns if name not in RANGE
    )
