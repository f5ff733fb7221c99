"""The canonical enclosure URL, and its key: one for a log's rows and for a feed's enclosures.

`https://host/path[?query]` whatever the scheme, since a log line does not reliably tell it. Prefix chains
are unwound, tracking and token parameters dropped, the host lower-cased; path and remaining query stay byte
for byte (MEASUREMENT §4). What cannot stand on the wire (spaces, non-ASCII, control characters) is
percent-encoded, as the client did that asked for it.
"""

from __future__ import annotations

import contextlib
import re
from typing import cast

import polars as pl
import polars_hash as _polars_hash  # noqa: F401  registers .nchash
import xxhash

from ingest.logs.coded import coded
from ingest.logs.distinct import map_distinct
from ingest.logs.media import is_media_path, is_page_type
from ingest.logs.prefixes import PrefixRules, percent_decode
from ingest.logs.rejects import without_addresses

# Dropped by the beginning of their name …
_DROPPED_BEGINNINGS = ["_", "aw_", "utm_", "x-amz-", "x-goog-"]
# … and by their whole name: tokens, signatures, sessions, click ids, addresses.
_DROPPED_NAMES = [
    "token", "access_token", "auth", "auth_token", "authtoken", "authorization", "jwt", "api_key", "apikey",
    "expires", "expiry", "signature", "sig", "policy", "key-pair-id", "hmac", "nonce",
    "awsaccesskeyid", "googleaccessid", "hdnea", "hdnts", "hdntl",
    "listeningsessionid", "listenersessionid", "playsessionid", "sessionid", "session_id",
    "ip", "client_ip", "clientip", "remote_ip", "ipaddress", "userip", "user_ip",
    "gclid", "fbclid", "msclkid", "mc_cid", "mc_eid", "cb", "cachebuster", "cache_buster", "nocache",
    "user_id", "userid", "device_id", "deviceid", "idfa", "gaid", "useragent", "user_agent", "ua", "referrer",
]  # fmt: skip

# `&name=value` becomes `&name=value\0`, so that a name's end can be matched without looking ahead.
_END = "\0"
_COLON, _DOT = r"(?::|%3a)", r"(?:\.|%2e)"
_IPV4 = rf"[0-9]{{1,3}}(?:{_DOT}[0-9]{{1,3}}){{3}}"
_IPV6 = (
    rf"(?:\[|%5b)?(?:(?:[0-9a-f]{{1,4}}{_COLON}){{7}}[0-9a-f]{{1,4}}"
    rf"|(?:[0-9a-f]{{0,4}}{_COLON}){{0,7}}{_COLON}(?:[0-9a-f]{{0,4}}{_COLON}){{0,7}}(?:[0-9a-f]{{0,4}}|{_IPV4}))"
    r"(?:\]|%5d)?"
)
_DROPPED = (
    rf"(?i)&(?:(?:{'|'.join(map(re.escape, _DROPPED_BEGINNINGS))})[^{_END}]*"
    rf"|(?:{'|'.join(map(re.escape, _DROPPED_NAMES))})(?:=[^{_END}]*)?"
    rf"|[^={_END}]*=(?:{_IPV4}|{_IPV6})){_END}"
)

_NOT_ON_THE_WIRE = r"[^\x21-\x7e]"
_UNWIREABLE = re.compile(_NOT_ON_THE_WIRE)
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_HOST_TAIL = re.compile(r"(?:\.|:443|:80|:)+$")
_ESCAPES = {
    f"%{high}{low}": chr(int(high + low, 16)) for high in "01234567" for low in "0123456789ABCDEFabcdef"
}
_BEYOND_ASCII = "%[89A-Fa-f][0-9A-Fa-f]"
_DECODED = [
    pl.col("text").str.replace_many(_ESCAPES),
    pl.col("text").str.contains(_BEYOND_ASCII).fill_null(False).alias("is_odd"),
]
_IN_HOST = re.compile(r"[/?#\\]")


