"""Caddy's JSON access log, its default encoder.

Source: Caddy docs, "How logging works". `ts` is the END of the response (float seconds by default),
`duration` seconds; headers are arrays; `size` is the body bytes written; there is no request id.
"""

from __future__ import annotations

import polars as pl

from ingest.logs.formats.base import Header, Parsed, as_loose, seconds_to_us, whole_number
from ingest.logs.formats.json_lines import first_objects, read_json_lines
from ingest.logs.formats.nginx import CONTENT_RANGE
from ingest.schema import Schema, SourceClass

NAME = "caddy"
SOURCE_CLASS = SourceClass.SERVER_LOG

_REQUEST_HEADERS = ("User-Agent", "Referer", "Range")
_RESPONSE_HEADERS = ("Content-Range", "Content-Length", "Content-Type")


def _headers(names: tuple[str, ...]) -> pl.Struct:
    """Headers are arrays, but as the text of an array Polars reads them in half the time †."""
    return pl.Struct(dict.fromkeys(names, pl.String))


_SCHEMA: Schema = {
    "ts": pl.String(),
    "duration": pl.String(),
    "size": pl.String(),
    "status": pl.String(),
    "request": pl.Struct(
        {
            "client_ip": pl.String,
            "remote_ip": pl.String,
            "method": pl.String,
            "host": pl.String,
            "uri": pl.String,
            "headers": _headers(_REQUEST_HEADERS),
        }
    ),
    "resp_headers": _headers(_RESPONSE_HEADERS),
}


def sniff(head: bytes) -> bool:
    return any(isinstance(value.get("request"), dict) and "ts" in value for value in first_objects(head))


def parse(body: bytes, first_line: int, header: Header) -> Parsed:
    """One segment → RAW."""
    return read_json_lines(body, first_line, _SCHEMA, _loosen)


def _ended_us() -> pl.Expr:
    """`ts` as Caddy may be told to write it: seconds, ms or ns since 1970 as a number, or RFC 3339."""
    ts = pl.col("ts")
    number = ts.cast(pl.Float64, strict=False)
    # The magnitude tells the unit: 1e11 seconds is the year 5138, 1e11 milliseconds was 1973.
    from_number = (
        pl.when(number.abs() < 1e11)
        .then(seconds_to_us(ts))
        .when(number.abs() < 1e14)
        .then((number * 1e3).round().cast(pl.Int64, strict=False))
        .when(number.abs() < 1e19)
        .then(ts.cast(pl.Int64, strict=False) // 1_000)
    )
    # 2026-09-29T12:00:00.123Z, …+02:00, …+0200
    stamp = ts.str.replace(r"Z$", "+00:00").str.replace(r"([+-]\d\d)(\d\d)$", "$1:$2")
    from_text = stamp.str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f%:z", strict=False, time_unit="us", time_zone="UTC"
    )
    return pl.coalesce(from_number, from_text.cast(pl.Int64))


def _took_us() -> pl.Expr:
    """`duration`: float seconds, or with `duration_format string` such as 1.5ms."""
    text = pl.col("duration")
    parts = text.str.extract_groups(r"^([0-9.]+)(ns|µs|us|ms|s)$")
    unit = parts.struct.field("2").replace_strict(
        {"ns": 1e-3, "µs": 1.0, "us": 1.0, "ms": 1e3, "s": 1e6}, default=None, return_dtype=pl.Float64
    )
    worded = (
        (parts.struct.field("1").cast(pl.Float64, strict=False) * unit).round().cast(pl.Int64, strict=False)
    )
    return pl.coalesce(seconds_to_us(text), worded)


def _first_of(name: str) -> pl.Expr:
    """The first value of each array, as Polars writes arrays of strings: `["one", "two"]`, quotes escaped."""
    inner = pl.col(name).str.strip_prefix('["').str.strip_suffix('"]')
    several = inner.str.contains('", "', literal=True)
    first = pl.when(several).then(inner.str.replace(r'(?s)", ".*$', "")).otherwise(inner)
    return pl.when(pl.col(name) != "[]").then(first.str.replace_all('\\"', '"', literal=True)).alias(name)


def _loosen(fields: pl.DataFrame) -> pl.DataFrame:
    """Caddy's keys → LOOSE."""
    request = pl.col("request").struct
    fields = fields.with_columns(
        *[request.field(name) for name in ("client_ip", "remote_ip", "method", "host", "uri")],
        *[request.field("headers").struct.field(name) for name in _REQUEST_HEADERS],
        *[pl.col("resp_headers").struct.field(name) for name in _RESPONSE_HEADERS],
    )
    fields = fields.with_columns(_first_of(name) for name in (*_REQUEST_HEADERS, *_RESPONSE_HEADERS))
    uri = pl.col("uri").str.splitn("?", 2)
    content_range = pl.col("Content-Range").str.extract_groups(CONTENT_RANGE)
    no_access_line = pl.col("request").is_null()

    def text(name: str) -> pl.Expr:
        return pl.when(pl.col(name) != "").then(pl.col(name))

    columns = {
        "time_text": pl.col("ts"),
        "ended_us": _ended_us(),
        "took_us": _took_us(),
        "took_text": pl.col("duration"),
        "address": pl.coalesce(text("client_ip"), text("remote_ip")),
        "method": text("method"),
        "host": pl.col("host"),
        "path": uri.struct.field("field_0"),
        "query": uri.struct.field("field_1"),
        "status": pl.when(~no_access_line).then("status"),
        "bytes_sent": pl.col("size"),
        "content_length": whole_number(pl.col("Content-Length")),
        "range_start": whole_number(content_range.struct.field("1")),
        "range_end": whole_number(content_range.struct.field("2")),
        "resource_bytes": whole_number(content_range.struct.field("3")),
        "request_range": text("Range"),
        "content_type": text("Content-Type"),
        "agent": text("User-Agent"),
        "referrer": text("Referer"),
    }
    return as_loose(fields, columns)
