"""The demo's podcasts: feeds served for its shows, registered, followed for nine days, then live.

The nine days are played before Dagster starts: sweeps of the product itself with the clock set back. Then the
world's time is the real one, and the sensors' sweeps find what changes, at once where a hoster announces it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from earshot import demo_collaborations
from earshot.demo_webhooks import Change, DemoSubscriber, deliver_now
from earshot.made_up.collaborations import Collaboration
from earshot.made_up.feeds.content import DAY
from earshot.made_up.feeds.demo import announces
from earshot.made_up.feeds.record import Polls, change_files, changes_of, compared, keys_of
from earshot.made_up.feeds.script import Podcast
from earshot.made_up.feeds.server import Running, make_world, running
from earshot.made_up.feeds.world import FeedWorld
from earshot.made_up.webhooks.receiver import receiving
from earshot.made_up.world import WorldSpec
from earshot.show import plain
from ingest.durable import write_atomically
from ingest.feeds.schedule import HINT_FLOOR_US, due_frame
from ingest.feeds.schema import shard_of
from ingest.feeds.state import folder_of, read_state
from ingest.feeds.urls import feed_url
from ingest.lake import Lake, utc_now_us
from ingest.settings import Settings
from registry.collaborations import export_collaborations
from registry.database import connected
from registry.podcasts import Registration, register
from registry.polling import export_registry, sweep_shards
from serving.metadata.index import update as update_index

_BUDGET_S = 30.0  # of a played sweep: it ends when all that is due was asked
_EVERY = 3 * DAY  # between two played sweeps
_COLLECT_S = 60.0  # between two looks at what was polled: no podcast is polled twice meanwhile
_LOOK_S = 1.0
_SHOWN_CHARS = 60
_HERE = "127.0.0.0/8"


class DemoFeeds:
    """The world of feeds, and what the product has recorded of it."""

    def __init__(
        self,
        settings: Settings,
        world: FeedWorld,
        live_us: int,
        server: Running,
        subscriber: DemoSubscriber,
    ) -> None:
        self.settings = settings  # those that lead to the feeds, and to the subscriber
        self._subscriber = subscriber
        self.world, self._live_us, self._server = world, live_us, server
        self._lake = Lake(settings.lake_dir)
        self._played = settings.data / "world" / "feeds_played"
        self._keys = keys_of(world)
        self._shards = sorted({shard_of(key) for key in self._keys})
        # What went on before a demo that is started again is not known: nothing to compare.
        self._polls = None if self._played.exists() else Polls(self._lake.root)
        self._told: set[Path] = set()
        self._found_us: dict[Change, int] = {}
        self._looked = time.monotonic()

    def play(self, collaborations: Sequence[Collaboration], progress: Callable[[int, int], None]) -> None:
        """Register, poll as every three days, then let the world's time be ours. Once for a data folder.

        At the end the collaborations are recorded, and somebody subscribes to what changes from then on.
        """
        if self._polls is None:
            self._subscriber.subscribe(self.settings)
            return
        with connected(self.settings.registry, self.settings.data) as engine:
            register(engine, map(_registration, self.world.podcasts), self.world.start_us)
        instants = range(self.world.start_us, self._live_us, _EVERY)
        for done, at_us in enumerate(instants, 1):
            self._server.set_clock(at_us)
            sweep_shards(self.settings, self._shards, _BUDGET_S, clock=partial(int, at_us))
            self._polls.collect()
            progress(done, len(instants))
        self._server.set_clock(utc_now_us(), speed=1)
        export_registry(self.settings)
        demo_collaborations.record(self.settings, collaborations, self.urls())
        self._subscriber.subscribe(self.settings)
        write_atomically(self._played, b"")

    def urls(self) -> dict[str, str]:
        """show_id → the address it was registered with."""
        return {podcast.show_id: podcast.urls[0] for podcast in self.world.podcasts}

    def sweep_now(self) -> None:
        """One sweep of everything, at the present time, and its webhooks."""
        sweep_shards(self.settings, self._shards, _BUDGET_S)
        update_index(self.settings)
        deliver_now(self.settings)
        export_registry(self.settings)
        export_collaborations(self.settings)

    def due(self) -> int:
        """How many podcasts are due by now."""
        now_us = utc_now_us()
        folders = (folder_of(self._lake.root, shard) for shard in self._shards)
        return sum(due_frame(read_state(folder), now_us).height for folder in folders)

    def polled(self) -> int:
        """How many podcasts were polled since the demo went live."""
        if self._polls is None:
            return len(self._keys)
        self._polls.collect()
        return sum(max(self._polls.of[key], default=0) >= self._live_us for key in self._keys)

    def show(self, screen: Console, is_over: bool = False) -> None:
        """The catalogue in figures, and the changes told beside the true ones.

        is_over: nobody sweeps or sends any more.
        """
        polls = None
        while True:
            if self._polls is not None and is_over:
                self._polls.collect(after_crash=True)
            self._told = change_files(self._lake.root)
            if self._polls is not None:
                self._polls.collect()
            if self._polls is None or self._polls.total() == polls:
                break  # else a sweep may have committed between the two looks
            polls = self._polls.total()
        changes = self._read(self._told)
        counts = Counter(changes.filter(~pl.col("is_minor"))["change"])
        table = Table(title="Changes of podcasts, minor ones left out", title_justify="left")
        table.add_column("change")
        table.add_column("times", justify="right")
        for change, count in sorted(counts.items()):
            table.add_row(plain(change), f"{count:,}")
        screen.print(table)
        screen.print(f"{len(self._keys):,} podcasts: {self._verdict(changes)}")
        if is_over:
            deliver_now(self.settings)
            self._subscriber.show(screen, changes)

    def _read(self, files: set[Path]) -> pl.DataFrame:
        changes = changes_of(files)
        found = changes.select("podcast_key", "sequence", "detected_us")
        self._found_us |= {(key, sequence): at_us for key, sequence, at_us in found.iter_rows()}
        return changes

    def _verdict(self, changes: pl.DataFrame) -> str:
        if self._polls is None:
            return f"{changes.height:,} changes so far"
        true, differences = compared(self.world, self._polls, changes)
        if not differences:
            return f"{true:,} changes, equal to the world's own truth"
        names = ", ".join(self.world.podcasts[each.number].show_id for each in differences[:5])
        return f"the world's own truth is {true:,} changes; other ones were told of {names}"

    def next_poll(self) -> str:
        """From when on podcasts that announce their changes are polled again."""
        polled_us = [max(polls) for polls in self._polls.of.values()] if self._polls else []
        first_us = min((at_us for at_us in polled_us if at_us >= self._live_us), default=0)
        at_s = (first_us + HINT_FLOOR_US) / 1e6
        if at_s <= time.time():
            return "those until now are in the table"
        return f"the next from about {time.strftime('%H:%M', time.localtime(at_s + 59))} on"

    def follow(self) -> Iterator[str]:
        """The changes told and the webhooks received since the last look, a line each."""
        if self._polls is not None and time.monotonic() - self._looked > _COLLECT_S:
            self._looked = time.monotonic()
            self._polls.collect()
        new = change_files(self._lake.root) - self._told
        self._told |= new
        major = self._read(new).filter(~pl.col("is_minor"))
        for row in major.sort("detected_us", "podcast_key", "sequence").iter_rows(named=True):
            yield self._line(row)
        yield from self._subscriber.follow(self._found_us, self._title)

    def _line(self, row: dict[str, Any]) -> str:
        at = time.strftime("%H:%M:%S", time.localtime(row["detected_us"] / 1e6))
        fields = json.loads(row["fields"] or "[]")
        what = ", ".join(_edit(field) for field in fields) if row["change"].endswith("updated") else ""
        title = self._title(row["podcast_key"])
        return f"{at}  {title:<9}  {row['change']:<16}  {row['guid'] or ''}  {what}".rstrip()

    def _title(self, key: int) -> str:
        number = self._keys.get(key)
        return self.world.podcasts[number].versions[0].feed.channel.title if number is not None else "?"


def _edit(field: dict[str, Any]) -> str:
    old, new = (json.dumps(field[name], ensure_ascii=False) for name in ("old", "new"))
    return f"{field['field']} {_short(old)} → {_short(new)}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def _registration(podcast: Podcast) -> Registration:
    label = "lead" if podcast.number % 4 == 3 else "customer"
    return Registration(feed_url(podcast.urls[0]), labels=(label,), show_id=podcast.show_id)


@contextlib.contextmanager
def feeds_of(settings: Settings, spec: WorldSpec) -> Iterator[DemoFeeds]:
    """The feeds of the demo's world on a server, and who is told of their changes, until the block ends."""
    folder = settings.data / "world"
    folder.mkdir(parents=True, exist_ok=True)
    began = folder / "feeds_live"
    if not began.exists():
        write_atomically(began, str(utc_now_us() // 10**6 * 10**6).encode())
    live_us = int(began.read_text())
    said = {"demo": {**asdict(spec), "start": spec.start.isoformat(), "live_us": live_us}}
    world = make_world(said)
    with (
        running(said, folder, utc_now_us(), speed=1) as server,
        receiving({}, folder) as receiver,
        _podpings(world, settings.hints_dir),
    ):
        subscriber = DemoSubscriber(receiver)
        resolve = folder / "feeds_resolve.json"
        write_atomically(resolve, json.dumps(server.resolve(world) | subscriber.hosts).encode())
        led = settings.model_copy(
            update={"feed_test_hosts": _HERE, "webhook_test_hosts": _HERE, "feed_resolve": resolve}
        )
        yield DemoFeeds(led, world, live_us, server, subscriber)


@contextlib.contextmanager
def _podpings(world: FeedWorld, landing: Path) -> Iterator[None]:
    """A podping watcher: while the block lasts, changes of podcasts that announce theirs become files."""
    over = threading.Event()
    moments = sorted(
        (version.at_us, podcast.urls[0])
        for podcast in world.podcasts
        if announces(podcast)
        for version in podcast.versions
    )

    def watch() -> None:
        folder, seen_us = landing / "podping", utc_now_us()
        while not over.wait(_LOOK_S):
            now_us = utc_now_us()
            urls = [url for at_us, url in moments if seen_us < at_us <= now_us]
            seen_us = now_us
            if urls:
                folder.mkdir(parents=True, exist_ok=True)
                notice = {"version": "1.1", "medium": "podcast", "reason": "update", "iris": urls}
                write_atomically(folder / f"{now_us}.json", json.dumps(notice).encode())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
