"""The counting models against a naive count, and incremental builds against rebuilds."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pytest

from ingest.lake import Lake
from tests.dbt.lakes import (
    START_US,
    Row,
    add_file,
    catalog,
    dbt,
    marts,
    naive_counts,
    random_requests,
    set_catalog,
)

RULES = ["calendar", "first_touch", "last_touch"]


def downloads(warehouse: Path) -> dict[tuple[str, int], int]:
    with duckdb.connect(str(warehouse), read_only=True) as con:
        rows = con.execute(
            "select source_class, enclosure_key, sum(downloads) from marts.fct_downloads group by all"
        ).fetchall()
    return {(source_class, key): count for source_class, key, count in rows if count}


@pytest.mark.parametrize("rule", RULES)
def test_random_requests_are_counted_as_by_hand_in_any_batches(tmp_path: Path, rule: str) -> None:
    rng = random.Random(f"{rule} 1")
    rows = random_requests(rng, 400)
    late = [row for row in rows if rng.random() < 0.1]  # any of the eight days, after everything else
    timely = sorted((row for row in rows if row not in late), key=lambda row: row["started_us"])
    batches = [timely[:150], timely[150:300], timely[300:], late]

    lake = Lake(tmp_path / "lake")
    warehouse = tmp_path / "incremental.duckdb"
    set_catalog(lake, catalog())
    for number, batch in enumerate(batches):
        add_file(lake, f"batch{number}", batch)
        dbt(lake, warehouse, rule, "run")
    dbt(lake, warehouse, rule, "test", "--exclude-resource-type", "unit_test")
    rebuilt = tmp_path / "rebuilt.duckdb"
    dbt(lake, rebuilt, rule, "run")

    assert marts(warehouse) == marts(rebuilt)
    assert downloads(rebuilt) == naive_counts(rows, catalog(), rule)
    dbt(lake, warehouse, rule, "run", "--full-refresh")
    assert marts(warehouse) == marts(rebuilt)


@pytest.mark.parametrize("rule", ["calendar", "last_touch"])
def test_a_catalogue_that_comes_late_counts_the_past_again(tmp_path: Path, rule: str) -> None:
    rows = random_requests(random.Random(2), 200)
    lake = Lake(tmp_path / "lake")
    warehouse = tmp_path / "incremental.duckdb"
    add_file(lake, "first", rows)
    dbt(lake, warehouse, rule, "run")
    set_catalog(lake, catalog([0]))
    dbt(lake, warehouse, rule, "run")
    set_catalog(lake, catalog())
    dbt(lake, warehouse, rule, "run")
    rebuilt = tmp_path / "rebuilt.duckdb"
    dbt(lake, rebuilt, rule, "run")
    assert marts(warehouse) == marts(rebuilt)
    assert downloads(warehouse) == naive_counts(rows, catalog(), rule)


def test_another_window_rule_counts_everything_again(tmp_path: Path) -> None:
    rows = random_requests(random.Random(3), 200)
    lake = Lake(tmp_path / "lake")
    set_catalog(lake, catalog())
    add_file(lake, "first", rows)
    warehouse = tmp_path / "warehouse.duckdb"
    for rule in RULES:
        dbt(lake, warehouse, rule, "run")
        assert downloads(warehouse) == naive_counts(rows, catalog(), rule), rule


def request(hours: float, first: int, size: int, number: int) -> Row:
    return {
        **random_requests(random.Random(0), 1)[0],
        "source": "cdn",
        "source_class": "server_log",
        "listener_key": 1,
        "enclosure_key": 9,
        "enclosure_url": "https://cdn.example/9.mp3",
        "exclusion_reason": None,
        "is_first_two": False,
        "request_key": number,
        "started_us": START_US + int(hours * 3_600_000_000),
        "range_start": first,
        "served_bytes": size,
    }


# 2026-09-07 is a Monday, six days after START_US.
MONDAY = 6 * 24
GUIDELINE = [MONDAY + 22, MONDAY + 24 + 3, MONDAY + 24 + 22.25, MONDAY + 48 + 23.25]


@pytest.mark.parametrize(("rule", "expected"), zip(RULES, [3, 3, 2], strict=True))
def test_r22_r23_r24_the_guidelines_example_gives_3_3_2(tmp_path: Path, rule: str, expected: int) -> None:
    # Mon 22:00, Tue 03:00, Tue 22:15, Wed 23:15, each a whole download (960,000 bytes).
    # calendar: Mon | Tue Tue | Wed = 3. first_touch: Mon 22:00 to Tue 22:00 holds two, Tue 22:15 opens the
    # second (to Wed 22:15), Wed 23:15 the third. last_touch: of the pauses 5 h, 19 h 15 and 25 h one ends it.
    lake = Lake(tmp_path / "lake")
    add_file(lake, "a", [request(h, 0, 960_000, n) for n, h in enumerate(GUIDELINE)])
    dbt(lake, tmp_path / "w.duckdb", rule, "run")
    assert downloads(tmp_path / "w.duckdb") == {("server_log", 9): expected}


@pytest.mark.parametrize(("rule", "expected"), zip(RULES, [0, 1, 1], strict=True))
def test_r05_bytes_are_united_inside_a_window_only(tmp_path: Path, rule: str, expected: int) -> None:
    # 600 kB at 23:59:30 and 700 kB at 00:00:30 of the next day: two calendar windows of 600,000 and 700,000
    # bytes, both below 960,000; one rolling window of 1,300,000.
    lake = Lake(tmp_path / "lake")
    add_file(
        lake,
        "a",
        [request(24 - 30 / 3600, 0, 600_000, 1), request(24 + 30 / 3600, 600_000, 700_000, 2)],
    )
    dbt(lake, tmp_path / "w.duckdb", rule, "run")
    assert downloads(tmp_path / "w.duckdb").get(("server_log", 9), 0) == expected


def test_r23_exactly_24_hours_later_opens_a_new_window(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    add_file(lake, "a", [request(10, 0, 960_000, 1), request(34, 0, 960_000, 2)])
    dbt(lake, tmp_path / "w.duckdb", "first_touch", "run")
    assert downloads(tmp_path / "w.duckdb") == {("server_log", 9): 2}


def test_r05_overlapping_ranges_count_once(tmp_path: Path) -> None:
    # [0, 500k) + [400k, 900k) + [100k, 200k) = 900,000 bytes < 960,000; plus [900k, 960k) = 960,000.
    ranges = [(0, 500_000), (400_000, 500_000), (100_000, 100_000)]
    lake = Lake(tmp_path / "lake")
    add_file(lake, "a", [request(10, first, size, n) for n, (first, size) in enumerate(ranges)])
    dbt(lake, tmp_path / "w.duckdb", "calendar", "run")
    assert downloads(tmp_path / "w.duckdb") == {}
    add_file(lake, "b", [request(11, 900_000, 60_000, 7)])
    dbt(lake, tmp_path / "w.duckdb", "calendar", "run")
    assert downloads(tmp_path / "w.duckdb") == {("server_log", 9): 1}
