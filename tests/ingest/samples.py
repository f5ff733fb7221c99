"""Log lines and files for the tests: one builder a format, every value can be set by name."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from ingest.lake import Lake
from ingest.logs.intake import IntakeReport, LandingFile, take_in
from ingest.logs.listeners import KeyRing
from ingest.logs.rules import Rules
from ingest.settings import Settings

# 2026-09-29 12:00:00 UTC; date -u -d 2026-09-29T12:00:00 +%s
NOON_S = 1_790_683_200
NOON_US = NOON_S * 1_000_000
NOW_US = NOON_US + 3_600_000_000

APP = "AntennaPod/3.4.0"
BROWSER = "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0"
ADDRESS = "203.0.113.7"

_FIELDS = """
date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent)
cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken
x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status
fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len
sc-range-start sc-range-end
"""
CLOUDFRONT_FIELDS = _FIELDS.split()

_CLOUDFRONT = {
    "date": "2026-09-29",
    "time": "12:00:00",
    "sc-bytes": "2000420",
    "c-ip": ADDRESS,
    "cs-method": "GET",
    "cs(Host)": "d111.cloudfront.net",
    "cs-uri-stem": "/show/1.mp3",
    "sc-status": "200",
    "cs(User-Agent)": APP,
    "x-edge-request-id": "id-1",
    "x-host-header": "media.example.fm",
    "time-taken": "2.000",
    "sc-content-type": "audio/mpeg",
    "sc-content-len": "2000000",
}


def cloudfront_header(fields: Iterable[str] = CLOUDFRONT_FIELDS) -> str:
    return "#Version: 1.0\n#Fields: " + " ".join(fields) + "\n"


def cloudfront(fields: Iterable[str] = CLOUDFRONT_FIELDS, **values: object) -> str:
    """One line. Values by field name, with _ for what no Python name may have: sc_status, cs_User_Agent."""
    plain = {name.replace("-", "_").replace("(", "_").replace(")", ""): name for name in [*fields]}
    given = {plain[name]: str(value) for name, value in values.items()}
    return "\t".join(given.get(name, _CLOUDFRONT.get(name, "-")) for name in fields) + "\n"


def nginx(**values: object) -> str:
    """One line of our nginx JSON; with `uri` below /e/ and status 302 also a prefix line."""
    line: dict[str, object] = {
        "ts": f"{NOON_S}.500",
        "dur": "2.000",
        "id": "id-1",
        "ip": ADDRESS,
        "method": "GET",
        "host": "media.example.fm",
        "uri": "/show/1.mp3",
        "status": 200,
        "bytes": 2000000,
        "range": "",
        "content_range": "",
        "ua": APP,
        "ref": "",
    }
    return json.dumps(line | values) + "\n"


def caddy(headers: dict[str, str] | None = None, resp: dict[str, str] | None = None, **values: Any) -> str:
    """One line of Caddy's default access log; `request_…` sets a value of the request object."""
    request = {
        "remote_ip": "198.51.100.1",
        "client_ip": ADDRESS,
        "proto": "HTTP/2.0",
        "method": "GET",
        "host": "media.example.fm",
        "uri": "/show/1.mp3",
        "headers": {name: [value] for name, value in ({"User-Agent": APP} | (headers or {})).items()},
    }
    request |= {k.removeprefix("request_"): v for k, v in values.items() if k.startswith("request_")}
    line: dict[str, Any] = {
        "level": "info",
        "ts": NOON_S + 0.123,
        "logger": "http.log.access.log0",
        "msg": "handled request",
        "request": request,
        "bytes_read": 0,
        "duration": 0.5,
        "size": 2000000,
        "status": 200,
        "resp_headers": {name: [value] for name, value in (resp or {}).items()},
    }
    return json.dumps(line | {k: v for k, v in values.items() if not k.startswith("request_")}) + "\n"


def fastly(**values: object) -> str:
    """One line of our Fastly format."""
    line: dict[str, object] = {
        "start_ms": f"{NOON_S}500",
        "id": "id-1",
        "ip": ADDRESS,
        "method": "GET",
        "host": "media.example.fm",
        "url": "/show/1.mp3",
        "status": "200",
        "bytes": "2000000",
        "range": "",
        "content_range": "",
        "length": "2000000",
        "type": "audio/mpeg",
        "ua": APP,
        "ref": "",
        "xff": "",
    }
    return json.dumps(line | values) + "\n"


