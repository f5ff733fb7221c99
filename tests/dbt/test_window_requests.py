"""What each request added to its window, against a count byte by byte."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from ingest.lake import Lake
from tests.dbt.lakes import START_US, Row, add_file, catalog, dbt, random_requests, set_catalog

HOUR_US = 3_600_000_000
WINDOW = "source_class, listener_key, episode_key, first_request_us, last_request_us"


def built(folder: Path, rows: list[Row]) -> duckdb.DuckDBPyConnection:
    lake = Lake(folder / "lake")
    set_catalog(lake, catalog())
    add_file(lake, "file", rows)
    warehouse = folder / "warehouse.duckdb"
    dbt(lake, warehouse, "calendar", "run", "--vars", "{explain: 500}", "--select", "+int_window_requests")
    return duckdb.connect(str(warehouse), read_only=True)


def request(number: int, hour: float, first: int, last: int) -> Row:
    """One listener asks for bytes first to last of the episode without any evidence (960,000 bytes)."""
    return {
        "source": "cdn",
        "source_class": "server_log",
        "request_key": number,
        "started_us": START_US + int(hour * HOUR_US),
        "key_epoch": 1,
        "address_key": 1,
        "listener_key": 1,
        "enclosure_key": 3,
        "enclosure_url": "https://cdn.example/3.mp3",
        "method": "GET",
        "status": 206,
        "range_start": first,
        "served_bytes": last - first + 1,
        "is_first_two": False,
        "agent_type": "app",
        "exclusion_reason": None,
    }


def test_r05_each_request_adds_what_none_before_it_brought(tmp_path: Path) -> None:
    # In time: [400k,900k) 500 k new; [0,500k) 400 k new; [100k,200k) nothing new; [850k,1,000k) 100 k new.
    rows = [
        request(1, 1, 400_000, 899_999),
        request(2, 2, 0, 499_999),
        request(3, 3, 100_000, 199_999),
        request(4, 4, 850_000, 999_999),
    ]
    with built(tmp_path, [*rows, rows[1]]) as con:
        found = con.execute(
            "select request_key, request_number, lines, contributed_bytes, running_bytes"
            " from intermediate.int_window_requests order by request_number"
        ).fetchall()
    assert found == [
        (1, 1, 1, 500_000, 500_000),
        (2, 2, 2, 400_000, 900_000),  # delivered twice: one request
        (3, 3, 1, 0, 900_000),
        (4, 4, 1, 100_000, 1_000_000),
    ]


def test_random_windows_add_up_request_by_request(tmp_path: Path) -> None:
    with built(tmp_path, random_requests(random.Random(5), 500)) as con:
        parts = pl.DataFrame(
            con.sql(f"select * from intermediate.int_window_requests order by {WINDOW}, request_number")
        )
        totals = con.execute(
            f"select {WINDOW}, requests, served_bytes, content_bytes from intermediate.int_download_windows"
        ).fetchall()
    by_window: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for part in parts.iter_rows(named=True):
        by_window[tuple(part[name] for name in WINDOW.split(", "))].append(part)
    assert len(by_window) == len(totals) > 100
    assert parts.filter(pl.col("request_number") > 2).height > 50
    for *window, requests, served, content in totals:
        mine = by_window[tuple(window)]
        assert [part["request_number"] for part in mine] == list(range(1, requests + 1))
        assert [part["started_us"] for part in mine] == sorted(part["started_us"] for part in mine)
        assert sum(part["served_bytes"] for part in mine) == served
        covered: list[tuple[int, int]] = []
        for part in mine:
            covered.append((part["content_first"], part["content_last"] + 1))
            held, reached = 0, 0
            for first, end in sorted(covered):
                held += max(0, end - max(first, reached))
                reached = max(reached, end)
            assert part["running_bytes"] == held
        assert mine[-1]["running_bytes"] == content
        assert sum(part["contributed_bytes"] for part in mine) == content
