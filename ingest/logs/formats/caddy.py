"""Caddy's JSON access log, its default encoder.

Source: Caddy docs, "How logging works". `ts` is the END of the response (float seconds by default, else
as `time_format` says), `duration` seconds; headers are arrays; `size` is the body bytes written; there is no
request id.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from ingest.logs.formats.base import (
    UTC,
    Header,
    Parsed,
    Traits,
    as_loose,
    seconds_to_us,
    served_range,
    url_parts,
    whole_number,
)
from ingest.logs.formats.json_lines import first_objects, read_json_lines
from ingest.logs.formats.times import instants_us
from ingest.schema import Schema, SourceClass

NAME = "caddy"
SOURCE_CLASS = SourceClass.SERVER_LOG
TRAITS = Traits(local_times=True)  # `time_format wall` with `time_local`

_FORWARDED = "X-Forwarded-For"
_REQUEST_HEADERS = ("User-Agent", "Referer", "Range", _FORWARDED)
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


def parse(body: bytes, first_line: int, header: Header, zone: str = UTC) -> Parsed:
    """One segment → RAW."""
    return read_json_lines(body, first_line, _SCHEMA, partial(_loosen, zone=zone))


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


def _all_of(name: str) -> pl.Expr:
    """Every value of each array: a list in several headers of one name is one list (RFC 9110 §5.3)."""
    inner = pl.col(name).str.strip_prefix('["').str.strip_suffix('"]')
    return pl.when(pl.col(name) != "[]").then(inner.str.replace_all('", "', ", ", literal=True)).alias(name)


def _loosen(fields: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Caddy's keys → LOOSE."""
    request = pl.col("request").struct
    fields = fields.with_columns(
        *[request.field(name) for name in ("client_ip", "remote_ip", "method", "host", "uri")],
        *[request.field("headers").struct.field(name) for name in _REQUEST_HEADERS],
        *[pl.col("resp_headers").struct.field(name) for name in _RESPONSE_HEADERS],
    )
    headers = (*_REQUEST_HEADERS, *_RESPONSE_HEADERS)
    fields = fields.with_columns(_all_of(name) if name == _FORWARDED else _first_of(name) for name in headers)
    no_access_line = pl.col("request").is_null()

    def text(name: str) -> pl.Expr:
        return pl.when(pl.col(name) != "").then(pl.col(name))

    columns = {
        "time_text": pl.col("ts"),
        "ended_us": pl.lit(instants_us(fields["ts"], zone)),
        "took_us": _took_us(),
        "took_text": pl.col("duration"),
        "address": pl.coalesce(text("client_ip"), text("remote_ip")),
        "method": text("method"),
        "host": pl.col("host"),
        **url_parts(pl.col("uri")),
        "status": pl.when(~no_access_line).then("status"),
        "bytes_sent": pl.col("size"),
        "content_length": whole_number(pl.col("Content-Length")),
        **served_range(pl.col("Content-Range")),
        "request_range": text("Range"),
        "content_type": text("Content-Type"),
        "agent": text("User-Agent"),
        "referrer": text("Referer"),
        "forwarded_for": text(_FORWARDED),
    }
    return as_loose(fields, columns)
