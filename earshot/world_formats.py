"""What requests look like in logs: agents, the lines of each format, and lines that no reader should accept.

A writer is `Request -> line` (without the line feed); the same requests in any CDN format are the same
downloads. CloudFront alone adds header bytes to the bytes it logs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from earshot.world import World


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

SERVER_LOG_FORMATS = ("cloudfront", "cloudfront_v2", "nginx", "caddy")
CLOUDFRONT_FIELDS = [
    "date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem",
    "sc-status", "cs(Referer)", "cs(User-Agent)", "cs-uri-query", "cs(Cookie)", "x-edge-result-type",
    "x-edge-request-id", "x-host-header", "cs-protocol", "cs-bytes", "time-taken", "x-forwarded-for",
    "ssl-protocol", "ssl-cipher", "x-edge-response-result-type", "cs-protocol-version", "fle-status",
    "fle-encrypted-fields", "c-port", "time-to-first-byte", "x-edge-detailed-result-type",
    "sc-content-type", "sc-content-len", "sc-range-start", "sc-range-end",
]  # fmt: skip
DIRECTIVES = {"cloudfront": ("#Version: 1.0", "#Fields: " + " ".join(CLOUDFRONT_FIELDS))}
DAMAGES = (
    "truncated", "garbage", "invalid_utf8", "missing_columns", "status_text", "year_1970", "year_2999",
    "negative_bytes", "long_line",
)  # fmt: skip
_NAMES = {  # {h}: hour of arrival; {t}: eight hex digits
    "cloudfront": "E2EXAMPLE.{h:%Y-%m-%d-%H}.{t}.gz",
    "cloudfront_v2": "E2EXAMPLE.{h:%Y-%m-%d-%H}.{t}.gz",
    "nginx": "access-{h:%Y-%m-%d-%H}.{t}.log.gz",
    "caddy": "access-{h:%Y-%m-%dT%H-%M-%S}.000.{t}.log.gz",
    "prefix": "prefix-{h:%Y-%m-%d-%H}.{t}.log.gz",
}
_EDGES = tuple(
    f"{place}-P{n}" for place in ("FRA56", "IAD79", "LHR61", "SFO53", "GRU3", "NRT57") for n in (1, 4)
)
# What CloudFront writes as %XX in agents and referrers; a literal % becomes %25.
_ENCODED = {n: f"%{n:02X}" for n in (*range(33), *range(127, 256), *map(ord, "\"#%'<>[\\]^`{|}~"))}

# Agents. okhttp and Lavf are kept: real apps use them. Other lists may call curl, requests and Wget bots.
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "FooCrawler/1.0",
)
BOT_LIBRARIES = (
    "python-requests/2.32.3",
    "curl/8.5.0",
    "Wget/1.21.4",
    "Go-http-client/2.0",
    "Go-http-client/1.1",
    "python-httpx/0.27.0",
    "axios/1.7.2",
)
WATCHES = (
    "atc/1.0 watchOS/10.5 model/Watch6,18 hwp/t8301 build/21T576 (6; dt:233)",
    "atc/1.1 watchOS/11.0 model/Watch7,5 hwp/t8310 build/22R349 (6; dt:302)",
    "(null)/(null) watchOS/10.5 model/Watch6,7 hwp/t8301 build/21T576 (6; dt:233)",
)
KEPT_LIBRARIES = ("okhttp/4.12.0", "okhttp/5.0.0-alpha.14", "Lavf/60.16.100", "Lavf/58.76.100")
EXCLUDED_AGENTS = {  # the world's own label, from which truth takes the exclusion reason
    **dict.fromkeys(WATCHES, "watch_duplicate"),
    **dict.fromkeys(BOTS, "bot"),
    **dict.fromkeys(BOT_LIBRARIES, "bot_library"),
    "": "no_agent",
}
SYSTEMS = ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
_CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"
BROWSERS = (  # weight, template; {s} system, {n} a version number
    (6, _CHROME.format("{s}", "{n}")),
    (2, _CHROME.format("{s}", "{n}") + " Edg/{n}.0.0.0"),
    (3, "Mozilla/5.0 ({s}; rv:{n}.0) Gecko/20100101 Firefox/{n}.0"),
    (3, "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{m} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.{m} Mobile/15E148 Safari/604.1"),
)  # fmt: skip
APPS = (  # weight, template; {m} 0..9, {b} a build number, {n} 90..139
    (30, "AppleCoreMedia/1.0.0.21G{n} (iPhone; U; CPU OS 17_{m} like Mac OS X; {l})"),
    (20, "Podcasts/1{b}.1 CFNetwork/1568.{n}.1 Darwin/24.{m}.0"),
    (14, "Spotify/8.9.{n} Android/34 (SM-G99{m}B)"),
    (8, "Spotify/8.9.{n} iOS/17.{m} (iPhone15,3)"),
    (9, "Overcast/3.0 (+http://overcast.fm/; iOS podcast app)"),
    (5, "Overcast (+http://overcast.fm/; Apple Watch podcast app)"),
    (7, "Pocket Casts"),
    (4, "Shifty Jelly Pocket Casts, Android v7.{n}"),
    (5, "CastBox/11.{m}.{n} (Linux;Android 14)"),
    (5, "AntennaPod/3.{m}.1"),
    (4, "Podcast%20Addict/v5 - Dalvik/2.1.0 (Linux; U; Android 13; Pixel {m})"),
    (4, "PodcastAddict/v5 (+https://podcastaddict.com/; Android podcast app)"),
    (3, "Castro 2024.{m}/{b}"),
    (3, "iHeartRadio/10.{n}.0 (iOS 17.{m}; iPhone14,5)"),
    (2, "TuneIn Radio/32.{m}; iOS 17; iPhone"),
    (4, "AmazonMusic/24.{m}.{n} Dalvik/2.1.0 (Linux; U; Android 12; KFTRWI)"),
    (3, "AlexaMediaPlayer/2.1.{b}.0 (Linux;Android 7.1.2) ExoPlayerLib/1.5.9"),
    (2, "Linux UPnP/1.0 Sonos/78.1-{b}50 (ZPS{m})"),
    (2, "Downcast/2.11.{n} (iOS; 17.{m})"),
    (1, 'MyPod "beta" [{m}]/0.3 (100% {l})'),
)

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


def _cloudfront_fields(r: Request, seed: int) -> str:
    """The values in the order of CLOUDFRONT_FIELDS, tab separated."""
    digest = blake2b(b"%d/%d" % (seed, r.serial), digest_size=40).digest()
    sent = r.body + header_bytes(r) if r.status else 0
    ranged = f"{r.first}\t{r.last}" if r.status == 206 else "-\t-"
    result = "Error" if r.status >= 400 or not r.status else "Miss" if r.serial % 9 == 0 else "Hit"
    length = promised_bytes(r) if r.status not in (0, 304) else "-"
    seconds, ms = divmod(r.dur_ms, 1000)
    return (
        f"{_clock((r.start_ms + r.dur_ms) // 1000)}\t{edge(r)}\t{sent}\t{r.ip}\t{r.method}"
        f"\td2example9abcd.cloudfront.net\t{r.target.path}\t{r.status:03d}\t{_encoded(r.referrer)}"
        f"\t{_encoded(r.agent)}\t{r.query or '-'}\t-\t{result}\t{base64.urlsafe_b64encode(digest).decode()}"
        f"\t{r.target.host}\thttps\t{180 + r.serial % 200}\t{seconds}.{ms:03d}\t-\tTLSv1.3"
        f"\tTLS_AES_128_GCM_SHA256\t{result}\tHTTP/2.0\t-\t-\t{1024 + r.serial * 7919 % 64000}"
        f"\t0.{1 + min(r.dur_ms, r.serial * 31 % 300):03d}\t{result}\t{_content_type(r)}\t{length}\t{ranged}"
    )


def _nginx(r: Request, seed: int, host: str, uri: str) -> str:
    seconds, ms = divmod(r.start_ms + r.dur_ms, 1000)
    taken, taken_ms = divmod(r.dur_ms, 1000)
    digest = blake2b(b"%d/%d" % (seed, r.serial), digest_size=16).hexdigest()
    return (
        f'{{"ts":"{seconds}.{ms:03d}","dur":"{taken}.{taken_ms:03d}","id":"{digest}","ip":"{r.ip}",'
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
    if r.status not in (0, 304):
        answer["Content-Length"] = [str(promised_bytes(r))]
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
    return json.dumps(line, separators=(",", ":"))


def _cloudfront_v2(r: Request, seed: int) -> str:
    values = dict(zip(CLOUDFRONT_FIELDS, _cloudfront_fields(r, seed).split("\t"), strict=True))
    return json.dumps({"timestamp(ms)": str(r.start_ms + r.dur_ms), **values}, separators=(",", ":"))


def writer(log_format: str, seed: int) -> Writer:
    """The function that writes one request in `log_format`; ids follow from `seed` and the request."""
    writers: dict[str, Writer] = {
        "cloudfront": lambda r: _cloudfront_fields(r, seed),
        "cloudfront_v2": lambda r: _cloudfront_v2(r, seed),
        "nginx": lambda r: _nginx(r, seed, r.target.host, _uri(r)),
        "caddy": _caddy,
        "prefix": lambda r: _nginx(r, seed + 1, "prefix.example", r.query),
    }
    return writers[log_format]


def request_lines(world: World, log_format: str) -> Iterator[str]:
    """Every request once, undamaged, as the lines of one file (CloudFront's two directives included)."""
    yield from DIRECTIVES.get(log_format, ())
    write = writer(log_format, world.spec.seed)
    yield from map(write, world.prefix if log_format == "prefix" else world.cdn)


def damaged_line(log_format: str, damage: str, line: str, rng: Random) -> bytes:
    """`line` spoilt in one of the ways of DAMAGES, so that nothing can be counted from it."""
    if damage == "garbage":
        noise = rng.randbytes(rng.randrange(40, 200)).translate(None, b"\0\r\n\t")
        return b"\x00\xfe" + noise
    if log_format == "cloudfront":
        return _damaged_tsv(damage, line, rng)
    if damage == "truncated":
        return line[: rng.randrange(20, len(line) - 2)].encode()
    if damage == "invalid_utf8":
        return line[: rng.randrange(20, len(line) // 2)].encode() + b"\xff\xfe\xc3"
    return _damaged_json(log_format, damage, json.loads(line))


def _damaged_tsv(damage: str, line: str, rng: Random) -> bytes:
    columns = line.split("\t")
    before_status = "\t".join(columns[:7])
    if damage == "truncated":
        return before_status[: rng.randrange(12, len(before_status))].encode()
    if damage == "invalid_utf8":
        return before_status.encode() + b"/\xff\xfe\xc3"
    if damage == "missing_columns":
        return "\t".join(columns[: rng.randrange(3, 8)]).encode()
    position, value = {
        "status_text": (8, "abc"),
        "year_1970": (0, "1970-01-01"),
        "year_2999": (0, "2999-01-01"),
        "negative_bytes": (3, "-5"),
        "long_line": (7, columns[7] + "/" + "a" * 70_000),
    }[damage]
    columns[position] = value
    return "\t".join(columns).encode()


def _damaged_json(log_format: str, damage: str, line: dict[str, Any]) -> bytes:
    caddy, v2 = log_format == "caddy", log_format == "cloudfront_v2"
    if damage == "missing_columns":
        line = dict(list(line.items())[:3])
    elif damage == "status_text":
        line["sc-status" if v2 else "status"] = "abc"
    elif damage == "negative_bytes":
        line["sc-bytes" if v2 else "size" if caddy else "bytes"] = "-5" if v2 else -5
    elif damage == "long_line":
        inner, key = (line["request"], "uri") if caddy else (line, "cs-uri-stem" if v2 else "uri")
        inner[key] += "/" + "a" * 70_000
    else:
        second = 86_400 if damage == "year_1970" else 32_472_144_000
        day, time = _clock(second).split("\t")
        if v2:
            line.update({"timestamp(ms)": f"{second}000", "date": day, "time": time})
        else:
            line["ts"] = float(second) if caddy else f"{second}.000"
    return json.dumps(line, separators=(",", ":")).encode()
