"""Instants as logs write them: a number since 1970, told by its magnitude, RFC 3339, or a wall clock."""

from __future__ import annotations

import polars as pl

from ingest.logs.formats.base import UTC, seconds_to_us

_WALL_CLOCK = "%Y/%m/%d %H:%M:%S%.f"  # Caddy's `wall`, `wall_milli`, `wall_nano`


def instants_us(texts: pl.Series, zone: str = UTC) -> pl.Series:
    """Each text (String) as microseconds since 1970, null where it is none; a wall clock is one of `zone`."""
    text = pl.col("text")
    frame = texts.alias("text").to_frame().with_columns(us=_from_number(text))
    is_other = frame.select(text.is_not_null() & pl.col("us").is_null()).to_series()
    if not is_other.any():
        return frame["us"]
    # Apart: most logs write numbers only, but for a few broken ones.
    others = frame.filter(is_other).select(_from_text(text, zone)).to_series()
    return frame["us"].scatter(is_other.arg_true(), others)


def _from_number(text: pl.Expr) -> pl.Expr:
    # 1e11 s is the year 5138, 1e11 ms was 1973; so on for µs and ns. A float would round the last ones.
    size, whole = text.cast(pl.Float64, strict=False).abs(), text.cast(pl.Int64, strict=False)
    number = text.cast(pl.Float64, strict=False)
    return (
        pl.when(size < 1e11)
        .then(seconds_to_us(text))
        .when(size < 1e14)
        .then((number * 1e3).round().cast(pl.Int64, strict=False))
        .when(size < 1e17)
        .then(pl.coalesce(whole, number.round().cast(pl.Int64, strict=False)))
        .when(size < 9e18)
        .then(pl.coalesce(whole // 1_000, (number / 1e3).round().cast(pl.Int64, strict=False)))
    )


def _from_text(text: pl.Expr, zone: str) -> pl.Expr:
    # 2026-09-29T12:00:00.123Z, …+02:00, …+0200
    stamp = text.str.replace(r"Z$", "+00:00").str.replace(r"([+-]\d\d)(\d\d)$", "$1:$2")
    rfc3339 = stamp.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", strict=False, time_unit="us", time_zone="UTC")
    wall = text.str.to_datetime(_WALL_CLOCK, strict=False, time_unit="us")
    # The hour that comes twice in autumn is taken as the first; one that never came is no time.
    local = wall.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return pl.coalesce(rfc3339.cast(pl.Int64), local.dt.convert_time_zone("UTC").cast(pl.Int64))
