"""Akamai DataStream 2, JSON lines.

Source: Akamai techdocs, "Data set parameters" and "Log format". reqTimeSec is the BEGIN of the request, epoch
seconds; every value is a string, one that is `-` is left out. UA, referer and xForwardedFor are URL-encoded
once. Status 000 is a 206 whose listener left early (R7). Over HTTP/2 `bytes` holds some framing.
"""

from __future__ import annotations

import polars as pl

from ingest.logs.distinct import map_distinct
from ingest.logs.formats.base import (
    UTC,
    Header,
    Parsed,
    Traits,
    as_loose,
    given,
    seconds_to_us,
    whole_number,
)
from ingest.logs.formats.json_lines import first_objects, read_json_lines, require_keys
from ingest.logs.urls import percent_decoded
from ingest.schema import Schema, SourceClass

NAME = "akamai"
SOURCE_CLASS = SourceClass.SERVER_LOG
TRAITS = Traits()

_NEEDED = {
    "reqTimeSec": "begin of the request, epoch seconds",
    "cliIP": "client address",
    "reqMethod": "method",
    "reqHost": "host asked for",
    "reqPath": "path",
    "statusCode": "status",
    "bytes": "body bytes sent",
    "UA": "user agent",
}
_ENCODED = ("UA", "referer", "xForwardedFor")
_OPTIONAL = (
    "queryStr",
    "range",
    "referer",
    "xForwardedFor",
    "reqId",
    "rspContentType",
    "rspContentLen",
    "objSize",
)
_KEYS: Schema = dict.fromkeys([*_NEEDED, *_OPTIONAL], pl.String())

# `37334-42356` as documented, `bytes=37334-` as sent.
_RANGE = r"(?i)^(?:bytes(?:=|%3D))?([0-9]{1,15})-([0-9]{1,15})?$"
_BYTES_UNIT = r"(?i)^bytes(?:=|%3D)"
# Quoted as a form is: then `+` is a space, which else it never is (Overcast (+http://overcast.fm)).
_FORM_ENCODED = r"%2[Ff]"
_NOT_FORM_ENCODED = r"[/ ]|%20"


def sniff(head: bytes) -> bool:
    return any("reqTimeSec" in value or {"cliIP", "reqHost"} <= value.keys() for value in first_objects(head))


def parse(body: bytes, first_line: int, header: Header, zone: str = UTC) -> Parsed:
    """One segment → RAW."""
    if first_line == 1:
        require_keys(body[:65_536], _NEEDED)
    return read_json_lines(body, first_line, _KEYS, _loosen)


def _loosen(fields: pl.DataFrame) -> pl.DataFrame:
    """DataStream's keys (String) → LOOSE."""
    fields = fields.with_columns(map_distinct(fields[name], _decoded) for name in _ENCODED)
    asked = pl.col("range").str.extract_groups(_RANGE).struct
    bytes_sent = whole_number(pl.col("bytes"))
    left_early = pl.col("statusCode").str.contains("^0+$") & (bytes_sent > 0)
    fields = fields.with_columns(
        status=pl.when(left_early).then(pl.lit("206")).otherwise("statusCode"),
        first=whole_number(asked.field("1")),
        last=whole_number(asked.field("2")),
        length=whole_number(pl.col("rspContentLen")),
    )
    is_part = pl.col("status") == "206"
    columns = {
        "time_text": pl.col("reqTimeSec"),
        "ended_us": seconds_to_us(pl.col("reqTimeSec")),
        "took_us": pl.lit(0),
        "address": pl.col("cliIP"),
        "method": given("reqMethod"),
        "host": given("reqHost"),
        "path": given("reqPath"),
        "query": given("queryStr"),
        "status": pl.col("status"),
        "bytes_sent": pl.col("bytes"),
        "content_length": pl.col("length"),
        "range_start": pl.when(is_part & pl.col("last").is_not_null()).then("first"),
        "range_end": pl.when(is_part).then("last"),
        "resource_bytes": _file_bytes(is_part),
        "request_range": pl.concat_str(pl.lit("bytes="), given("range").str.replace(_BYTES_UNIT, "")),
        "content_type": given("rspContentType"),
        "agent": given("UA"),
        "referrer": given("referer"),
        "forwarded_for": given("xForwardedFor"),
        "request_id": given("reqId"),
    }
    return as_loose(fields, columns)


def _file_bytes(is_part: pl.Expr) -> pl.Expr:
    """Size of the whole file: objSize, unless it may be that of the part that was served."""
    size = whole_number(pl.col("objSize"))
    part = pl.coalesce("length", pl.col("last") - pl.col("first") + 1)
    is_more = (size > part) & (size > pl.coalesce("last", "first"))
    is_all = (size > 0) & pl.col("length").is_null() & (size >= whole_number(pl.col("bytes")))
    return pl.when(is_part & is_more).then(size).when(~is_part & is_all).then(size)


def _decoded(texts: pl.Series) -> pl.Series:
    """Decode ONCE: '%2520' is the client's own '%20'."""
    is_form = texts.str.contains(_FORM_ENCODED) & ~texts.str.contains(_NOT_FORM_ENCODED)
    spaced = texts.zip_with(~is_form, texts.str.replace_all("+", " ", literal=True))
    return percent_decoded(spaced)
