"""Eleven weeks of two shows, over two ends of key epochs: who their listeners are is known.

Key epochs begin on 2026-08-05 (689), 2026-09-04 (690) and 2026-10-04 (691). Week 0 is that of 2026-08-10.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from ingest.feeds import schema as feeds
from ingest.lake import Lake, write_parquet
from ingest.logs.found import find_landing_files
from ingest.logs.intake import take_in
from ingest.logs.urls import enclosure_key
from ingest.schema import EPISODES, conform
from ingest.settings import Settings
from tests.dbt.feed_lakes import registered, set_registered
from tests.ingest.samples import nginx

WEEK_0 = datetime(2026, 8, 10, tzinfo=UTC)
WEEKS = 11
STEADY = [f"198.51.100.{10 + n}" for n in range(12)]
HOUSE = ["2001:db8:7:8::1", "2001:db8:7:8:aa:bb:cc:dd"]  # one /64, turn by turn
NEWCOMERS = [f"203.0.113.{50 + n}" for n in range(5)]
STRADDLERS = {"192.0.2.1": datetime(2026, 9, 4, tzinfo=UTC), "192.0.2.2": datetime(2026, 10, 4, tzinfo=UTC)}
A, B = 1, 2  # podcast keys
EXPOSED_WEEK = 8  # the collaboration is in B's episode of this week
TAKEN_IN_US = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1_000_000
FILE_BYTES, DURATION_S = 2_000_000, 125.0  # a minute of it: 960,000 bytes


@dataclass(frozen=True)
class Ask:
    """One request."""

    at: datetime
    address: str
    episode: str  # show-week
    first: int = 0
    body: int = FILE_BYTES


def asks() -> list[Ask]:
    """All requests, by time."""
    found = []
    for week in range(WEEKS):
        start = WEEK_0 + timedelta(weeks=week)
        heard_by = [*STEADY, HOUSE[week % 2]]
        # In the week of the collaboration A is not heard, so that its next download comes after the touch.
        of_a = heard_by if week != EXPOSED_WEEK else []
        of_a = of_a + (NEWCOMERS if week > EXPOSED_WEEK else [])
        found += [
            Ask(start + timedelta(days=1, hours=9, minutes=n), ip, f"a-{week}") for n, ip in enumerate(of_a)
        ]
        of_b = heard_by + NEWCOMERS
        found += [
            Ask(start + timedelta(days=2, hours=9, minutes=n), ip, f"b-{week}") for n, ip in enumerate(of_b)
        ]
    for address, end in STRADDLERS.items():
        # Neither alone is a minute, both together are: 5 minutes apart, under two secrets.
        found.append(Ask(end - timedelta(minutes=2, seconds=30), address, "s-0", 0, 600_000))
        found.append(Ask(end + timedelta(minutes=2, seconds=30), address, "s-0", 600_000, 700_000))
    return sorted(found, key=lambda ask: (ask.at, ask.address))


def line(ask: Ask) -> str:
    last = ask.first + ask.body - 1
    return nginx(
        ts=f"{ask.at.timestamp():.3f}",
        dur="0.000",
        id=f"{ask.at.timestamp()}-{ask.address}",
        ip=ask.address,
        uri=f"/{ask.episode}.mp3",
        status=206,
        bytes=ask.body,
        range=f"bytes={ask.first}-{last}",
        content_range=f"bytes {ask.first}-{last}/{FILE_BYTES}",
    )


def write(landing: Path) -> None:
    """A file a week, in order of time."""
    (landing / "cdn").mkdir(parents=True)
    by_week: dict[int, list[str]] = {}
    for ask in asks():
        by_week.setdefault((ask.at - WEEK_0).days // 7, []).append(line(ask))
    for week, lines in by_week.items():
        (landing / "cdn" / f"week-{week:02}.log").write_text("".join(lines))


def tell(lake: Lake) -> None:
    """The catalogue, the registry and the collaboration."""
    rows = [
        {
            "show_id": f"show-{show}",
            "show_title": show,
            "episode_id": f"{show}-{week}",
            "episode_title": f"{show}-{week}",
            "episode_key": ord(show) * 100 + week,
            "enclosure_url": (url := f"https://media.example.fm/{show}-{week}.mp3"),
            "enclosure_key": enclosure_key(url),
            "published_us": _us(WEEK_0 + timedelta(weeks=week)),
            "file_bytes": FILE_BYTES,
            "duration_s": DURATION_S,
            "id3_bytes": 0,
        }
        for show, weeks in (("a", WEEKS), ("b", WEEKS), ("s", 1))
        for week in range(weeks)
    ]
    write_parquet(conform(pl.DataFrame(rows), EPISODES).collect(), lake.episodes_path)
    set_registered(lake, [registered(A, show_id="show-a"), registered(B, show_id="show-b")])
    starts_us = _us(WEEK_0 + timedelta(weeks=EXPOSED_WEEK))
    collaboration = {
        "collaboration_id": 1,
        "tenant": "us",
        "type": "host_read",
        "podcast_key": A,
        "partner_key": B,
        "partner_guid": f"b-{EXPOSED_WEEK}",
        "episode_key": ord("b") * 100 + EXPOSED_WEEK,
        "starts_us": starts_us,
        "state": "active",
        "created_us": starts_us,
    }
    frame = pl.DataFrame([collaboration], infer_schema_length=None)
    write_parquet(conform(frame, feeds.COLLABORATIONS).collect(), lake.collaborations_path)


def taken(settings: Settings) -> Lake:
    """All that landed, in the lake."""
    lake = Lake(settings.lake_dir)
    tell(lake)
    report = take_in(find_landing_files(settings), settings, lake, now_us=TAKEN_IN_US)
    assert not report.changed and report.rejects == 0, report
    return lake


def _us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000
