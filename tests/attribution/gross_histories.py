"""Small random histories of listeners and collaborations: what the gross marts are compared on."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl

DAY_US = 86_400_000_000
# 30 days after its first date a Monday comes; its last one is a Sunday.
START_US = int(datetime(2026, 1, 10, tzinfo=UTC).timestamp()) * 1_000_000
DAYS = 148
# Every distance between two of them that a rule knows (7, 14, 28, 30, 60 days) occurs exactly, and beside.
OFFSETS_US = (0, 0, 0, 0, 0, 1, -1, DAY_US // 3)


class Collaboration(NamedTuple):
    """A row of int_collaborations, as far as the gross marts read it."""

    target_id: int
    is_placebo: bool
    show_id: str
    show_key: int
    partner_show_id: str
    partner_show_key: int
    episode_id: str | None
    episode_key: int | None
    starts_us: int
    exposure_ends_us: int

    def exposes(self, download: Download) -> bool:
        if self.episode_id is None:
            is_of_it = download.show_id == self.partner_show_id
        else:
            is_of_it = download.episode_key == self.episode_key
        return is_of_it and self.starts_us <= download.first_request_us < self.exposure_ends_us


class Download(NamedTuple):
    """A row of fct_downloads. The listener is a device as well."""

    source_class: str
    listener_key: int
    show_id: str | None
    episode_key: int
    first_request_us: int
    downloads: int


class Device(NamedTuple):
    """A row of int_device_keys."""

    device_key: int
    first_us: int
    is_shared: bool


class Span(NamedTuple):
    """A row of int_show_spans."""

    source_class: str
    show_id: str
    first_event_us: int
    last_event_us: int


@dataclass
class History:
    """What the marts are made from."""

    collaborations: list[Collaboration] = field(default_factory=list)
    downloads: list[Download] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def device_downloads(self) -> list[tuple[int, int | None, int, int, date]]:
        """Rows of int_device_downloads: device_key, show_key, episode_key, started_us, date."""
        firsts: dict[tuple[int, str | None, int, date], int] = {}
        for d in self.downloads:
            if d.downloads:
                key = (d.listener_key, d.show_id, d.episode_key, day_of(d.first_request_us))
                firsts[key] = min(firsts.get(key, d.first_request_us), d.first_request_us)
        return [
            (device, show_key(show), episode, us, day) for (device, show, episode, day), us in firsts.items()
        ]


def random_history(rng: random.Random, worlds: int) -> History:
    """Many small worlds side by side, each with shows and listeners of its own."""
    history = History()
    for world in range(worlds):
        shows = [f"{world}-{name}" for name in "abcd"]  # a and b grow; b, c and d promote
        target = world * 10
        season_us = START_US + rng.randrange(20, DAYS) * DAY_US
        for number in range(rng.randint(1, 6)):
            show, partner = rng.choice([(0, 1), (0, 2), (0, 2), (0, 3), (1, 3)])
            starts_us = season_us + rng.choice([-30, -7, 0, 0, 7, 14]) * DAY_US + rng.choice(OFFSETS_US)
            episode = rng.choice([None, *[_episode(world, partner, e) for e in range(3)]])
            is_known = rng.random() > 0.1
            history.collaborations.append(
                Collaboration(
                    target_id=target + number,
                    is_placebo=rng.random() < 0.1,
                    show_id=shows[show],
                    show_key=show_key(shows[show]) or 0,
                    partner_show_id=shows[partner],
                    partner_show_key=show_key(shows[partner]) or 0,
                    episode_id=None if episode is None else f"guid-{episode}",
                    episode_key=episode if is_known else None,
                    starts_us=starts_us,
                    exposure_ends_us=starts_us + rng.choice([1, 14, 14]) * DAY_US,
                )
            )
        starts = [c.starts_us for c in history.collaborations if c.target_id >= target]
        for listener in range(world * 10, world * 10 + rng.randint(3, 9)):
            mine = [_download(rng, world, shows, listener, starts) for _ in range(rng.randint(4, 16))]
            mine += [d._replace(source_class="prefix") for d in mine if rng.random() < 0.1]
            history.downloads += mine
            seen = [d.first_request_us for d in mine if d.downloads]
            if seen:
                history.devices.append(Device(listener, min(seen), rng.random() < 0.1))
        for name in shows:
            first_us = START_US + rng.choice([0, 0, 20]) * DAY_US
            history.spans.append(Span("prefix", name, first_us, START_US + DAYS * DAY_US))
            history.spans.append(Span("server_log", name, first_us + DAY_US, first_us + 2 * DAY_US))
    return history


def _download(
    rng: random.Random, world: int, shows: Sequence[str], listener: int, starts: Sequence[int]
) -> Download:
    """Most of them near a collaboration, so that touches and new downloads meet."""
    show = rng.choice([0, 1, 2, 2, 3, 3])
    episode = _episode(world, show, rng.randrange(3))
    is_known = rng.random() > 0.05  # else an enclosure outside the catalogue
    day_us = rng.choice([START_US + rng.randrange(DAYS) * DAY_US, *[rng.choice(starts)] * 3])
    day_us += rng.choice([0, 0, 1, 3, 7, 14, 28, 30, 60]) * DAY_US
    return Download(
        source_class="server_log",
        listener_key=listener,
        show_id=shows[show] if is_known else None,
        episode_key=episode if is_known else episode + 50,
        first_request_us=max(START_US, day_us + rng.choice(OFFSETS_US)),
        downloads=int(rng.random() > 0.05),
    )


def _episode(world: int, show: int, number: int) -> int:
    return world * 100 + show * 10 + number


def show_key(show_id: str | None) -> int | None:
    """Any number of its own."""
    return None if show_id is None else int(show_id.split("-")[0]) * 4 + "abcd".index(show_id[-1])


def day_of(us: int) -> date:
    return datetime.fromtimestamp(us // 1_000_000, UTC).date()


def write(history: History, warehouse: Path) -> None:
    """The history as the tables that the gross marts read."""
    tables: dict[str, tuple[Sequence[tuple[Any, ...]], Iterable[str]]] = {
        "intermediate.int_collaborations": (history.collaborations, Collaboration.__annotations__),
        "marts.fct_downloads": (history.downloads, Download.__annotations__),
        "intermediate.int_device_downloads": (
            history.device_downloads(),
            ["device_key", "show_key", "episode_key", "started_us", "date"],
        ),
        "intermediate.int_device_keys": (history.devices, Device.__annotations__),
        "intermediate.int_show_spans": (history.spans, Span.__annotations__),
    }
    with duckdb.connect(str(warehouse)) as con:
        for name, (rows, columns) in tables.items():
            file = warehouse.with_suffix(".parquet")
            frame = pl.DataFrame(rows, schema=list(columns), orient="row", infer_schema_length=None)
            frame.sample(fraction=1, shuffle=True, seed=1).write_parquet(file)
            con.execute(f"create schema if not exists {name.split('.')[0]}")
            con.execute(f"create or replace table {name} as from read_parquet('{file}')")
