"""A timed sweep over due feeds out of a million registered, against a local server with thousands of hosts.

    python -m bench feeds [--rows DUE]        DUE (60,000) of 1,000,000 are due; 90 % answer 304

The world and its truth: bench/feeds_world.py. Everything of the product runs: leases, conditional GETs, the
ladder, detection, commits. Each repeat begins with the same state.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import orjson
import polars as pl

from bench import feeds_world as world
from bench.feeds_server import serving
from bench.measure import Cost, measured, median, python
from bench.report import Figures, cache, say, show
from earshot.feed_content import HOUR
from earshot.feed_truth import observed
from ingest.durable import replacing
from ingest.feeds.crawl import new_state, scheduled
from ingest.feeds.detect import Previous, detect
from ingest.feeds.diff import record_hash
from ingest.feeds.episodes import enclosures_of
from ingest.feeds.identity import episode_key
from ingest.feeds.parse import parse_feed
from ingest.feeds.schedule import next_due
from ingest.feeds.schema import EPISODES, ITEMS, PODCAST_CONTENT, PODCASTS, SHARDS, STATE, Record
from ingest.feeds.state import ROW_GROUP, Generation, folder_of, write_state
from ingest.feeds.urls import podcast_key
from ingest.lake import write_parquet

DUE = 60_000
NOW_US = world.START_US + HOUR
VERSION = "2"  # of the prepared state; raised with a column of the frames


def run(rows: int | None, repeats: int) -> Figures:
    """Sweeps the due feeds; the changes found are held against the truth, one by one."""
    due = rows or DUE
    prepared = _prepared(due)
    costs, told = [], []
    with serving() as server:
        for number in range(repeats):
            say(f"sweep {number + 1} of {repeats} over {due:,} due feeds ...")
            before = server.cpu_s()
            cost, said = _swept(prepared, server.port, due)
            costs.append(cost)
            told.append({**said, "server_cpu_s": server.cpu_s() - before})
    cost = median(costs)
    seconds = sorted(one["seconds"] for one in told)[len(told) // 2]
    figures: Figures = {
        "registered": world.PODCASTS,
        "due": due,
        "feeds_per_hour": round(due / seconds * 3600),
        "cpu_ms_per_feed": round(cost.cpu_s / due * 1000, 3),
        "false_changes": max(one["false"] for one in told),
        "missed_changes": max(one["missed"] for one in told),
        "delta_mismatches": max(one["mismatches"] for one in told),
        "audits": min(one["audits"] for one in told),
        "changes": told[0]["changes"],
        "peak_mb": round(cost.peak_mb),
        "seconds": round(seconds, 1),
        "server_cpu_ms_per_feed": round(max(one["server_cpu_s"] for one in told) / due * 1000, 3),
    }
    show("Feeds kept current", ["", "figure"], [[name, value] for name, value in figures.items()])
    return figures


def _swept(prepared: Path, port: int, due: int) -> tuple[Cost, dict[str, float]]:
    """One sweep of a copy of the prepared state, and what of its changes is not the truth."""
    with tempfile.TemporaryDirectory(prefix="earshot-bench-", dir=cache()) as room:
        data = Path(room, "data")
        shutil.copytree(prepared, data, copy_function=_linked)
        cost, said = measured(python("-m", "bench.feeds", str(data), str(port)))
        result = orjson.loads(said.splitlines()[-1])
        if result["polled"] != due:
            raise RuntimeError(f"{result['polled']:,} of {due:,} feeds were polled: {result}")
        return cost, {**result, **_compared(data / "lake", due)}


def _linked(source: str, target: str) -> None:
    """The lake's files are never written in place; the registry's are."""
    if source.endswith(".parquet"):
        Path(target).hardlink_to(source)
    else:
        shutil.copy2(source, target)


def _compared(lake: Path, due: int) -> dict[str, int]:
    files = sorted((lake / "changes").glob("day=*/*.parquet"))
    found: dict[int, list[Record]] = defaultdict(list)
    for path in files:
        for row in pl.read_parquet(path).iter_rows(named=True):
            found[row["podcast_key"]].append(row)
    missed = false = total = 0
    for number in range(due):
        truth, seen = world.expected(number), observed(found.pop(podcast_key(world.url_of(number)), []))
        missed += (truth - seen).total()
        false += (seen - truth).total()
        total += truth.total()
    false += sum(map(len, found.values()))
    return {"missed": missed, "false": false, "changes": total}


# --- the state in which the sweep finds the podcasts, made once


def _prepared(due: int) -> Path:
    folder = cache() / f"feeds-{due}-{VERSION}"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        say(f"registering {world.PODCASTS:,} podcasts, once ...")
        _register(folder)
        say(f"reading {world.TEMPLATES} documents, once ...")
        exemplars = {template: _exemplar(template) for template in _templates(due)}
        say(f"writing what is known of {due:,} due podcasts, once ...")
        _write_state(folder / "lake", due, exemplars)
        with replacing(folder / "ready") as path:
            path.touch()
    return folder


def _register(data: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as room:
        lines = Path(room, "urls.csv")
        with lines.open("w") as file:
            file.write("url\n")
            file.writelines(f"{world.url_of(number)}\n" for number in range(world.PODCASTS))
        measured(python("-m", "earshot.cli", "register", "--csv", str(lines)), {"EARSHOT_DATA": str(data)})


def _templates(due: int) -> dict[int, int]:
    """template → the first due podcast that is made from it."""
    first: dict[int, int] = {}
    for number in range(due):
        first.setdefault(world.template_of(number), number)
    return first


def _exemplar(template: int) -> tuple[int, Record, Record, Record, list[Record]]:
    """(podcast, its STATE, PODCASTS, ITEMS and EPISODES rows) as the product takes its document in."""
    number = world.exemplar_of(template)
    url = world.url_of(number)
    then_us = NOW_US - 24 * HOUR
    parsed = parse_feed(world.body(number, as_held=True), url, None, now_us=then_us)
    canonical = {enclosure: enclosure for enclosure in enclosures_of(parsed)}
    state = new_state(podcast_key(url), url)
    found = detect(Previous(state), parsed, url, then_us, canonical)
    assert found.podcast and found.items
    state = found.state | {"polls": 1, "polled_us": then_us, "fetched_us": then_us, "status": 200}
    state = scheduled(state, next_due(state, then_us, 0.0))
    return number, state, found.podcast, found.items, found.episodes


def _write_state(
    lake: Path, due: int, exemplars: dict[int, tuple[int, Record, Record, Record, list[Record]]]
) -> None:
    held = world.held(pl.int_range(world.PODCASTS, eager=True)).with_columns(
        podcast_key=pl.Series([podcast_key(world.url_of(n)) for n in range(world.PODCASTS)], dtype=pl.Int64)
    )
    by_shard = held.with_columns(shard=pl.col("podcast_key") & (SHARDS - 1)).partition_by(
        "shard", as_dict=True
    )
    for shard in range(SHARDS):
        folder = folder_of(lake, shard)
        rows = _Rows()
        for number, url, etag, modified, key in by_shard[(shard,)].drop("shard").iter_rows():
            validators = {"podcast_key": key, "feed_url": url, "etag": etag, "last_modified": modified}
            if number < due:
                rows.add(number, exemplars[world.template_of(number)], validators | {"next_due_us": NOW_US})
            else:
                rest = {"polls": 1, "polled_us": NOW_US - HOUR, "tier": "regular"}
                rows.state.append(
                    new_state(key, url) | validators | rest | {"next_due_us": NOW_US + 6 * HOUR}
                )
        (folder / "episodes").mkdir(parents=True)
        rows.write(folder)
        say(f"  shard {shard + 1} of {SHARDS}") if shard % 32 == 31 else None


class _Rows:
    """The rows of one shard."""

    def __init__(self) -> None:
        self.state: list[Record] = []
        self._podcasts: list[Record] = []
        self._items: list[Record] = []
        self._episodes: list[pl.DataFrame] = []

    def add(
        self, number: int, exemplar: tuple[int, Record, Record, Record, list[Record]], said: Record
    ) -> None:
        like, state, podcast, items, episodes = exemplar
        key = said["podcast_key"]
        old, new = f"{like:07d}", f"{number:07d}"
        old_host, new_host = world.host_of(like), world.host_of(number)
        renamed = {
            name: value.replace(old, new).replace(old_host, new_host) if isinstance(value, str) else value
            for name, value in podcast.items()
        }
        renamed["record_hash"] = record_hash(renamed, PODCAST_CONTENT)
        guids = {row["episode_key"]: row["guid"] for row in episodes}
        keys = {was: episode_key(key, guid) for was, guid in guids.items()}
        self.state.append(state | said)
        self._podcasts.append(renamed | {"podcast_key": key, "generation": 1})
        listed = [keys[was] for was in items["episode_keys"]]
        self._items.append(items | {"podcast_key": key, "episode_keys": listed, "generation": 1})
        frame = _frame_of(like, episodes)
        self._episodes.append(
            frame.with_columns(
                podcast_key=pl.lit(key, pl.Int64),
                episode_key=pl.Series([keys[was] for was in frame["episode_key"]], dtype=pl.Int64),
            )
        )

    def write(self, folder: Path) -> None:
        name = "0000000001.all.parquet"
        for table, frame, keys in (
            ("podcasts", pl.DataFrame(self._podcasts, schema=PODCASTS), ["podcast_key"]),
            ("items", pl.DataFrame(self._items, schema=ITEMS), ["podcast_key"]),
            ("episodes", pl.concat(self._episodes), ["podcast_key", "episode_key"]),
        ):
            write_parquet(frame.sort(keys), folder / table / name, ROW_GROUP)
        state = pl.DataFrame(self.state, schema=STATE).sort("podcast_key")
        write_state(state, folder / "state.parquet", Generation(1))


_frames: dict[int, pl.DataFrame] = {}


def _frame_of(number: int, episodes: Sequence[Record]) -> pl.DataFrame:
    if number not in _frames:
        _frames[number] = pl.DataFrame([{**row, "generation": 1} for row in episodes], schema=EPISODES)
    return _frames[number]


# --- the sweep, a process of its own


def _sweep(data: Path, port: int) -> None:
    from ingest.feeds.fetch import FetchSettings
    from ingest.feeds.sweep import SweepSettings, sweep
    from ingest.logs.prefixes import PrefixRules
    from registry.database import connect
    from registry.tracker import leased

    fetch = FetchSettings(
        test_hosts=frozenset({"127.0.0.0/8"}), resolve=dict.fromkeys(world.hosts(), f"127.0.0.1:{port}")
    )
    settings = SweepSettings(budget_s=3600, tick_s=0, fetch=fetch)
    with leased(connect(None, data), range(SHARDS)) as tracker:
        swept = sweep(
            data / "lake", tracker.shards, tracker, settings, PrefixRules.built_in(), lambda: NOW_US
        )
    failures: Counter[str] = swept.counted("failures")
    print(
        orjson.dumps(
            {
                "seconds": swept.seconds,
                **{name: swept.total(name) for name in ("polled", "unchanged", "audits", "mismatches")},
                "failures": dict(failures),
            }
        ).decode()
    )


if __name__ == "__main__":
    _sweep(Path(sys.argv[1]), int(sys.argv[2]))
