"""CloudFront access logs: v1 (tab-separated), v2 (the same with more fields, or JSON with the same keys).

Source: AWS, "Configure standard logging" v1 and v2. `date` and `time` are the END of the response, UTC;
`-` is empty; sc-bytes contains the response headers; agent and referrer are URL-encoded once.
"""

from __future__ import annotations

import polars as pl

from ingest.logs.cut import Column, Cut, Flag, Kind
from ingest.logs.distinct import map_distinct
from ingest.logs.errors import FileRefused
from ingest.logs.formats.base import (
    UTC,
    Header,
    Parsed,
    Traits,
    as_loose,
    given,
    seconds_to_us,
    whole_number,
    zero_for_dash,
)
from ingest.logs.formats.json_lines import first_objects, read_json_lines
from ingest.logs.formats.quick import Made, Quick
from ingest.logs.formats.tsv import read_tsv
from ingest.logs.urls import percent_decoded
from ingest.schema import Schema, SourceClass

NAME = "cloudfront"
SOURCE_CLASS = SourceClass.SERVER_LOG
TRAITS = Traits()

_MS = "timestamp(ms)"
_NEEDED = {
    "c-ip": "client address",
    "cs-method": "method",
    "cs-uri-stem": "path",
    "sc-status": "status",
    "sc-bytes": "bytes sent",
    "time-taken": "seconds from request to the end of the response",
    "cs(User-Agent)": "user agent",
}
_TIMES = ("date", "time", _MS)
_HOSTS = ("x-host-header", "cs(Host)")  # the host the listener asked for, else the distribution's own
_OPTIONAL = (
    "cs(Referer)",
    "cs-uri-query",
    "x-forwarded-for",
    "x-edge-request-id",
    "sc-content-type",
    "sc-content-len",
    "sc-range-start",
    "sc-range-end",
)
_ALL = [*_NEEDED, *_TIMES, *_HOSTS, *_OPTIONAL]


def sniff(head: bytes) -> bool:
    """W3C header with CloudFront's field names (IIS has some of them too), or JSON with them as keys."""
    for line in head.split(b"\n")[:20]:
        if line.startswith(b"#Fields:"):
            # Also with a needed field missing: parse() then names it.
            return b"#Software" not in head[:4096]
    return any("sc-status" in value or "x-edge-location" in value for value in first_objects(head))


def _is_json(head: bytes) -> bool:
    """JSON lines have no `#Fields`; the first line alone cannot tell, it may be the damaged one."""
    lines = head.split(b"\n")
    return not any(line.startswith(b"#Fields:") for line in lines) and any(
        line.lstrip().startswith(b"{") for line in lines
    )


def parse(body: bytes, first_line: int, header: Header, zone: str = UTC) -> Parsed:
    """One segment → RAW."""
    if not header and _is_json(body[:65_536]):
        if first_line == 1:
            _require(set().union(*first_objects(body[:65_536])))
        schema: Schema = dict.fromkeys(_ALL, pl.String())
        return read_json_lines(body, first_line, schema, _loosen)
    return read_tsv(body, first_line, header, _choose, _loosen, _quick)


def _choose(header: Header) -> list[str]:
    _require(set(header))
    return [name for name in _ALL if name in header]


def _require(names: set[str]) -> None:
    missing = [f"'{name}' ({meaning})" for name, meaning in _NEEDED.items() if name not in names]
    if _MS not in names and not {"date", "time"} <= names:
        missing.append(f"'date' and 'time', or '{_MS}' (end of the response)")
    if not names & set(_HOSTS):
        missing.append("'x-host-header' or 'cs(Host)' (host asked for)")
    if missing:
        raise FileRefused(f"fields are missing: {', '.join(missing)}")


