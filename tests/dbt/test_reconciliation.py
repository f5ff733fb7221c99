"""Prefix and server log side by side (R35)."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ingest.lake import Lake
from tests.dbt.lakes import DAY_US, START_US, Row, add_file, dbt, marts, set_catalog
from tests.dbt.show_lakes import Built, build, show_catalog, show_requests

FIRST = date(2026, 9, 1)
HEARD = 30  # listeners a day, above the 20 below which a difference is chance


def heard(day: int, episode: int = 1, source_class: str = "prefix", **changed: Any) -> list[Row]:
    """HEARD listeners of an episode at noon of a day, as a class sees them."""
    prefix = source_class == "prefix"
    return [
        {
            "source": "edge" if prefix else "cdn",
            "source_class": source_class,
            "request_key": ((day * 10 + episode) * 100 + listener) * 2 + prefix,
            "started_us": START_US + day * DAY_US + DAY_US // 2 + listener,
            "key_epoch": 1,
            "address_key": listener,
            "listener_key": listener,
            "enclosure_key": episode,
            "enclosure_url": f"https://cdn.example/{episode}.mp3",
            "method": "GET",
            "status": 206,
            "range_start": 0,
            "served_bytes": 0 if prefix else 2_000_000,
            "is_first_two": False,
            "agent": "agent",
            "agent_type": "app",
            "exclusion_reason": None,
            **changed,
        }
        for listener in range(HEARD)
    ]


def causes(warehouse: Path) -> dict[tuple[int, int], str]:
    """(day, episode) -> likely cause."""
    rows = Built([], warehouse, "UTC").query(
        "select date, episode_key, likely_cause from marts.fct_reconciliation_daily"
    )
    return {((day - FIRST).days, key - 1000): cause for day, key, cause in rows}


def test_r35_a_difference_is_told_with_its_likely_cause(tmp_path: Path) -> None:
    # Episodes 1 (show a) and 3 (show b) come out on days 2.5 and 1/24; days 3 to 12.
    rows: list[Row] = []
    for day in range(3, 13):
        for episode in (1, 3):
            prefix = heard(day, episode)
            host = heard(day, episode, "server_log")
            match day, episode:
                case 4, 1:  # the enclosure lost its prefix
                    prefix = []
                case 5, 1:  # the logs of another network are missing
                    host = []
                case 6, 1:  # cut off within the first minute
                    host = heard(day, episode, "server_log", served_bytes=300_000)[:16] + host[16:]
                case 7, 1:  # asked the prefix for bytes 0-1 and never reached the host
                    prefix = heard(day, episode, is_first_two=True)[:10] + prefix[10:]
                    host = host[10:]
                case 8, 1:  # the host's log knows 20 of 30 as a data centre
                    host = heard(day, episode, "server_log", exclusion_reason="datacenter")[:20] + host[20:]
                case 9, 1:
                    host = host[10:]
                case 10, 1:
                    prefix, host = prefix[:19], host[:10]
            rows += prefix + host
    lake = Lake(tmp_path / "lake")
    set_catalog(lake, show_catalog())
    add_file(lake, "all", rows)
    warehouse = tmp_path / "w.duckdb"
    dbt(lake, warehouse, "calendar", "run")
    found = causes(warehouse)
    assert {day: cause for (day, episode), cause in found.items() if episode == 1} == {
        3: "agrees",
        4: "missing_prefix",
        5: "missing_server_log",
        6: "below_threshold",
        7: "first_two",
        8: "bots",
        9: "unexplained",
        10: "too_few",
        11: "agrees",
        12: "agrees",
    }
    assert {cause for (_, episode), cause in found.items() if episode == 3} == {"agrees"}
    # The check warns of days 4, 5 and 8: what a prefix cannot know is no disagreement, nor are ten downloads.
    # It stops nothing.
    dbt(lake, warehouse, "calendar", "test", "--select", "shows_agree")
    with pytest.raises(AssertionError, match="shows_agree: Got 3 results"):
        dbt(lake, warehouse, "calendar", "test", "--warn-error", "--select", "shows_agree")


def test_r35_files_that_are_late_are_no_disagreement(tmp_path: Path) -> None:
    # Ten days; of the host's logs of day 11 one file of three is there, of day 12 (the prefix's last) none.
    days = range(3, 13)
    host = [row for day in days for row in heard(day, 1, "server_log") + heard(day, 3, "server_log")]
    late = [row for row in host if row["started_us"] >= START_US + 11 * DAY_US and row["listener_key"] >= 10]
    lake = Lake(tmp_path / "lake")
    set_catalog(lake, show_catalog())
    add_file(lake, "prefix", [row for day in days for row in heard(day, 1) + heard(day, 3)])
    add_file(lake, "host", [row for row in host if row not in late])
    warehouse, rebuilt = tmp_path / "w.duckdb", tmp_path / "rebuilt.duckdb"
    dbt(lake, warehouse, "calendar", "run")
    found = causes(warehouse)
    assert found[11, 1] == found[12, 1] == "late_files"
    assert {found[day, 1] for day in range(3, 11)} == {"agrees"}
    add_file(lake, "late", late)
    dbt(lake, warehouse, "calendar", "run")
    assert set(causes(warehouse).values()) == {"agrees"}
    dbt(lake, rebuilt, "calendar", "run")
    assert marts(warehouse) == marts(rebuilt)


def test_r35_counts_are_those_of_the_daily_marts_where_both_classes_see_a_show(tmp_path: Path) -> None:
    built = build(tmp_path, show_requests(Random(31), 500), 1)
    seen: dict[tuple[str, str], list[date]] = defaultdict(list)
    for show, source_class, day in built.query(
        "select show_id, source_class, date from marts.fct_show_daily where show_id is not null"
    ):
        seen[show, source_class].append(day)
    counts: dict[tuple[date, str, int], dict[str, int]] = defaultdict(dict)
    for day, source_class, show, key, downloads in built.query(
        "select date, source_class, show_id, episode_key, downloads from marts.fct_episode_daily"
        " where show_id is not null"
    ):
        both = [seen[show, "prefix"], seen[show, "server_log"]]
        if max(map(min, both)) <= day <= min(map(max, both)):
            counts[day, show, key][source_class] = downloads
    expected = set()
    for key, by_class in counts.items():
        prefix, host = by_class.get("prefix", 0), by_class.get("server_log", 0)
        if larger := max(prefix, host):
            share = abs(prefix - host) / larger
            complete = key[0] < min(built.last_date("prefix"), built.last_date("server_log"))
            expected.add((*key, prefix, host, prefix - host, share, share <= 0.05, complete))
    columns = "prefix_downloads, server_log_downloads, difference, difference_share, is_within_tolerance"
    found = built.query(
        f"select date, show_id, episode_key, {columns}, is_complete from marts.fct_reconciliation_daily"
    )
    assert set(found) == expected
    assert len(found) == len(expected)
    by_show = built.query(
        "select date, show_id, sum(prefix_downloads), sum(server_log_downloads), count(*)"
        " from marts.fct_reconciliation_daily group by all"
    )
    shows = built.query(
        "select date, show_id, prefix_downloads, server_log_downloads, episodes"
        " from marts.fct_show_reconciliation_daily"
    )
    assert sorted(shows) == sorted(by_show)
    assert FIRST + timedelta(1) in {day for day, *_ in shows}
