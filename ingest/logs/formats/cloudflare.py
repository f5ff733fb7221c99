"""Cloudflare Logpush, data set http_requests, as JSON lines.

Source: Cloudflare docs, "HTTP requests" and "Custom fields". EdgeStartTimestamp is the BEGIN of the request,
as `timestamp_format` says: RFC 3339 (whole seconds), unix or unixnano. Ranges and X-Forwarded-For come only
with custom fields: response headers `content-range`, `content-length`, request header `x-forwarded-for`, and
`range`, which Cloudflare says cannot be logged, where it is.
"""

from __future__ import annotations

import polars as pl

from ingest.logs.errors import FileRefused
from ingest.logs.formats.base import (
    UTC,
    Header,
    Parsed,
    Traits,
    as_loose,
    given,
    served_range,
    url_parts,
    whole_number,
)
from ingest.logs.formats.json_lines import first_objects, read_json_lines, require_keys
from ingest.logs.formats.times import instants_us
from ingest.schema import Schema, SourceClass

NAME = "cloudflare"
SOURCE_CLASS = SourceClass.SERVER_LOG
TRAITS = Traits()

_NEEDED = {
    "ClientIP": "client address",
    "ClientRequestMethod": "method",
    "ClientRequestHost": "host asked for",
    "EdgeResponseStatus": "status",
    "EdgeResponseBodyBytes": "body bytes sent",
    "ClientRequestUserAgent": "user agent",
}
_TIMES = ("EdgeStartTimestamp", "EdgeEndTimestamp")  # the end only where the begin is not pushed
_URLS = ("ClientRequestURI", "ClientRequestPath")  # the path alone lacks the query
_CUSTOM = {
    "RequestHeaders": ("range", "x-forwarded-for"),
    "ResponseHeaders": ("content-range", "content-length"),
}
_KEYS: Schema = {
    **dict.fromkeys(
        [*_NEEDED, *_TIMES, *_URLS, "ClientRequestReferer", "EdgeResponseContentType", "RayID"], pl.String()
    ),
    **{key: pl.Struct(dict.fromkeys(names, pl.String)) for key, names in _CUSTOM.items()},
}


def sniff(head: bytes) -> bool:
    ours = {"EdgeResponseStatus", *_TIMES}
    return any(ours & value.keys() for value in first_objects(head))


def parse(body: bytes, first_line: int, header: Header, zone: str = UTC) -> Parsed:
    """One segment → RAW."""
    if first_line == 1:
        _require(body[:65_536])
    return read_json_lines(body, first_line, _KEYS, _loosen)


def _require(head: bytes) -> None:
    require_keys(head, _NEEDED)
    seen = {key for value in first_objects(head) for key in value}
    for either, meaning in ((_TIMES, "time"), (_URLS, "path and query")):
        if not seen & set(either):
            raise FileRefused(f"keys are missing: '{either[0]}' ({meaning})")


def _loosen(fields: pl.DataFrame) -> pl.DataFrame:
    """Logpush's keys → LOOSE."""
    fields = fields.with_columns(
        pl.col(key).struct.field(name) for key, names in _CUSTOM.items() for name in names
    )
    time = fields.select(pl.coalesce(*map(given, _TIMES))).to_series()
    columns = {
        "time_text": pl.lit(time),
        "ended_us": pl.lit(instants_us(time)),
        "took_us": pl.lit(0),
        "address": pl.col("ClientIP"),
        "method": given("ClientRequestMethod"),
        "host": given("ClientRequestHost"),
        **url_parts(pl.coalesce(*map(given, _URLS))),
        "status": pl.col("EdgeResponseStatus"),
        "bytes_sent": pl.col("EdgeResponseBodyBytes"),
        "content_length": whole_number(pl.col("content-length")),
        **served_range(pl.col("content-range")),
        "request_range": given("range"),
        "content_type": given("EdgeResponseContentType"),
        "agent": given("ClientRequestUserAgent"),
        "referrer": given("ClientRequestReferer"),
        "forwarded_for": given("x-forwarded-for"),
        "request_id": given("RayID"),
    }
    return as_loose(fields, columns)