def _loosen(fields: pl.DataFrame) -> pl.DataFrame:
    """CloudFront's fields (String) → LOOSE."""
    absent = [name for name in _ALL if name not in fields.columns]
    fields = fields.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    agents, referrers, forwarded = (
        map_distinct(fields[name], _decoded) for name in ("cs(User-Agent)", "cs(Referer)", "x-forwarded-for")
    )
    stamp = pl.concat_str("date", "time", separator=" ")
    end_of_second = stamp.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
    columns = {
        "time_text": pl.coalesce(stamp, _MS),
        "ended_us": pl.coalesce(whole_number(pl.col(_MS)) * 1000, end_of_second.cast(pl.Int64)),
        "took_us": seconds_to_us(zero_for_dash(pl.col("time-taken"))),
        "took_text": pl.col("time-taken"),
        "address": pl.col("c-ip"),
        "method": given("cs-method"),
        "host": pl.coalesce(given("x-host-header"), given("cs(Host)")),
        "path": given("cs-uri-stem"),
        "query": given("cs-uri-query"),
        "status": zero_for_dash(pl.col("sc-status")),
        "bytes_sent": zero_for_dash(pl.col("sc-bytes")),
        "content_length": whole_number(pl.col("sc-content-len")),
        "range_start": whole_number(pl.col("sc-range-start")),
        "range_end": whole_number(pl.col("sc-range-end")),
        "content_type": given("sc-content-type"),
        "agent": pl.lit(agents),
        "referrer": pl.lit(referrers),
        "forwarded_for": pl.lit(forwarded),
        "request_id": given("x-edge-request-id"),
    }
    return as_loose(fields, columns)


def _quick(header: Header) -> Quick | None:
    """The same of lines without doubt; None: its times are laid out another way."""
    date, in_ms = header.index("date") if "date" in header else -1, _MS in header
    if not in_ms and header[date + 1 : date + 2] != ("time",):
        return None
    ended = (
        Column("ended_ms", Kind.INT, _MS, Flag.NEEDED) if in_ms else Column("ended_us", Kind.STAMP, "date")
    )
    dash_is_zero, dash_is_none = Flag.ZERO_IF_DASH, Flag.NONE_IF_DASH
    columns = [
        ended,
        Column("took_us", Kind.SECONDS, "time-taken", dash_is_zero),
        Column("status", Kind.INT, "sc-status", dash_is_zero | Flag.NEEDED),
        Column("bytes_sent", Kind.INT, "sc-bytes", dash_is_zero | Flag.NEEDED),
        Column("content_length", Kind.INT, "sc-content-len", dash_is_none),
        Column("range_start", Kind.INT, "sc-range-start", dash_is_none),
        Column("range_end", Kind.INT, "sc-range-end", dash_is_none),
        Column("address", Kind.CODE, "c-ip"),
        Column("method", Kind.CODE, "cs-method", dash_is_none),
        *(Column(name, Kind.CODE, name, dash_is_none) for name in _HOSTS),
        Column("path", Kind.CODE, "cs-uri-stem", dash_is_none),
        Column("query", Kind.CODE, "cs-uri-query", dash_is_none),
        Column("content_type", Kind.CODE, "sc-content-type", dash_is_none),
        Column("agent", Kind.CODE, "cs(User-Agent)", dash_is_none),
        Column("referrer", Kind.CODE, "cs(Referer)", dash_is_none),
        Column("forwarded_for", Kind.CODE, "x-forwarded-for", dash_is_none),
        Column("request_id", Kind.TEXT, "x-edge-request-id", dash_is_none),
    ]
    return Quick([column for column in columns if column.field in header], _made)


def _made(cut: Cut) -> Made:
    texts: Made = {**cut.coded}
    hosts = [cut.coded[name] for name in _HOSTS if name in cut.coded]
    texts["host"] = hosts[0] if len(hosts) == 1 else hosts[0].or_else(hosts[1])
    for name in ("agent", "referrer", "forwarded_for"):
        if name in cut.coded:
            texts[name] = cut.coded[name].mapped(_decoded)
    in_ms = cut.plain.get("ended_ms")
    return {**cut.plain, **texts, **({"ended_us": in_ms * 1000} if in_ms is not None else {})}


def _decoded(texts: pl.Series) -> pl.Series:
    """Decode ONCE: '%2520' is the client's own '%20'."""
    return percent_decoded(texts).replace("-", None)
