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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import polars as pl

from bench import feeds_world as world
from bench.feeds_server import serving
from bench.measure import Cost, measured, median, python
from bench.report import Figures, cache, say, show
from earshot.made_up.feeds.content import HOUR
from earshot.made_up.feeds.truth import observed
from ingest.durable import replacing
from ingest.feeds.crawl import new_state, scheduled
from ingest.feeds.detect import Previous, detect
from ingest.feeds.diff import record_hash
from ingest.feeds.episodes import enclosures_of
from ingest.feeds.identity import episode_key
from ingest.feeds.parse import parse_feed
from ingest.feeds.schedule import next_due
from ingest.feeds.schema import EPISODES, ITEMS, PODCAST_CONTENT, PODCASTS, SHARDS, STATE, Record
from ingest.feeds.state import ROW_GROUP, TABLES, Generation, Shard, folder_of, write_state
from ingest.feeds.urls import podcast_key
from ingest.lake import utc_now_us, write_parquet
from ingest.schema import Schema
from registry.database import connected
from registry.leases import claim, release
from registry.podcasts import Crawled, record_crawl
from registry.shards import saw, versions

DUE = 60_000
NOW_US = world.START_US + HOUR
VERSION = "6"  # of the prepared state; raised with a column of the frames


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
        templates = {world.template_of(number) for number in range(due)}
        exemplars = {template: _exemplar(template) for template in templates}
        say(f"writing what is known of {due:,} due podcasts, once ...")
        _write_known(folder / "lake", due, exemplars)
        say("telling the registry what the sweeps of before learnt, once ...")
        _tell(folder)
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


@dataclass(frozen=True)
class _Exemplar:
    """A podcast as the product took its document in: it stands for all of its template."""

    number: int
    state: Record
    rows: world.Rows


def _exemplar(template: int) -> _Exemplar:
    number = world.exemplar_of(template)
    url = world.url_of(number)
    then_us = NOW_US - 24 * HOUR
    parsed = parse_feed(world.body(number, as_held=True), url, None, now_us=then_us)
    canonical = {enclosure: enclosure for enclosure in enclosures_of(parsed)}
    state = new_state(podcast_key(url), url)
    found = detect(Previous(state), parsed, url, then_us, canonical)
    assert found.podcast and found.items
    state = found.state | {"polls": 1, "polled_us": then_us, "fetched_us": then_us, "status": 200}
    rows = world.Rows(
        _first([found.podcast], PODCASTS), _first([found.items], ITEMS), _first(found.episodes, EPISODES)
    )
    return _Exemplar(number, scheduled(state, next_due(state, then_us, 0.0)), rows)


def _first(rows: Sequence[Record], schema: Schema) -> pl.DataFrame:
    return pl.DataFrame([row | {"generation": 1} for row in rows], schema=schema)


def _write_known(lake: Path, due: int, exemplars: Mapping[int, _Exemplar]) -> None:
    """The shards as sweeps of a day before left them."""
    held = world.held(pl.int_range(world.PODCASTS, eager=True)).with_columns(
        podcast_key=pl.Series([podcast_key(world.url_of(n)) for n in range(world.PODCASTS)], dtype=pl.Int64)
    )
    by_shard = held.group_by(pl.col("podcast_key") & (SHARDS - 1))
    for done, ((shard,), podcasts) in enumerate(by_shard, 1):
        folder = folder_of(lake, int(shard))
        state, numbers = [], defaultdict(list)
        for row in podcasts.iter_rows(named=True):
            number = row.pop("number")
            if number < due:
                template = world.template_of(number)
                numbers[template].append(number)
                state.append(exemplars[template].state | row | {"next_due_us": NOW_US})
            else:
                rest = {"polls": 1, "polled_us": NOW_US - HOUR, "tier": "regular"}
                later = {"next_due_us": NOW_US + 6 * HOUR}
                state.append(new_state(row["podcast_key"], row["feed_url"]) | row | rest | later)
        known = [_rows_of(exemplars[template], of_template) for template, of_template in numbers.items()]
        for table, (schema, keys) in TABLES.items():
            none = pl.DataFrame(schema=schema)
            rows = pl.concat([none, *(getattr(each, table) for each in known)]).sort(keys)
            write_parquet(rows, folder / table / "0000000001.all.parquet", ROW_GROUP)
        write_state(
            pl.DataFrame(state, schema=STATE).sort("podcast_key"), folder / "state.parquet", Generation(1)
        )
        if done % 32 == 0:
            say(f"  {done} of {SHARDS} shards")


def _tell(data: Path) -> None:
    """The registry as those sweeps left it: it knows the guids, and they saw all that was registered."""
    with connected(None, data) as engine:
        for shard, version in versions(engine).items():
            known = Shard(data / "lake", shard)
            records = known.podcasts(known.state()["podcast_key"].to_list(), ("podcast_guid", "guid_source"))
            learnt = [
                Crawled(
                    key, podcast_guid=row["podcast_guid"], is_guid_declared=row["guid_source"] == "declared"
                )
                for key, row in records.items()
            ]
            saw(engine, shard, version + (record_crawl(engine, learnt) > 0), generation=1)
        release(engine, claim(engine, "the sweeps of before", range(SHARDS), 60, utc_now_us()))


def _rows_of(exemplar: _Exemplar, numbers: Sequence[int]) -> world.Rows:
    rows = world.previous_rows(exemplar.rows, exemplar.number, numbers, podcast_key, episode_key)
    hashes = [record_hash(row, PODCAST_CONTENT) for row in rows.podcasts.iter_rows(named=True)]
    podcasts = rows.podcasts.with_columns(record_hash=pl.Series(hashes, dtype=pl.Int64))
    return replace(rows, podcasts=podcasts)


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
    with leased(connect(None, data), data / "lake", range(SHARDS)) as tracker:
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
