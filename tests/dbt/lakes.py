"""Small lakes made of random requests, and the naive count of them."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from ingest.lake import Lake, write_parquet
from ingest.schema import EPISODES, FILES, REQUESTS, conform

PROJECT = Path(__file__).parents[2] / "dbt_project"
DAY_US = 86_400_000_000
START_US = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp()) * 1_000_000
Row = dict[str, Any]


def random_requests(
    rng: random.Random, count: int, days: int = 8, start_us: int = START_US, listeners: int = 4
) -> list[Row]:
    """Requests of few listeners and episodes, so that windows meet, touch and chain; some repeated."""
    rows: list[Row] = []
    for number in range(count):
        listener, episode = rng.randrange(listeners), rng.randrange(4)
        hour_us = DAY_US // 24
        # Whole hours make exact 24-hour distances (and equal times) common.
        started = start_us + rng.randrange(days * 24) * hour_us + rng.choice([0, 0, 1, 1_800_000_000])
        first = rng.choice([0, 0, 100, 300_000, 500_000, 900_000])
        prefix = rng.random() < 0.2
        rows.append(
            {
                "source": "edge" if prefix else rng.choice(["cdn", "cdn2"]),
                "source_class": "prefix" if prefix else "server_log",
                "request_key": number,
                "started_us": started,
                "key_epoch": 1,
                "address_key": listener // 2,
                "listener_key": listener,
                "enclosure_key": episode,
                "enclosure_url": f"https://cdn.example/{episode}.mp3",
                "method": "GET",
                "status": 206,
                "range_start": first,
                "served_bytes": 0 if prefix else rng.choice([1, 200_000, 450_000, 960_000, 2_000_000]),
                "is_first_two": prefix and rng.random() < 0.3,
                "app": f"app{listener}",
                "agent_type": "app",
                "exclusion_reason": rng.choice([None] * 9 + ["bot"]),
            }
        )
    return rows + rng.sample(rows, count // 20)


def keyed_by_epoch(rows: Sequence[Row]) -> list[Row]:
    """The same requests as cleaning writes them: keys of the 30 days' secret, and of the one before."""
    return [
        {
            **row,
            "key_epoch": (epoch := row["started_us"] // (30 * DAY_US)),
            "listener_key": epoch * 1000 + row["listener_key"],
            "listener_key_prev": (epoch - 1) * 1000 + row["listener_key"],
        }
        for row in rows
    ]


def catalog(episodes: Sequence[int] = (0, 1, 2)) -> pl.DataFrame:
    """Episode 0 with full evidence, 1 short, 2 without sizes; 3 is not in it. 1 shows 0's show average."""
    facts: dict[int, tuple[int | None, float | None, int | None]] = {
        0: (2_000_100, 125.0, 100),  # 60 * 2,000,000 / 125 = 960,000 bytes
        1: (450_100, 30.0, 100),  # shorter than a minute: all 450,000 bytes
        2: (None, None, None),  # the show's rate: 2,450,000 bytes / 155 s * 60 = 948,388 bytes
    }
    return conform(
        pl.DataFrame(
            [
                {
                    "show_id": "show",
                    "episode_id": f"guid-{e}",
                    "enclosure_url": f"https://cdn.example/{e}.mp3",
                    "enclosure_key": e,
                    "episode_key": 1000 + e,
                    "file_bytes": facts[e][0],
                    "duration_s": facts[e][1],
                    "id3_bytes": facts[e][2],
                    "published_us": START_US + (DAY_US if e == 2 else -DAY_US),
                }
                for e in episodes
            ],
            schema_overrides={"file_bytes": pl.Int64, "duration_s": pl.Float64, "id3_bytes": pl.Int64},
        ),
        EPISODES,
    ).collect()


def add_file(
    lake: Lake, file_id: str, rows: Sequence[Row], lines_from: int = 1, cut: Sequence[str] = ()
) -> None:
    """Put `rows` into the lake as one landing file a source; those in `cut` have addresses cut short."""
    by_source: dict[str, list[Row]] = defaultdict(list)
    for number, row in enumerate(rows, lines_from):
        by_source[row["source"]].append({**row, "file_id": file_id, "line_number": number})
    ledger = []
    for source, mine in by_source.items():
        frame = conform(pl.DataFrame(mine, infer_schema_length=None), REQUESTS).collect()
        days = lake.write_requests(frame, source, file_id, 0)
        ledger.append(
            {
                "file_id": file_id,
                "source": source,
                "source_class": mine[0]["source_class"],
                "file_name": f"{file_id}.gz",
                "status": "taken",
                "lines": len(mine),
                "requests": len(mine),
                "rejects": 0,
                "first_us": min(row["started_us"] for row in mine),
                "last_us": max(row["started_us"] for row in mine),
                "is_comparable": source not in cut,
                "days": days,
                "taken_in_us": START_US,
            }
        )
    lake.record(conform(pl.DataFrame(ledger), FILES).collect())


def set_catalog(lake: Lake, frame: pl.DataFrame) -> None:
    write_parquet(frame, lake.episodes_path)


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def dbt(lake: Lake, warehouse: Path, window: str, *arguments: str, time_zone: str = "UTC") -> None:
    """Run dbt in this process against `lake`; fails with dbt's own messages."""
    target = Path(tempfile.gettempdir()) / f"earshot-dbt-{os.getpid()}"  # shared: parse once
    with environment(
        EARSHOT_LAKE=str(lake.root),
        EARSHOT_WAREHOUSE=str(warehouse),
        EARSHOT_WINDOW=window,
        EARSHOT_TIME_ZONE=time_zone,
        DBT_PROJECT_DIR=str(PROJECT),
        DBT_PROFILES_DIR=str(PROJECT),
        DBT_TARGET_PATH=str(target),
        DBT_LOG_PATH=str(target),
        DBT_SEND_ANONYMOUS_USAGE_STATS="false",
    ):
        result = dbtRunner().invoke([*arguments, "--quiet"])
        DuckDBConnectionManager.close_all_connections()  # else this process keeps the file locked
    failures = [
        f"{r.node.name}: {r.message}"
        for r in getattr(result.result, "results", [])
        if r.status in ("error", "fail")
    ]
    assert result.success, failures or result.exception


def marts(warehouse: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every mart, sorted."""
    with duckdb.connect(str(warehouse), read_only=True) as con:
        tables = con.execute(
            "select table_name from information_schema.tables where table_schema = 'marts'"
        ).fetchall()
        return {
            name: sorted(con.execute(f"select * from marts.{name}").fetchall(), key=repr)
            for (name,) in sorted(tables)
        }


def windows(times: Sequence[int], rule: str, zone: str = "UTC") -> list[list[int]]:
    """The windows of one key's request times, one after another (R22 to R24)."""
    opened: list[list[int]] = []
    for time in sorted(times):
        if opened and (
            day_of(time, zone) == day_of(opened[-1][0], zone)
            if rule == "calendar"
            else time < opened[-1][0 if rule == "first_touch" else -1] + DAY_US
        ):
            opened[-1].append(time)
        else:
            opened.append([time])
    return opened


def naive_counts(
    rows: Sequence[Row], episodes: pl.DataFrame, rule: str, zone: str = "UTC"
) -> dict[tuple[str, int], int]:
    """Downloads per (source class, enclosure), request by request, byte by byte of each interval."""
    evidence = {r["enclosure_key"]: r for r in episodes.iter_rows(named=True)}
    thresholds = {0: 960_000, 1: 450_000, 2: 948_388}
    keys: dict[tuple[str, int, int], dict[int, Row]] = defaultdict(dict)
    for row in rows:
        episode = evidence.get(row["enclosure_key"])
        early = episode is not None and row["started_us"] < episode["published_us"]
        if row["exclusion_reason"] is None and not early:
            keys[row["source_class"], row["listener_key"], row["enclosure_key"]][row["request_key"]] = row
    counts: dict[tuple[str, int], int] = defaultdict(int)
    for (source_class, _, enclosure), requests in keys.items():
        facts = evidence.get(enclosure, {})
        header, size = facts.get("id3_bytes") or (100 if facts else 0), facts.get("file_bytes")
        for window in windows([r["started_us"] for r in requests.values()], rule, zone):
            edges: list[tuple[int, int]] = []
            for r in requests.values():
                if window[0] <= r["started_us"] <= window[-1]:
                    last = r["range_start"] + r["served_bytes"]
                    edges.append((max(r["range_start"], header), min(last, size) if size else last))
            held, reached = 0, 0
            for first, last in sorted(edges):
                held += max(0, last - max(first, reached))
                reached = max(reached, last)
            threshold = thresholds[enclosure] if facts else 960_000
            if source_class == "prefix" or held >= threshold:
                counts[source_class, enclosure] += 1
    return dict(counts)


def day_of(us: int, zone: str = "UTC") -> date:
    return datetime.fromtimestamp(us / 1e6, ZoneInfo(zone)).date()
