"""Our nginx access log as JSON lines (README and MEASUREMENT §3 have the `log_format`).

`ts` is the END of the response in seconds with milliseconds, `dur` the seconds it took; `xff`
($http_x_forwarded_for) is wanted only behind a proxy of one's own.
"""

from __future__ import annotations

import polars as pl

from ingest.logs.coded import Coded
from ingest.logs.cut import GIVEN, Column, Cut, Flag, Kind
from ingest.logs.formats.base import (
    UTC,
    Header,
    Parsed,
    Traits,
    as_loose,
    given,
    seconds_to_us,
    served_range,
    url_parts,
)
from ingest.logs.formats.json_lines import first_objects, read_json_lines, require_keys
from ingest.logs.formats.quick import Made, Quick
from ingest.logs.judge import REDIRECTS, SERVED
from ingest.schema import Schema, SourceClass

NAME = "nginx"
SOURCE_CLASS = SourceClass.SERVER_LOG
TRAITS = Traits()

NEEDED = {
    "ts": "end of the response, epoch seconds",
    "dur": "seconds from request to the end of the response",
    "ip": "client address",
    "method": "method",
    "host": "host asked for",
    "uri": "path and query",
    "status": "status",
    "bytes": "body bytes sent",
    "ua": "user agent",
}
_KEYS: Schema = dict.fromkeys([*NEEDED, "id", "range", "content_range", "ref", "xff"], pl.String())


def looks_like_ours(head: bytes) -> bool:
    """Do the first lines have the keys of our log format?"""
    return any({"ts", "uri"} <= value.keys() for value in first_objects(head))


def is_prefix_log(head: bytes) -> bool:
    """Whether most lines that were answered with success redirect from a prefix's uri (`/e/…`).

    By the answer, since anyone can ask any server for `/e/…`; only where nothing was answered by the uri.
    """
    lines = [value for value in first_objects(head) if "uri" in value]
    redirects = [v for v in lines if str(v["uri"]).startswith("/e/") and _status(v) in REDIRECTS]
    served = [v for v in lines if _status(v) in SERVED]
    if redirects or served:
        return len(redirects) > len(served)
    return 2 * sum(str(value["uri"]).startswith("/e/") for value in lines) > len(lines)


def _status(line: dict[str, object]) -> int:
    try:
        return int(str(line.get("status")))
    except ValueError:
        return -1


def sniff(head: bytes) -> bool:
    return looks_like_ours(head) and not is_prefix_log(head)


def parse(body: bytes, first_line: int, header: Header, zone: str = UTC) -> Parsed:
    """One segment → RAW."""
    if first_line == 1:
        require_keys(body[:65_536], NEEDED)
    return read_json_lines(body, first_line, _KEYS, _loosen, _QUICK)


def _loosen(fields: pl.DataFrame) -> pl.DataFrame:
    """Our keys (String) → LOOSE."""
    columns = {
        "time_text": pl.col("ts"),
        "ended_us": seconds_to_us(pl.col("ts")),
        "took_us": seconds_to_us(pl.when(pl.col("dur").is_in(["", "-"])).then(pl.lit("0")).otherwise("dur")),
        "took_text": pl.col("dur"),
        "address": pl.col("ip"),
        "method": given("method"),
        "host": pl.col("host"),
        **url_parts(pl.col("uri")),
        "status": pl.col("status"),
        "bytes_sent": pl.col("bytes"),
        **served_range(pl.col("content_range")),
        "request_range": given("range"),
        "agent": given("ua"),
        "referrer": given("ref"),
        "forwarded_for": given("xff"),
        "request_id": given("id"),
    }
    return as_loose(fields, columns)


def _made(cut: Cut) -> Made:
    """The same of lines without doubt."""
    uri = cut.coded["uri"]
    parts = uri.values.to_frame("uri").select(**url_parts(pl.col("uri")))
    return {**cut.plain, **cut.coded, **{name: Coded(uri.codes, parts[name]) for name in parts.columns}}


_QUICK = Quick(
    [
        Column("ended_us", Kind.SECONDS, "ts"),
        Column("took_us", Kind.SECONDS, "dur", Flag.ZERO_IF_DASH | Flag.ZERO_IF_EMPTY),
        Column("request_id", Kind.TEXT, "id", GIVEN),
        Column("address", Kind.CODE, "ip"),
        Column("method", Kind.CODE, "method", GIVEN),
        Column("host", Kind.CODE, "host"),
        Column("uri", Kind.CODE, "uri"),
        Column("status", Kind.INT, "status", Flag.NEEDED),
        Column("bytes_sent", Kind.INT, "bytes", Flag.NEEDED),
        Column("request_range", Kind.TEXT, "range", GIVEN),
        Column("content_range", Kind.CONTENT_RANGE, "content_range"),
        Column("agent", Kind.CODE, "ua", GIVEN),
        Column("referrer", Kind.CODE, "ref", GIVEN),
        Column("forwarded_for", Kind.CODE, "xff", GIVEN),
    ],
    _made,
)
