"""Fastly, which has no format of its own: JSON lines by the format string below (README has it in one line).

Source: Fastly docs, "Custom log formats" (version 2) and the VCL variables. Paste it as the log format of a
logging endpoint, placement `none`; with shielding under the condition `fastly.ff.visits_this_service == 0`,
else the shield logs each miss once more.

    {"start_ms":"%{time.start.msec}V","id":"%{req.xid}V","ip":"%{client.ip}V","method":"%{req.method}V",
    "host":"%{json.escape(req.http.host)}V","url":"%{json.escape(req.url)}V","status":"%{resp.status}V",
    "bytes":"%{resp.body_bytes_written}V","range":"%{json.escape(req.http.Range)}V",
    "content_range":"%{json.escape(resp.http.Content-Range)}V",
    "length":"%{json.escape(resp.http.Content-Length)}V","type":"%{json.escape(resp.http.Content-Type)}V",
    "ua":"%{json.escape(req.http.User-Agent)}V","ref":"%{json.escape(req.http.Referer)}V",
    "xff":"%{json.escape(req.http.X-Forwarded-For)}V"}

`start_ms` is the BEGIN of the request. client.ip is Fastly-Client-IP as the edge sets it; the header itself
may be sent by anyone. Fastly appends client.ip to X-Forwarded-For on TLS connections only.
"""

from __future__ import annotations

import polars as pl

from ingest.logs.formats.base import (
    UTC,
    Header,
    Parsed,
    Traits,
    as_loose,
    served_range,
    url_parts,
    whole_number,
)
from ingest.logs.formats.json_lines import first_objects, read_json_lines, require_keys
from ingest.schema import Schema, SourceClass

NAME = "fastly"
SOURCE_CLASS = SourceClass.SERVER_LOG
TRAITS = Traits()

_NEEDED = {
    "start_ms": "begin of the request, epoch milliseconds",
    "ip": "client address",
    "method": "method",
    "host": "host asked for",
    "url": "path and query",
    "status": "status",
    "bytes": "body bytes sent",
    "ua": "user agent",
}
_KEYS: Schema = dict.fromkeys(
    [*_NEEDED, "id", "range", "content_range", "length", "type", "ref", "xff"], pl.String()
)


def sniff(head: bytes) -> bool:
    return any({"start_ms", "url"} <= value.keys() for value in first_objects(head))


def parse(body: bytes, first_line: int, header: Header, zone: str = UTC) -> Parsed:
    """One segment → RAW."""
    if first_line == 1:
        require_keys(body[:65_536], _NEEDED)
    return read_json_lines(body, first_line, _KEYS, _loosen)


def _loosen(fields: pl.DataFrame) -> pl.DataFrame:
    """Our keys (String) → LOOSE."""

    def sent(name: str) -> pl.Expr:
        """A header; VCL shows one that was not sent as `(null)` or as nothing."""
        return pl.when(~pl.col(name).is_in(["", "-", "(null)"])).then(pl.col(name))

    columns = {
        "time_text": pl.col("start_ms"),
        "ended_us": whole_number(pl.col("start_ms")) * 1_000,
        "took_us": pl.lit(0),
        "address": pl.col("ip"),
        "method": sent("method"),
        "host": sent("host"),
        **url_parts(pl.col("url")),
        "status": pl.col("status"),
        "bytes_sent": pl.col("bytes"),
        "content_length": whole_number(pl.col("length")),
        **served_range(pl.col("content_range")),
        "request_range": sent("range"),
        "content_type": sent("type"),
        "agent": sent("ua"),
        "referrer": sent("ref"),
        "forwarded_for": sent("xff"),
        "request_id": sent("id"),
    }
    return as_loose(fields, columns)
