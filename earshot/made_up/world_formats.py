"""What requests look like in the logs of each format.

A writer is `Request -> line` (without the line feed); the same requests in any CDN format are the same
downloads, but for what a format cannot tell (docs/formats.md). CloudFront alone adds header bytes to the
bytes it logs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from earshot.made_up.world import World


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Something that can be asked for. Bytes and seconds; `show_id` is None outside the catalogue."""

    episode_id: str
    show_id: str | None
    host: str
    path: str
    content_type: str
    file_bytes: int
    duration_s: int = 0
    id3_bytes: int = 0
    published_ms: int = 0
    is_media: bool = True
    has_prefix: bool = False  # its requests also pass the measuring prefix
    enclosure_url: str = ""  # as the feed has it
    title: str = ""


class Request(NamedTuple):
    """One request. `first`/`last`: the promised range of a 206, else -1; `body`: bytes really sent."""

    start_ms: int
    dur_ms: int
    ip: str
    agent: str
    method: str
    target: Target
    query: str  # of the CDN request; in the prefix class the whole request URI
    status: int
    body: int
    first: int
    last: int
    asked: str  # the Range header
    referrer: str
    serial: int


Writer = Callable[[Request], str]

SERVER_LOG_FORMATS = (
    "cloudfront", "cloudfront_v2", "nginx", "caddy", "fastly", "cloudflare", "akamai", "bunny",
)  # fmt: skip
CLOUDFRONT_FIELDS = [
    "date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem",
    "sc-status", "cs(Referer)", "cs(User-Agent)", "cs-uri-query", "cs(Cookie)", "x-edge-result-type",
    "x-edge-request-id", "x-host-header", "cs-protocol", "cs-bytes", "time-taken", "x-forwarded-for",
    "ssl-protocol", "ssl-cipher", "x-edge-response-result-type", "cs-protocol-version", "fle-status",
    "fle-encrypted-fields", "c-port", "time-to-first-byte", "x-edge-detailed-result-type",
    "sc-content-type", "sc-content-len", "sc-range-start", "sc-range-end",
]  # fmt: skip
DIRECTIVES = {"cloudfront": ("#Version: 1.0", "#Fields: " + " ".join(CLOUDFRONT_FIELDS))}
_NAMES = {  # {h}: hour of arrival; {t}: eight hex digits
    "cloudfront": "E2EXAMPLE.{h:%Y-%m-%d-%H}.{t}.gz",
    "cloudfront_v2": "E2EXAMPLE.{h:%Y-%m-%d-%H}.{t}.gz",
    "nginx": "access-{h:%Y-%m-%d-%H}.{t}.log.gz",
    "caddy": "access-{h:%Y-%m-%dT%H-%M-%S}.000.{t}.log.gz",
    "fastly": "{h:%Y-%m-%dT%H:%M:%S}.000-{t}.log.gz",
    "cloudflare": "{h:%Y%m%dT%H%M%SZ}_{t}.log.gz",
    "akamai": "ak-{h:%Y%m%d%H}-{t}-ds.gz",
    "bunny": "{h:%Y-%m-%d-%H}.{t}.log.gz",
    "prefix": "prefix-{h:%Y-%m-%d-%H}.{t}.log.gz",
}
_EDGES = tuple(
    f"{place}-P{n}" for place in ("FRA56", "IAD79", "LHR61", "SFO53", "GRU3", "NRT57") for n in (1, 4)
)
# What CloudFront writes as %XX in agents and referrers; a literal % becomes %25.
_ENCODED = {n: f"%{n:02X}" for n in (*range(33), *range(127, 256), *map(ord, "\"#%'<>[\\]^`{|}~"))}

_quoted = cache(json.dumps)


@cache
def _encoded(text: str) -> str:
    return text.translate(_ENCODED) or "-"


@cache
def _clock(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d\t%H:%M:%S}"


