"""Lakes with several shows over some weeks: what the marts above the downloads are compared on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl

from ingest.lake import Lake
from ingest.schema import EPISODES, conform
from tests.dbt.lakes import DAY_US, START_US, Row, add_file, day_of, dbt, set_catalog

HOUR_US = DAY_US // 24
CUT = ("bunny",)  # sources whose addresses are cut short

# Days since START_US on which each episode comes out. Episodes 0-2 and 3-6 are two shows', 7 and 8 nobody's.
PUBLISHED: dict[int, float | None] = {0: -3, 1: 2.5, 2: 9, 3: 1 / 24, 4: None, 5: 20, 6: 36}
SHOWS = {0: "a", 1: "a", 2: "a", 3: "b", 4: "b", 5: "b", 6: "b"}


class Download(NamedTuple):
    """A row of fct_downloads under the published rule."""

    source_class: str
    source: str
    show_id: str | None
    episode_key: int
    listener_key: int
    address_key: int
    date: date
    first_request_us: int
    app: str | None
    country: str | None
    device_category: str | None
    is_comparable: bool


@dataclass(frozen=True)
class Built:
    """A lake, its requests and the warehouse that was built from it."""

    rows: Sequence[Row]
    warehouse: Path
    zone: str

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.warehouse), read_only=True) as con:
            return con.execute(sql).fetchall()

    def downloads(self) -> list[Download]:
        columns = ", ".join(Download._fields)
        return [
            Download(*row)
            for row in self.query(f"select {columns} from marts.fct_downloads where downloads = 1")
        ]

    def last_event_us(self, source_class: str) -> int:
        return max(int(r["started_us"]) for r in self.rows if r["source_class"] == source_class)

    def first_date(self, source_class: str) -> date:
        first_us = min(int(r["started_us"]) for r in self.rows if r["source_class"] == source_class)
        return day_of(first_us, self.zone)

    def last_date(self, source_class: str) -> date:
        return day_of(self.last_event_us(source_class), self.zone)


def show_catalog() -> pl.DataFrame:
    return conform(
        pl.DataFrame(
            [
                {
                    "show_id": SHOWS[e],
                    "episode_id": f"guid-{e}",
                    "enclosure_url": f"https://cdn.example/{e}.mp3",
                    "enclosure_key": e,
                    "episode_key": 1000 + e,
                    "published_us": None if days is None else START_US + int(days * DAY_US),
                }
                for e, days in PUBLISHED.items()
            ]
        ),
        EPISODES,
    ).collect()


def show_requests(rng: random.Random, count: int, days: int = 45, listeners: int = 20) -> list[Row]:
    """Requests of listeners who come, pause for days or weeks, and come back; some without a full minute."""
    rows: list[Row] = []
    for number in range(count):
        listener = min(rng.randrange(listeners), rng.randrange(listeners))
        source = rng.choice(["edge", "edge", "cdn", "cdn", "bunny"])
        prefix = source == "edge"
        episode = rng.randrange(9)
        # The second network's logs begin on the tenth day.
        day = rng.uniform(10, days) if source == "bunny" else min(rng.uniform(0, days), rng.uniform(0, days))
        rows.append(
            {
                "source": source,
                "source_class": "prefix" if prefix else "server_log",
                "request_key": number,
                "started_us": START_US + int(day * 24) * HOUR_US + rng.choice([0, 1, HOUR_US - 1]),
                "key_epoch": 1,
                "address_key": listener // 2,
                "listener_key": listener,
                "enclosure_key": episode,
                "enclosure_url": f"https://cdn.example/{episode}.mp3",
                "method": "GET",
                "status": 206,
                "range_start": 0,
                "served_bytes": 0 if prefix else rng.choice([300_000, 2_000_000, 2_000_000]),
                "is_first_two": prefix and rng.random() < 0.2,
                "agent": f"agent{listener % 7}",
                "agent_type": "app",
                "app": rng.choice([None, f"app{listener % 3}"]),
                "device_category": ["mobile", "computer", None][listener % 3],
                "country": rng.choice(["DE", "FR", None]),
                "exclusion_reason": rng.choice([None] * 9 + ["bot"]),
            }
        )
    return rows


def build(folder: Path, rows: Sequence[Row], batches: int, zone: str = "UTC") -> Built:
    """Bring the rows in so many files, one build each: by time, but one row in ten after everything else."""
    rng = random.Random(len(rows))
    lake = Lake(folder / "lake")
    set_catalog(lake, show_catalog())
    late = [row for row in rows if batches > 1 and rng.random() < 0.1]
    timely = sorted((row for row in rows if row not in late), key=lambda row: row["started_us"])
    size = len(timely) // max(batches - 1, 1) + 1
    files = [timely[start : start + size] for start in range(0, len(timely), size)] + [late] * bool(late)
    warehouse = folder / "warehouse.duckdb"
    for number, file in enumerate(files):
        add_file(lake, f"file{number}", file, cut=CUT)
        dbt(lake, warehouse, "calendar", "run", time_zone=zone)
    return Built(rows, warehouse, zone)