def percent_decoded(texts: pl.Series) -> pl.Series:
    """Each text percent-decoded once; meant for distinct values. † Python only beyond ASCII."""
    decoded, is_odd = texts.to_frame("text").select(_DECODED).get_columns()
    if is_odd.any():
        odd = pl.Series([percent_decode(t) for t in texts.filter(is_odd)], dtype=pl.String)
        decoded = decoded.scatter(is_odd.arg_true(), odd)
    return decoded.alias(texts.name)


def enclosures(requests: pl.DataFrame, rules: PrefixRules, is_prefix_log: bool) -> pl.DataFrame:
    """host, path, query, content_type (String) → enclosure_url, enclosure_key (Int64), is_media, row for row.

    is_prefix_log: the first host of every URL is a prefix, whatever its name, and without a target no media.
    """
    hosts, paths = (coded(requests[name].fill_null("")) for name in ("host", "path"))
    both = (hosts.codes.cast(pl.UInt64) * paths.values.len() + paths.codes).alias("both")
    distinct = both.unique()
    known = _bases(
        pl.DataFrame(
            [
                hosts.values.gather(distinct // paths.values.len()).alias("host"),
                paths.values.gather(distinct % paths.values.len()).alias("path"),
                distinct,
            ]
        ),
        rules,
        is_prefix_log,
    ).with_columns(_key("base").alias("key"))
    rows = both.to_frame().join(known, on="both", how="left", maintain_order="left")
    url, key = rows["base"].alias("enclosure_url"), rows["key"].alias("enclosure_key")
    queries = requests.select(pl.when(pl.col("query") != "").then("query").alias("query"), rows["own_query"])
    if queries["query"].null_count() < rows.height:
        queries = queries.with_columns(map_distinct(queries["query"], kept_query))
    # A target that was wholly percent-encoded brings its own query along; it was cleaned with its base.
    query = pl.concat_str("own_query", "query", separator="&", ignore_nulls=True)
    of_few = rows.select("base", queries.select(query.alias("query")).to_series()).with_row_index("row")
    of_few = of_few.filter(pl.col("query") != "")
    if of_few.height:
        of_few = of_few.with_columns(enclosure_url=pl.concat_str("base", pl.lit("?"), "query"))
        of_few = of_few.with_columns(_key("enclosure_url").alias("key"))
        url, key = (
            url.scatter(of_few["row"], of_few["enclosure_url"]),
            key.scatter(of_few["row"], of_few["key"]),
        )
    is_media = pl.coalesce(rows["is_media_path"], ~is_page_type(requests["content_type"]))
    return pl.DataFrame([url, pl.select(is_media.alias("is_media")).to_series(), key])


def _key(name: str) -> pl.Expr:
    key: pl.Expr = pl.col(name).nchash.xxh3_64().reinterpret(signed=True)  # type: ignore[attr-defined]
    return key


def _bases(paths: pl.DataFrame, rules: PrefixRules, is_prefix_log: bool) -> pl.DataFrame:
    """Distinct (host, path, both) → both, base (`https://host/path`), own_query, is_media_path."""
    paths = paths.with_columns(
        canonical_host=map_distinct(paths["host"], _hosts),
        canonical_path=pl.col("path"),
        own_query=pl.lit(None, pl.String),
        has_target=pl.lit(not is_prefix_log),
    )
    needs_care = paths.select(
        pl.lit(is_prefix_log)
        | pl.col("canonical_host").str.contains(rules.host_pattern)
        | pl.col("path").str.contains(_NOT_ON_THE_WIRE + "|#")
        | ~pl.col("path").str.starts_with("/")
    ).to_series()
    if needs_care.any():
        special = paths.filter(needs_care)
        resolved = [
            _resolve(host, path, rules, is_prefix_log)
            for host, path in special.select("canonical_host", "path").iter_rows()
        ]
        names = {
            "canonical_host": pl.String,
            "canonical_path": pl.String,
            "own_query": pl.String,
            "has_target": pl.Boolean,
        }
        special = special.with_columns(pl.DataFrame(resolved, schema=names, orient="row").get_columns())
        special = special.with_columns(kept_query(special["own_query"]))
        paths = pl.concat([paths.filter(~needs_care), special], rechunk=True)
    path = pl.col("canonical_path")
    return paths.select(
        "both",
        pl.concat_str(pl.lit("https://"), "canonical_host", path).alias("base"),
        "own_query",
        is_media_path(path, pl.col("has_target")).alias("is_media_path"),
    )


def _resolve(
    host: str, path: str, rules: PrefixRules, is_prefix_log: bool
) -> tuple[str, str, str | None, bool]:
    """(host, path, query or None, has a target) of one distinct host and path."""
    path = path.partition("#")[0]
    target = rules.unwind(host + path, is_prefix_log)
    if target is None:
        return host, _wire(path if path.startswith("/") else "/" + path), None, not is_prefix_log
    address, _, query = target.partition("#")[0].partition("?")
    host, slash, path = address.partition("/")
    return _host(host), _wire(slash + path) or "/", _wire(query) or None, True


def _hosts(hosts: pl.Series) -> pl.Series:
    return pl.Series([_host(host) for host in hosts], dtype=pl.String)


def _host(host: str) -> str:
    """A host as it is compared: lower case, ASCII, without user, default port and trailing dot."""
    host = host.rpartition("@")[2]
    if not host.isascii():
        with contextlib.suppress(UnicodeError):
            host = host.encode("idna").decode("ascii")
    host = _wire(_IN_HOST.sub(lambda c: f"%{ord(c[0]):02x}", host)).lower()
    return _HOST_TAIL.sub("", host)


def _wire(text: str) -> str:
    return _UNWIREABLE.sub(
        lambda c: "".join(f"%{byte:02X}" for byte in c[0].encode("utf-8", "replace")), text
    )


def kept_query(queries: pl.Series) -> pl.Series:
    """Each query without tracking and token parameters and without addresses; null where nothing is left."""
    name = queries.name
    frame = queries.to_frame("query")
    wired = pl.col("query").str.split("#").list.first()
    parameters = pl.concat_str(
        pl.lit("&"), wired.str.replace_all("&", _END + "&", literal=True), pl.lit(_END)
    )
    kept = parameters.str.replace_all(_DROPPED, "").str.replace_all(_END, "", literal=True)
    # The first `&` is ours, unless the first parameter was dropped: then it is the next one's.
    kept = kept.str.strip_prefix("&")
    result = frame.select(pl.when(kept != "").then(kept).alias(name))[name]
    odd = result.str.contains(_NOT_ON_THE_WIRE).fill_null(False)
    if odd.any():
        result = pl.Series(name, [None if q is None else _wire(q) for q in result], dtype=pl.String)
    return without_addresses(result)


def canonical_urls(urls: pl.Series, rules: PrefixRules) -> pl.DataFrame:
    """URLs (String) → enclosure_url, enclosure_key, is_media, row for row."""
    return _canonical([_split(url) for url in urls], rules)


def _canonical(split: list[tuple[str, str, str | None]], rules: PrefixRules) -> pl.DataFrame:
    frame = pl.DataFrame(
        split, schema={"host": pl.String, "path": pl.String, "query": pl.String}, orient="row"
    ).with_columns(content_type=pl.lit(None, pl.String))
    return enclosures(frame, rules, is_prefix_log=False)


def canonical_url(url: str, rules: PrefixRules) -> str:
    """One URL in canonical form; never raises, and canonical once is canonical twice."""
    return cast(str, _canonical([_split(url)], rules)["enclosure_url"][0])


def enclosure_key(url: str) -> int:
    """xxh3 of a canonical URL as a signed 64-bit integer."""
    key = xxhash.xxh3_64_intdigest(url.encode("utf-8", "replace"))
    return key - 2**64 if key >= 2**63 else key


def _split(url: str) -> tuple[str, str, str | None]:
    """(host, path, query) of a URL, with or without a scheme."""
    url = url.encode("utf-8", "replace").decode().strip()
    with_scheme = _URL.match(url)
    rest = (with_scheme["rest"] if with_scheme else url).partition("#")[0]
    address, mark, query = rest.partition("?")
    host, slash, path = address.partition("/")
    return host, slash + path or "/", query if mark else None
