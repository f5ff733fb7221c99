"""Our nginx access log as JSON lines (MEASUREMENT §3 has the `log_format`).

`ts` is the END of the response in seconds with milliseconds, `dur` the seconds it took.
"""

from __future__ import annotations

import polars as pl

from ingest.logs.formats.base import Header, Parsed, as_loose, seconds_to_us, whole_number
from ingest.logs.formats.json_lines import first_objects, read_json_lines, require_keys
from ingest.schema import Schema, SourceClass

NAME = "nginx"
SOURCE_CLASS = SourceClass.SERVER_LOG

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
_KEYS: Schema = dict.fromkeys([*NEEDED, "id", "range", "content_range", "ref"], pl.String())

REDIRECTS = (301, 302, 303, 307, 308)

CONTENT_RANGE = r"^bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)$"


def looks_like_ours(head: bytes) -> bool:
    """Do the first lines have the keys of our log format?"""
    return any({"ts", "uri"} <= value.keys() for value in first_objects(head))


def is_prefix_log(head: bytes) -> bool:
    """Whether most lines that were answered with success redirect from a prefix's uri (`/e/…`).

    By the answer, since anyone can ask any server for `/e/…`; only where nothing was answered by the uri.
    """
    lines = [value for value in first_objects(head) if "uri" in value]
    redirects = [v for v in lines if str(v["uri"]).startswith("/e/") and _status(v) in REDIRECTS]
    served = [v for v in lines if _status(v) in (200, 206)]
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


def parse(body: bytes, first_line: int, header: Header) -> Parsed:
    """One segment → RAW."""
    if first_line == 1:
        require_keys(body[:65_536], NEEDED)
    return read_json_lines(body, first_line, _KEYS, _loosen)


def _loosen(fields: pl.DataFrame) -> pl.DataFrame:
    """Our keys (String) → LOOSE."""
    uri = pl.col("uri").str.splitn("?", 2)
    content_range = pl.col("content_range").str.extract_groups(CONTENT_RANGE)

    def text(name: str) -> pl.Expr:
        return pl.when(~pl.col(name).is_in(["", "-"])).then(pl.col(name))

    columns = {
        "time_text": pl.col("ts"),
        "ended_us": seconds_to_us(pl.col("ts")),
        "took_us": seconds_to_us(pl.when(pl.col("dur").is_in(["", "-"])).then(pl.lit("0")).otherwise("dur")),
        "took_text": pl.col("dur"),
        "address": pl.col("ip"),
        "method": text("method"),
        "host": pl.col("host"),
        "path": uri.struct.field("field_0"),
        "query": uri.struct.field("field_1"),
        "status": pl.col("status"),
        "bytes_sent": pl.col("bytes"),
        "range_start": whole_number(content_range.struct.field("1")),
        "range_end": whole_number(content_range.struct.field("2")),
        "resource_bytes": whole_number(content_range.struct.field("3")),
        "request_range": text("range"),
        "agent": text("ua"),
        "referrer": text("ref"),
        "request_id": text("id"),
    }
    return as_loose(fields, columns)