def file_name(log_format: str, hour_ms: int, tag: str) -> str:
    return _NAMES[log_format].format(h=datetime.fromtimestamp(hour_ms // 1000, UTC), t=tag)


def source_name(log_format: str) -> str:
    return {"cloudfront": "cdn", "prefix": "prefix"}.get(log_format, f"cdn-{log_format}")


def header_bytes(request: Request) -> int:
    """Response headers as CloudFront counts them into sc-bytes: 400 to 700 bytes."""
    return 400 + request.serial * 37 % 301


def edge(request: Request) -> str:
    """The edge location near the listener."""
    return _EDGES[(ord(request.ip[1]) + ord(request.ip[3])) % len(_EDGES)]


def promised_bytes(request: Request) -> int:
    """Body length the response announced (Content-Length)."""
    if request.status == 206:
        return request.last - request.first + 1
    return request.target.file_bytes if request.status == 200 else request.body


def _content_type(request: Request) -> str:
    return request.target.content_type if request.status in (200, 206, 304) else "text/html"


def _content_range(request: Request) -> str:
    if request.status == 206:
        return f"bytes {request.first}-{request.last}/{request.target.file_bytes}"
    return f"bytes */{request.target.file_bytes}" if request.status == 416 else ""


def _length(request: Request) -> str:
    """Content-Length; an answer that has no body has none."""
    return "" if request.status in (0, 304) else str(promised_bytes(request))


def _id(request: Request, seed: int) -> str:
    """32 hex digits."""
    return blake2b(b"%d/%d" % (seed, request.serial), digest_size=16).hexdigest()


def _json(line: dict[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":"))


def _cloudfront_fields(r: Request, seed: int) -> str:
    """The values in the order of CLOUDFRONT_FIELDS, tab separated."""
    digest = blake2b(b"%d/%d" % (seed, r.serial), digest_size=40).digest()
    sent = r.body + header_bytes(r) if r.status else 0
    ranged = f"{_length(r) or '-'}\t" + (f"{r.first}\t{r.last}" if r.status == 206 else "-\t-")
    result = "Error" if r.status >= 400 or not r.status else "Miss" if r.serial % 9 == 0 else "Hit"
    seconds, ms = divmod(r.dur_ms, 1000)
    return (
        f"{_clock((r.start_ms + r.dur_ms) // 1000)}\t{edge(r)}\t{sent}\t{r.ip}\t{r.method}"
        f"\td2example9abcd.cloudfront.net\t{r.target.path}\t{r.status:03d}\t{_encoded(r.referrer)}"
        f"\t{_encoded(r.agent)}\t{r.query or '-'}\t-\t{result}\t{base64.urlsafe_b64encode(digest).decode()}"
        f"\t{r.target.host}\thttps\t{180 + r.serial % 200}\t{seconds}.{ms:03d}\t-\tTLSv1.3"
        f"\tTLS_AES_128_GCM_SHA256\t{result}\tHTTP/2.0\t-\t-\t{1024 + r.serial * 7919 % 64000}"
        f"\t0.{1 + min(r.dur_ms, r.serial * 31 % 300):03d}\t{result}\t{_content_type(r)}\t{ranged}"
    )


def _nginx(r: Request, seed: int, host: str, uri: str) -> str:
    seconds, ms = divmod(r.start_ms + r.dur_ms, 1000)
    taken, taken_ms = divmod(r.dur_ms, 1000)
    return (
        f'{{"ts":"{seconds}.{ms:03d}","dur":"{taken}.{taken_ms:03d}","id":"{_id(r, seed)}","ip":"{r.ip}",'
        f'"method":"{r.method}","host":"{host}","uri":{json.dumps(uri)},"status":{r.status or 499},'
        f'"bytes":{r.body},"range":"{r.asked}","content_range":"{_content_range(r)}",'
        f'"ua":{_quoted(r.agent)},"ref":{_quoted(r.referrer)}}}'
    )


def _uri(r: Request) -> str:
    return f"{r.target.path}?{r.query}" if r.query else r.target.path


def _caddy(r: Request) -> str:
    headers: dict[str, list[str]] = {"Accept": ["*/*"]}
    for name, value in (("User-Agent", r.agent), ("Range", r.asked), ("Referer", r.referrer)):
        if value:
            headers[name] = [value]
    answer = {"Server": ["Caddy"], "Content-Type": [_content_type(r)]}
    if length := _length(r):
        answer["Content-Length"] = [length]
    if content_range := _content_range(r):
        answer["Content-Range"] = [content_range]
    request = {
        "remote_ip": r.ip, "remote_port": str(1024 + r.serial * 7919 % 64000), "client_ip": r.ip,
        "proto": "HTTP/2.0", "method": r.method, "host": r.target.host, "uri": _uri(r), "headers": headers,
    }  # fmt: skip
    line = {
        "level": "info", "ts": (r.start_ms + r.dur_ms) / 1000, "logger": "http.log.access",
        "msg": "handled request", "request": request, "bytes_read": 0, "user_id": "",
        "duration": r.dur_ms / 1000, "size": r.body, "status": r.status, "resp_headers": answer,
    }  # fmt: skip
    return _json(line)


def _fastly(r: Request, seed: int) -> str:
    return _json(
        {
            "start_ms": str(r.start_ms), "id": _id(r, seed), "ip": r.ip, "method": r.method,
            "host": r.target.host, "url": _uri(r), "status": str(r.status or 499), "bytes": str(r.body),
            "range": r.asked, "content_range": _content_range(r), "length": _length(r),
            "type": _content_type(r), "ua": r.agent, "ref": r.referrer, "xff": "",
        }
    )  # fmt: skip


def _cloudflare(r: Request, seed: int) -> str:
    asked = {"range": r.asked} if r.asked else {}
    answer = {"content-range": _content_range(r), "content-length": _length(r)}
    return _json(
        {
            "RayID": _id(r, seed)[:16], "ClientIP": r.ip, "ClientRequestHost": r.target.host,
            "ClientRequestMethod": r.method, "ClientRequestURI": _uri(r),
            "ClientRequestUserAgent": r.agent, "ClientRequestReferer": r.referrer,
            "EdgeStartTimestamp": r.start_ms * 10**6, "EdgeEndTimestamp": (r.start_ms + r.dur_ms) * 10**6,
            "EdgeResponseStatus": r.status or 499, "EdgeResponseBodyBytes": r.body,
            "EdgeResponseBytes": r.body + header_bytes(r), "EdgeResponseContentType": _content_type(r),
            "RequestHeaders": asked, "ResponseHeaders": {k: v for k, v in answer.items() if v},
        }
    )  # fmt: skip


def _akamai(r: Request, seed: int) -> str:
    is_cut = r.status == 206 and r.body < promised_bytes(r)  # written as 000, as is one without an answer
    line = {
        "version": 1, "cp": "123456", "reqId": _id(r, seed)[:12],
        "reqTimeSec": f"{r.start_ms // 1000}.{r.start_ms % 1000:03d}", "bytes": str(r.body), "cliIP": r.ip,
        "statusCode": "000" if is_cut else f"{r.status:03d}", "reqHost": r.target.host,
        "reqMethod": r.method, "reqPath": r.target.path, "queryStr": r.query, "rspContentLen": _length(r),
        "rspContentType": _content_type(r), "objSize": str(r.target.file_bytes), "UA": _encoded(r.agent),
        "range": r.asked.removeprefix("bytes="), "referer": _encoded(r.referrer),
    }  # fmt: skip
    return _json({key: value for key, value in line.items() if value not in ("", "-")})


def bunny_address(ip: str) -> str:
    """`ip` as Bunny anonymises it: the last block is 0."""
    sign = "." if "." in ip else ":"
    return ip.rpartition(sign)[0] + sign + "0"


def _bunny(r: Request, seed: int) -> str:
    values = (
        "HIT", r.status or 499, r.start_ms + r.dur_ms, r.body, 390, bunny_address(r.ip), r.referrer or "-",
        f"https://{r.target.host}{_uri(r)}", edge(r)[:2], r.agent or "-", _id(r, seed), "DE",
    )  # fmt: skip
    return "|".join(map(str, values))


def _cloudfront_v2(r: Request, seed: int) -> str:
    values = dict(zip(CLOUDFRONT_FIELDS, _cloudfront_fields(r, seed).split("\t"), strict=True))
    return _json({"timestamp(ms)": str(r.start_ms + r.dur_ms), **values})


def writer(log_format: str, seed: int) -> Writer:
    """The function that writes one request in `log_format`; ids follow from `seed` and the request."""
    writers: dict[str, Writer] = {
        "cloudfront": lambda r: _cloudfront_fields(r, seed),
        "cloudfront_v2": lambda r: _cloudfront_v2(r, seed),
        "nginx": lambda r: _nginx(r, seed, r.target.host, _uri(r)),
        "caddy": _caddy,
        "fastly": lambda r: _fastly(r, seed),
        "cloudflare": lambda r: _cloudflare(r, seed),
        "akamai": lambda r: _akamai(r, seed),
        "bunny": lambda r: _bunny(r, seed),
        "prefix": lambda r: _nginx(r, seed + 1, "prefix.example", r.query),
    }
    return writers[log_format]


def request_lines(world: World, log_format: str) -> Iterator[str]:
    """Every request once, undamaged, as the lines of one file (CloudFront's two directives included)."""
    yield from DIRECTIVES.get(log_format, ())
    write = writer(log_format, world.spec.seed)
    yield from map(write, world.prefix if log_format == "prefix" else world.cdn)