def cloudflare(**values: object) -> str:
    """One line of Logpush's http_requests; custom fields by `RequestHeaders`, `ResponseHeaders`."""
    line: dict[str, object] = {
        "ClientIP": ADDRESS,
        "ClientRequestHost": "media.example.fm",
        "ClientRequestMethod": "GET",
        "ClientRequestURI": "/show/1.mp3",
        "ClientRequestReferer": "",
        "ClientRequestUserAgent": APP,
        "EdgeStartTimestamp": NOON_S * 10**9 + 500_000_000,
        "EdgeEndTimestamp": NOON_S * 10**9 + 2_500_000_000,
        "EdgeResponseStatus": 200,
        "EdgeResponseBodyBytes": 2000000,
        "EdgeResponseBytes": 2000420,
        "EdgeResponseContentType": "audio/mpeg",
        "RayID": "id-1",
    }
    return json.dumps(line | values) + "\n"


def akamai(**values: object) -> str:
    """One line of DataStream 2; a value of None is left out, as Akamai does with `-`."""
    line: dict[str, object] = {
        "version": 1,
        "reqId": "id-1",
        "reqTimeSec": f"{NOON_S}.500",
        "bytes": "2000000",
        "cliIP": ADDRESS,
        "statusCode": "200",
        "reqHost": "media.example.fm",
        "reqMethod": "GET",
        "reqPath": "/show/1.mp3",
        "rspContentLen": "2000000",
        "rspContentType": "audio/mpeg",
        "UA": APP,
    }
    return json.dumps({key: value for key, value in (line | values).items() if value is not None}) + "\n"


def bunny(*further: object, **values: object) -> str:
    """One line of Bunny's; `further` fields stand behind the twelve."""
    line: dict[str, object] = {
        "cache_status": "HIT",
        "status": 200,
        "time_ms": f"{NOON_S}500",
        "bytes_sent": 2000000,
        "pull_zone": 390,
        "address": "203.0.113.0",
        "referrer": "-",
        "url": "https://media.example.fm/show/1.mp3",
        "edge": "WA",
        "agent": APP,
        "request_id": "322b688bd63fb63f2babe9de30a5d262",
        "country": "DE",
    }
    return "|".join(map(str, [*(line | values).values(), *further])) + "\n"


def rules_of(reference: Path | None = None) -> Rules:
    """The lists of a local folder, else our own; never those of a data folder that happens to be here."""
    return Rules.load(Settings(data=Path("no-such-folder"), reference_dir=reference))


def settings_of(tmp_path: Path, **values: Any) -> Settings:
    return Settings(data=tmp_path / "data", settle_s=0, **values)


def land(settings: Settings, content: str | bytes, source: str = "cdn", name: str = "a.log") -> LandingFile:
    """Put a file into the landing folder."""
    path = settings.landing_dir / source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return LandingFile.at(source, path, name)


def take(settings: Settings, *files: LandingFile, **options: Any) -> IntakeReport:
    """Take files in, with the time and secrets of the tests."""
    options = {"now_us": NOW_US} | options
    return take_in(files, settings, Lake(settings.lake_dir), **options)


def requests_of(tmp_path: Path, content: str | bytes, source: str = "cdn", **values: Any) -> pl.DataFrame:
    """The requests that a file yields, by line."""
    settings = settings_of(tmp_path, **values)
    report = take(settings, land(settings, content, source), keyring=KeyRing.ephemeral())
    assert report.files["status"].to_list() == ["taken"], report.files["reason"].to_list()
    return Lake(settings.lake_dir).requests().sort("line_number").collect()


def rejects_of(settings: Settings) -> pl.DataFrame:
    return Lake(settings.lake_dir).rejects().sort("file_name", "line_number").collect()


def gz(text: str | bytes) -> bytes:
    return gzip.compress(text.encode() if isinstance(text, str) else text, mtime=0)
