"""Bunny CDN's log, v1: `|` between twelve fields without names, so these alone are read by position.

Source: bunny.net docs, "Log format". The time is when the request was COMPLETED, and nothing tells how long
it took, so it stands for the start. There is no method and no range. Addresses end in 0 unless the operator
switched the anonymisation off: listeners are then not comparable with those of other sources.
"""

from __future__ import annotations

import re

import polars as pl

from ingest.logs.errors import FileRefused
from ingest.logs.formats.base import UTC, Header, Parsed, Traits, as_loose, given, whole_number
from ingest.logs.formats.tsv import EXTRA, Layout, read_fixed
from ingest.schema import SourceClass

NAME = "bunny"
SOURCE_CLASS = SourceClass.SERVER_LOG
TRAITS = Traits(forwarded_for=False, whole_addresses=False)

_FIELDS = (
    "cache_status", "status", "time_ms", "bytes_sent", "pull_zone", "address", "referrer", "url", "edge",
    "agent", "request_id", "country",
)  # fmt: skip
_SEPARATOR = "|"
# Further fields may follow (extended logging), but then the id stands where it belongs.
_IS_ID = r"^[0-9A-Fa-f-]{16,40}$"
_LAYOUT = Layout(
    _FIELDS,
    [*_FIELDS, EXTRA],
    _SEPARATOR,
    pl.col(EXTRA).is_not_null() & ~pl.col("request_id").str.contains(_IS_ID),
)
_LINE = re.compile(rb"[A-Z_-]*\|[0-9]{3}\|[0-9]{10,}\|[0-9]+(?:\||$)")
_URL = r"^(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://)?([^/?#]*)([^?#]*)(?:\?([^#]*))?"
SNIFFED_LINES = 1000


def sniff(head: bytes) -> bool:
    return any(_LINE.match(line) for line in head.split(b"\n")[:SNIFFED_LINES])


def parse(body: bytes, first_line: int, header: Header, zone: str = UTC) -> Parsed:
    """One segment → RAW."""
    if first_line == 1:
        _require(body[:65_536])
    return read_fixed(body, first_line, _LAYOUT, _loosen)


def _require(head: bytes) -> None:
    most = max(
        (line.count(b"|") + 1 for line in head.split(b"\n") if _LINE.match(line)), default=len(_FIELDS)
    )
    if most < len(_FIELDS):
        raise FileRefused(
            f"fields are missing: lines have {most} of {len(_FIELDS)}, from {_FIELDS[most]!r} on"
        )


def _loosen(fields: pl.DataFrame) -> pl.DataFrame:
    """Bunny's fields (String) → LOOSE."""
    url = pl.col("url").str.extract_groups(_URL).struct
    columns = {
        "time_text": pl.col("time_ms"),
        "ended_us": whole_number(pl.col("time_ms")) * 1_000,
        "took_us": pl.lit(0),
        "address": pl.col("address"),
        "host": url.field("1"),
        "path": url.field("2"),
        "query": url.field("3"),
        "status": pl.col("status"),
        "bytes_sent": pl.col("bytes_sent"),
        "agent": given("agent"),
        "referrer": given("referrer"),
        "request_id": given("request_id"),
    }
    return as_loose(fields, columns)
