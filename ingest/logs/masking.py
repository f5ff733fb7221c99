"""A row's own client address must not survive in another column, such as an agent or a URL that quotes it."""

from __future__ import annotations

import re

import polars as pl

from ingest.logs.coded import coded
from ingest.logs.listeners import canonical_address
from ingest.logs.rejects import ADDRESS_LIKE, MASK
from ingest.logs.urls import enclosure_key

_TEXTS = ("agent", "enclosure_url", "referrer_host")
_IPV6_SIGNS = r"(?i):.*:|%3a.*%3a"
_TOKEN = re.compile(ADDRESS_LIKE)
NOBODY = "0.0.0.0"  # where the CDN drops addresses; a part of Chrome/120.0.0.0, too


def without_own_address(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` (address, canonical, enclosure_key and the text columns) with the row's own address masked.

    An address that its CDN cut short (203.0.113.0) is that of its whole network. Few texts look as if they
    held one (though Chrome/126.0.0.0 does), so distinct values are looked at first, then only their rows.
    """
    for name in _TEXTS:
        distinct = coded(rows[name])
        is_suspect = distinct.values.str.contains(ADDRESS_LIKE)
        if not is_suspect.any():
            continue
        near = rows.select(name, "address", "canonical").with_row_index("row")
        near = near.filter(is_suspect.gather(distinct.codes))
        is_ipv4 = pl.col("canonical").str.contains(".", literal=True)
        text = pl.col(name)
        own = pl.col("canonical").str.replace(r"\.0$", ".")
        quotes_ipv4 = text.str.contains(own, literal=True) | text.str.contains("(?i)%2e")
        near = near.filter(pl.col("canonical") != NOBODY)
        near = near.filter(pl.when(is_ipv4).then(quotes_ipv4).otherwise(text.str.contains(_IPV6_SIGNS)))
        if near.height:
            rows = _masked(rows, near, name)
    return rows


def _masked(rows: pl.DataFrame, near: pl.DataFrame, name: str) -> pl.DataFrame:
    texts = pl.Series(
        name,
        [_mask(*row) for row in near.select(name, "canonical", "address").iter_rows()],
        dtype=pl.String,
    )
    changed = near.select("row").with_columns(texts).filter(texts != near[name])
    if not changed.height:
        return rows
    column = rows[name].scatter(changed["row"], changed[name])
    rows = rows.with_columns(column)
    if name == "enclosure_url":
        keys = pl.Series("enclosure_key", [enclosure_key(url) for url in changed[name]], dtype=pl.Int64)
        rows = rows.with_columns(rows["enclosure_key"].scatter(changed["row"], keys))
    return rows


def _mask(text: str, canonical: str, address: str) -> str:
    network = canonical[:-1] if canonical.endswith(".0") else None

    def own(token: re.Match[str]) -> str:
        plain = re.sub("%3a", ":", re.sub("%2e", ".", token[0], flags=re.I), flags=re.I)
        found = canonical_address(plain) or ""
        return MASK if found == canonical or (network and found.startswith(network)) else token[0]

    masked = _TOKEN.sub(own, text)
    if "." in canonical:
        # An address inside a longer run of digits and dots: rare, and better cut out once too often.
        run = re.escape(network) + "[0-9]{1,3}" if network else re.escape(canonical)
        return re.sub(run, MASK, masked)
    # As logged it may touch other hex digits or colons, so that no token is it alone.
    return re.sub(re.escape(address), MASK, masked, flags=re.I)
