"""Intake, catalogue, compaction and retention, killed."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl

from ingest.catalog import take_in_catalog
from ingest.compaction import compact, expand
from ingest.lake import Lake
from ingest.logs.found import find_landing_files
from ingest.logs.intake import take_in
from ingest.logs.listeners import KeyRing
from ingest.retention import expire
from ingest.settings import Settings
from tests.faults.scenario import Facts, Scenario, Told
from tests.ingest.samples import NOON_S, NOW_US, cloudfront, cloudfront_header, land, nginx
from tests.ingest.test_restate import log

DAY_US = 86_400_000_000
LATER_US = NOW_US + 3 * DAY_US
AFTER = date(2026, 10, 8)


def settings_in(data: Path) -> Settings:
    return Settings(data=data, settle_s=0, segment_bytes=4096)


def fill(settings: Settings) -> None:
    """Two sources: several files, one of several segments, one held back, one a duplicate."""
    lines = [nginx(id=f"x{i}", ts=f"{NOON_S + i}.5", uri=f"/show/{i % 4}.mp3") for i in range(12)]
    land(settings, log())
    land(settings, "".join(lines), name="b.log")
    land(settings, log(), name="the same as a.log")
    land(settings, "".join(lines[:3]) + "torn\n" * 30, name="held.log")
    land(settings, cloudfront_header() + cloudfront(), "edge")
    land(settings, cloudfront_header() + cloudfront(c_ip="203.0.113.8"), "edge", "b.log")


def take(settings: Settings) -> None:
    """As a run does it: what the ledger knows is passed over."""
    take_in(find_landing_files(settings), settings, Lake(settings.lake_dir), now_us=LATER_US)


def rows(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    """In a fixed order."""
    return frame.sort([name for name, of in frame.schema.items() if not of.is_nested()]).rows()


def lake_facts(data: Path) -> Facts:
    lake = Lake(data / "lake")
    return {
        "requests": rows(lake.requests().collect()),
        "rejects": rows(lake.rejects().collect()),
        "ledger": rows(lake.ledger()),
        "catalogue": rows(pl.read_parquet(lake.episodes_path)),
        "networks": rows(pl.read_parquet(lake.networks_path)),
        "kept": rows(pl.read_parquet(lake.kept_path)),
        "rules": sorted(path.name for path in (lake.root / "rules").glob("[!.]*")),
        "marked": sorted(path.name for path in (lake.root / ".intake").glob("*")),
    }


class Intake(Scenario):
    """Landing files into the lake."""

    def prepare(self, data: Path) -> None:
        settings = settings_in(data)
        fill(settings)
        Lake(settings.lake_dir)
        keys = KeyRing(settings.keys_dir)  # the same for every run, so that rows can be compared
        for epoch in range(LATER_US // (30 * DAY_US) - 2, LATER_US // (30 * DAY_US) + 2):
            keys.secret(epoch)

    def work(self, data: Path, told: Told) -> None:
        take(settings_in(data))

    def look(self, data: Path) -> Facts:
        return lake_facts(data)

    def check_killed(self, data: Path, before: Facts, after: Facts) -> None:
        """Of each file that the ledger calls taken all rows are there, once; of others nothing is seen."""
        lake = Lake(data / "lake")
        told = lake.ledger().filter(status="taken").select("source", "file_id", "requests").rows()
        found = lake.requests().group_by("source", "file_id").len().collect()
        there = {row[:2]: row[2] for row in found.rows()}
        assert there == {row[:2]: row[2] for row in told if row[2]}
        assert set(rows(lake.requests().collect())) <= set(after["requests"])  # type: ignore[call-overload]


class Catalogue(Scenario):
    """The CSV of episodes into the lake, over one that is there."""

    def prepare(self, data: Path) -> None:
        path = data / "landing" / "catalog" / "episodes.csv"
        path.parent.mkdir(parents=True)
        path.write_text("episode_id,show_id,enclosure_url\ne1,s1,https://media.example.com/1.mp3\n")
        take_in_catalog([path], Lake(data / "lake"))
        with path.open("a") as more:
            more.write("e2,s1,https://media.example.com/2.mp3\n")

    def work(self, data: Path, told: Told) -> None:
        take_in_catalog([data / "landing" / "catalog" / "episodes.csv"], Lake(data / "lake"))

    def look(self, data: Path) -> Facts:
        return lake_facts(data)


class Taken(Scenario):
    """A lake that has taken all in: for what moves its rows."""

    def prepare(self, data: Path) -> None:
        fill(settings_in(data))
        take(settings_in(data))

    def look(self, data: Path) -> Facts:
        return lake_facts(data)


class Compaction(Taken):
    """Small files merged."""

    def work(self, data: Path, told: Told) -> None:
        compact(Lake(data / "lake"), AFTER)

    def look(self, data: Path) -> Facts:
        paths = (data / "lake" / "requests").glob("*/*.parquet")
        every = pl.concat(pl.read_parquet(path, hive_partitioning=False) for path in paths)
        days = (data / "lake" / "requests").glob("day=2026*")
        names = {day.name: sorted(path.name for path in day.glob("*.parquet")) for day in days}
        return {**lake_facts(data), "every row": rows(every), **names}


class Expansion(Compaction):
    """Merged files given back."""

    def prepare(self, data: Path) -> None:
        super().prepare(data)
        compact(Lake(data / "lake"), AFTER)

    def work(self, data: Path, told: Told) -> None:
        lake = Lake(data / "lake")
        expand(lake, lake.event_days())


class Expiry(Taken):
    """Old requests removed."""

    def work(self, data: Path, told: Told) -> None:
        lake = Lake(data / "lake")
        counted = lake.ledger().select("source", "file_id").rows()
        expire(lake, 2, NOON_S * 10**6 + 3 * DAY_US, counted)

    def check_killed(self, data: Path, before: Facts, after: Facts) -> None:
        """No row is there that was not, none is gone that is to stay, and it is known since when all are."""
        found = set(rows(Lake(data / "lake").requests().collect()))
        assert set(after["requests"]) <= found <= set(before["requests"])  # type: ignore[call-overload]
        assert lake_facts(data)["kept"] or found == set(before["requests"])  # type: ignore[call-overload]


assert AFTER - timedelta(days=9) == date(2026, 9, 29)
