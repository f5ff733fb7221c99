"""Improbable volumes (R12): flagged by a stated statistic, and acting on nothing."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ingest.lake import Lake
from tests.dbt.lakes import DAY_US, START_US, Row, dbt, environment, marts
from tests.dbt.show_lakes import Built, build


def volumes(rng: Random, days: int = 4) -> list[Row]:
    """Addresses with one to a few downloads a day, and now and then one with dozens; each a few agents."""
    rows: list[Row] = []
    for day in range(days):
        for address in range(30):
            count = rng.choice([12, 40, 70, 120]) if rng.random() < 0.08 else rng.choice([1, 1, 1, 2, 3])
            for _ in range(count):
                number = len(rows)
                agent = f"agent{rng.choice([0, 0, 1, 2]) if address < 5 else address}"
                rows.append(
                    {
                        "source": "edge",
                        "source_class": "prefix",
                        "request_key": number,
                        "started_us": START_US + day * DAY_US + rng.randrange(DAY_US),
                        "key_epoch": 1,
                        "address_key": address,
                        "listener_key": address * 100 + int(agent[5:]),
                        "enclosure_key": number,  # every download another episode
                        "enclosure_url": f"https://cdn.example/x{number}.mp3",
                        "method": "GET",
                        "status": 302,
                        "range_start": 0,
                        "served_bytes": 0,
                        "is_first_two": False,
                        "agent": agent,
                        "agent_type": "app",
                        "exclusion_reason": None,
                    }
                )
    return rows


def naive_flags(built: Built, mads: float, least: int) -> set[tuple[Any, ...]]:
    """(date, kind, address, agent, downloads, addresses, agents, score) by the stated rule."""
    agent_of = {row["listener_key"]: row["agent"] for row in built.rows}
    groups: dict[tuple[date, str], dict[Any, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for d in built.downloads():
        groups[d.date, "address"][d.address_key].append(d)
        groups[d.date, "agent"][agent_of[d.listener_key]].append(d)
    flags = set()
    for (day, kind), found in groups.items():
        magnitudes = {}
        for name, downloads in found.items():
            listeners = len({d.listener_key for d in downloads})
            magnitudes[name] = math.log2(1 + len(downloads) / (1 if kind == "address" else listeners))
        median = statistics.median(magnitudes.values())
        mad = statistics.median(abs(m - median) for m in magnitudes.values())
        for name, downloads in found.items():
            score = (magnitudes[name] - median) / max(1.4826 * mad, 0.5)
            if score > mads and len(downloads) >= least:
                flags.add(
                    (
                        day,
                        kind,
                        name if kind == "address" else None,
                        name if kind == "agent" else None,
                        len(downloads),
                        len({d.address_key for d in downloads}),
                        len({agent_of[d.listener_key] for d in downloads}),
                        round(score, 2),
                    )
                )
    return flags


def flags(built: Built) -> set[tuple[Any, ...]]:
    columns = "date, kind, address_key, agent, downloads, addresses, agents, score"
    return set(built.query(f"select {columns} from marts.fct_volume_flags"))


def test_r12_improbable_volumes_are_flagged_by_the_stated_rule(tmp_path: Path) -> None:
    rows = volumes(Random(41))
    built = build(tmp_path, rows, 1)
    expected = naive_flags(built, 6, 50)
    assert {kind for _, kind, *_ in expected} == {"address", "agent"}, expected
    assert flags(built) == expected
    # A flag acts on nothing: every one of these downloads counts.
    assert built.query("select sum(downloads) from marts.fct_episode_daily") == [(len(rows),)]

    # Other settings judge the past as well, without a request being read again.
    with environment(EARSHOT_FLAG_MADS="2", EARSHOT_FLAG_MIN_DOWNLOADS="11"):
        dbt(Lake(tmp_path / "lake"), built.warehouse, "calendar", "run", "--select", "fct_volume_flags")
    assert flags(built) == naive_flags(built, 2, 11) > expected


def test_r12_flags_of_late_rows_are_those_of_a_rebuild(tmp_path: Path) -> None:
    rows = volumes(Random(42))
    in_batches, whole = build(tmp_path / "batches", rows, 2), build(tmp_path / "whole", rows, 1)
    assert flags(whole)
    name = "fct_volume_flags"
    assert marts(in_batches.warehouse)[name] == marts(whole.warehouse)[name]


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("EARSHOT_FLAG_MADS", "0", "numbers above 0"),
        ("EARSHOT_FLAG_MADS", "many", "numbers above 0"),
        ("EARSHOT_FLAG_MIN_DOWNLOADS", "9", "numbers above 0, from 10 on"),
        ("EARSHOT_RECONCILIATION_TOLERANCE", "-0.1", "numbers above 0"),
    ],
)
def test_a_setting_outside_its_range_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, value: str, allowed: str
) -> None:
    with environment(**{setting: value}), pytest.raises(AssertionError):
        dbt(Lake(tmp_path / "lake"), tmp_path / "w.duckdb", "calendar", "parse")
    assert f"{setting} is '{value}'; allowed: {allowed}" in capsys.readouterr().out
