"""Lines that no reader should accept, each made from a good one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

DAMAGES = (
    "truncated", "garbage", "invalid_utf8", "missing_columns", "status_text", "year_1970", "year_2999",
    "negative_bytes", "long_line",
)  # fmt: skip
_SECONDS = {"year_1970": 86_400, "year_2999": 32_472_144_000}
_TOO_LONG = "/" + "a" * 70_000


@dataclass(frozen=True)
class _Columns:
    """Where a separated line has what a damage touches; what stands before the status never is a request."""

    separator: str
    status: int
    time: int
    is_date: bool
    bytes_sent: int
    url: int


@dataclass(frozen=True)
class _Keys:
    """The same for JSON; `factor`: in which part of a second the time is."""

    status: str
    time: str
    bytes_sent: str
    url: str
    factor: int = 1


_LAYOUTS: dict[str, _Columns | _Keys] = {
    "cloudfront": _Columns("\t", status=8, time=0, is_date=True, bytes_sent=3, url=7),
    "bunny": _Columns("|", status=1, time=2, is_date=False, bytes_sent=3, url=7),
    "cloudfront_v2": _Keys("sc-status", "timestamp(ms)", "sc-bytes", "cs-uri-stem", 1000),
    "nginx": _Keys("status", "ts", "bytes", "uri"),
    "prefix": _Keys("status", "ts", "bytes", "uri"),
    "caddy": _Keys("status", "ts", "size", "request.uri"),
    "fastly": _Keys("status", "start_ms", "bytes", "url", 1000),
    "cloudflare": _Keys(
        "EdgeResponseStatus", "EdgeStartTimestamp", "EdgeResponseBodyBytes", "ClientRequestURI", 10**9
    ),
    "akamai": _Keys("statusCode", "reqTimeSec", "bytes", "reqPath"),
}


def damaged_line(log_format: str, damage: str, line: str, rng: Random) -> bytes:
    """`line` spoilt in one of the ways of DAMAGES, so that nothing can be counted from it."""
    if damage == "garbage":
        noise = rng.randbytes(rng.randrange(40, 200)).translate(None, b"\0\r\n\t|")
        return b"\x00\xfe" + noise
    layout = _LAYOUTS[log_format]
    if isinstance(layout, _Columns):
        return _damaged_columns(layout, damage, line, rng)
    if damage == "truncated":
        return line[: rng.randrange(20, len(line) - 2)].encode()
    if damage == "invalid_utf8":
        return line[: rng.randrange(20, len(line) // 2)].encode() + b"\xff\xfe\xc3"
    return _damaged_json(layout, damage, json.loads(line))


def _damaged_columns(layout: _Columns, damage: str, line: str, rng: Random) -> bytes:
    columns = line.split(layout.separator)
    before_url = layout.separator.join(columns[:7])
    if damage == "truncated":
        return before_url[: rng.randrange(12, len(before_url))].encode()
    if damage == "invalid_utf8":
        return before_url.encode() + b"/\xff\xfe\xc3"
    if damage == "missing_columns":
        return layout.separator.join(columns[: rng.randrange(3, 8)]).encode()
    if damage in _SECONDS:
        day = f"{datetime.fromtimestamp(_SECONDS[damage], UTC):%Y-%m-%d}"
        columns[layout.time] = day if layout.is_date else str(_SECONDS[damage] * 1000)
    elif damage == "long_line":
        columns[layout.url] += _TOO_LONG
    else:
        position, value = {
            "status_text": (layout.status, "abc"),
            "negative_bytes": (layout.bytes_sent, "-5"),
        }[damage]
        columns[position] = value
    return layout.separator.join(columns).encode()


def _damaged_json(layout: _Keys, damage: str, line: dict[str, Any]) -> bytes:
    if damage == "missing_columns":
        line = dict(list(line.items())[:3])
    elif damage == "status_text":
        line[layout.status] = "abc"
    elif damage == "negative_bytes":
        line[layout.bytes_sent] = _like(line[layout.bytes_sent], -5)
    elif damage == "long_line":
        *outer, key = layout.url.split(".")
        (line[outer[0]] if outer else line)[key] += _TOO_LONG
    else:
        second = _SECONDS[damage]
        line[layout.time] = _like(line[layout.time], second * layout.factor)
        if "date" in line:
            line["date"], line["time"] = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%S}".split()
    return json.dumps(line, separators=(",", ":")).encode()


def _like(good: Any, number: int) -> Any:
    """`number` in the type that its good counterpart has."""
    return type(good)(number)
