"""A small lake with all that the counts of some enclosures rest on, and no more.

Beside their own requests these need the catalogue, the keys by which a listener is followed over the change
of secrets (R26), and the sizes servers told of the show's other enclosures (R15). A request copied for one of
the last two is a witness: it belongs to no episode and is excluded under a reason of its own.
"""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from ingest.lake import Lake, write_parquet
from ingest.logs.listeners import EPOCH_DAYS
from ingest.schema import REQUESTS

WITNESS = "witness"  # their exclusion reason, so that no figure of an episode holds them
_LINE = ["source", "file_id", "line_number"]


def excerpt(lake: Lake, enclosure_keys: Collection[int], into: Lake) -> int:
    """Copy what the counts of `enclosure_keys` rest on into the empty lake `into`; returns their log lines.

    Of all days, since a chain of requests, a key or a size may reach back over any of them.
    """
    # First: rows of a file that is taken in from here on are not in this ledger, so they do not count.
    files = lake.ledger().filter(pl.col("status") == "taken")
    scan = lake.requests()
    catalog = pl.read_parquet(lake.episodes_path)
    mine = scan.filter(pl.col("enclosure_key").is_in(sorted(enclosure_keys))).collect()
    witnesses = [_keys(scan, mine), _sizes(scan, catalog, enclosure_keys)]
    others = (
        pl.concat(witnesses)
        .unique(_LINE)
        .join(mine, on=_LINE, how="anti")
        .with_columns(
            exclusion_reason=pl.lit(WITNESS),
            enclosure_url=pl.lit(WITNESS),
            request_key=pl.int_range(pl.len()),
        )
    )
    requests = pl.concat([mine, others]).sort("day", *_LINE)
    if requests.height:
        into.write_requests(requests.select(list(REQUESTS)), "excerpt", "0" * 32, 0)
    into.record(files.join(requests, on=["source", "file_id"], how="semi"))
    write_parquet(catalog, into.episodes_path)
    return mine.height


def _keys(scan: pl.LazyFrame, mine: pl.DataFrame) -> pl.DataFrame:
    """For each listener of `mine` one request a key epoch before, as far back as the chain of keys goes."""
    chain = [mine.clear()]
    wanted = {
        (epoch - 1, key)
        for epoch, key in mine.filter(pl.col("listener_key_prev") != pl.col("listener_key"))
        .select("key_epoch", "listener_key_prev")
        .unique()
        .iter_rows()
    }
    while wanted:
        epoch = max(epoch for epoch, _ in wanted)
        keys = sorted(key for its, key in wanted if its == epoch)
        wanted = {(its, key) for its, key in wanted if its != epoch}
        first_day = pl.lit(epoch * EPOCH_DAYS).cast(pl.Date)
        found = (
            scan.filter(
                (pl.col("day") >= first_day)
                & (pl.col("day") < first_day + pl.duration(days=EPOCH_DAYS))
                & pl.col("listener_key").is_in(keys)
            )
            .unique("listener_key")
            .collect()
        )
        chain.append(found)
        wanted |= {(epoch - 1, key) for key in found["listener_key_prev"]}
    return pl.concat(chain)


def _sizes(scan: pl.LazyFrame, catalog: pl.DataFrame, enclosure_keys: Collection[int]) -> pl.DataFrame:
    """A request that told the largest size of each of the shows' enclosures without one in the catalogue."""
    shows = catalog.filter(pl.col("enclosure_key").is_in(sorted(enclosure_keys)))["show_id"].unique()
    unknown = catalog.filter(
        pl.col("show_id").is_in(shows.implode()) & (pl.col("file_bytes").fill_null(0) <= 0)
    )
    return (
        scan.filter(
            pl.col("enclosure_key").is_in(unknown["enclosure_key"].implode()), pl.col("resource_bytes") > 0
        )
        .sort("resource_bytes", *_LINE)
        .unique("enclosure_key", keep="last", maintain_order=True)
        .collect()
    )
