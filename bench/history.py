"""A lake with days of history: one simulated day, cleaned once, then written again for each date.

The same listeners come every day and ask for other episodes, one in twenty again for those of the day before.
So windows chain over midnight now and then, and new listener keys follow the key epochs, as in production.
"""

from __future__ import annotations

import polars as pl

from bench.files import Files
from ingest.lake import Lake
from ingest.logs.listeners import epoch_of, mixed
from ingest.schema import DAY_US, FILES, REQUESTS, FileStatus, conform

SOURCE = "cdn"
COMES_BACK = 20  # one listener in so many asks again for what he asked for the day before


class History:
    """Days made of one cleaned day, `template` (REQUESTS of one date)."""

    def __init__(self, files: Files, cleaned: Lake) -> None:
        requests = cleaned.requests().collect()
        first = requests.group_by("day").len().sort("len")["day"][-1]
        self.template = requests.filter(pl.col("day") == first).select(list(REQUESTS)).sort("started_us")
        self.catalog = pl.read_parquet(cleaned.episodes_path)
        self.rules = cleaned.root / "rules"
        enclosures = self.template.select("enclosure_key", "enclosure_url").unique().sort("enclosure_key")
        self.enclosures = enclosures.with_row_index("number")

    def prepare(self, lake: Lake) -> None:
        """Catalogue and rules of the template's lake."""
        self.catalog.write_parquet(lake.episodes_path)
        for path in self.rules.iterdir():
            (lake.root / "rules" / path.name).write_bytes(path.read_bytes())

    def on(self, number: int) -> pl.DataFrame:
        """The requests of the `number`th date, in order of time."""
        turned = self.enclosures.select(
            "number", pl.col("enclosure_key").alias("new_key"), pl.col("enclosure_url").alias("new_url")
        )
        comes_back = pl.col("address_key") % COMES_BACK == number % COMES_BACK
        turns = number - pl.when(comes_back).then(1).otherwise(0)
        salt = pl.lit(number, pl.Int64)
        moved = (
            self.template.join(self.enclosures.drop("enclosure_url"), on="enclosure_key")
            .with_columns(number=((pl.col("number") + 7 * turns) % self.enclosures.height).cast(pl.UInt32))
            .join(turned, on="number")
            .with_columns(
                started_us=pl.col("started_us") + number * DAY_US,
                enclosure_key=pl.col("new_key"),
                enclosure_url=pl.col("new_url"),
                request_key=mixed(pl.col("request_key"), salt),
            )
            .with_columns(key_epoch=epoch_of(pl.col("started_us")))
            .with_columns(
                mixed(pl.col(name), (pl.col("key_epoch") - back).cast(pl.Int64)).alias(f"{name}{suffix}")
                for name in ("address_key", "listener_key")
                for back, suffix in ((1, "_prev"), (0, ""))
            )
        )
        return moved.select(list(REQUESTS)).sort("started_us")

    def add(self, lake: Lake, requests: pl.DataFrame, file_id: str) -> None:
        """Commit `requests` as one landing file."""
        rows = conform(
            requests.with_columns(
                file_id=pl.lit(file_id), source=pl.lit(SOURCE), line_number=pl.int_range(1, pl.len() + 1)
            ),
            REQUESTS,
        ).collect()
        days = lake.write_requests(rows, SOURCE, file_id, 0)
        row = {
            "file_id": file_id,
            "source": SOURCE,
            "source_class": "server_log",
            "format": "cloudfront",
            "file_name": f"{file_id}.gz",
            "status": FileStatus.TAKEN.value,
            "lines": rows.height,
            "requests": rows.height,
            "rejects": 0,
            "first_us": rows["started_us"].min(),
            "last_us": rows["started_us"].max(),
            "is_comparable": True,
            "days": days,
            "taken_in_us": rows["started_us"].max(),
        }
        lake.record(conform(pl.DataFrame([row]), FILES).collect())
