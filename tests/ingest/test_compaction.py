"""Merged lake files hold the rows of the small ones, once, at every moment; and give them back."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ingest import compaction
from ingest.compaction import ASIDE, compact, expand
from ingest.lake import Lake, reading
from ingest.logs.found import find_landing_files
from ingest.logs.listeners import KeyRing
from ingest.retention import expire
from ingest.schema import REQUESTS, REQUESTS_ORDER
from ingest.settings import Settings
from tests.ingest.samples import ADDRESS, NOON_S, NOW_US, cloudfront, cloudfront_header, land, nginx
from tests.ingest.samples import settings_of as plain_settings
from tests.ingest.samples import take as taken
from tests.ingest.test_restate import again, log, stored

DAY = date(2026, 9, 29)
NEXT = DAY + timedelta(days=1)
AFTER = DAY + timedelta(days=9)
TAKEN_IN_US = NOW_US + 3 * 86_400_000_000
SEGMENT = 4096  # bytes: some of the files below are cut


def take(settings: Settings, *files: Any, **options: Any) -> None:
    taken(settings, *files, keyring=KeyRing(settings.keys_dir), **{"now_us": TAKEN_IN_US} | options)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two days of two sources: several files, one of several segments, one held back, one a duplicate."""
    settings = plain_settings(tmp_path_factory.mktemp("original"), segment_bytes=SEGMENT)
    lines = [nginx(id=f"x{i}", ts=f"{NOON_S + i}.5", uri=f"/show/{i % 4}.mp3") for i in range(12)]
    take(
        settings,
        land(settings, log()),
        land(settings, "".join(lines), name="b.log"),
        land(settings, log(), name="the same as a.log"),
        land(settings, "".join(lines[:3]) + "torn\n" * 30, name="held.log"),
        land(settings, cloudfront_header() + cloudfront(), "edge"),
        land(settings, cloudfront_header() + cloudfront(c_ip="203.0.113.8"), "edge", "b.log"),
    )
    ledger = Lake(settings.lake_dir).ledger()
    assert sorted(ledger["status"].unique()) == ["duplicate", "held", "taken"]
    assert len(list((settings.lake_dir / "requests").glob("day=*/cdn.*.0001.parquet"))) > 0
    return settings


@pytest.fixture
def settings(original: Settings, tmp_path: Path) -> Settings:
    """A copy of it."""
    shutil.copytree(original.data, tmp_path / "data")
    return original.model_copy(update={"data": tmp_path / "data"})


def rows(settings: Settings) -> pl.DataFrame:
    """Every row that lies in the lake, in a fixed order, as any reader of Parquet finds it."""
    pattern = settings.lake_dir / "requests" / "*" / "*.parquet"
    found = pl.scan_parquet(pattern, hive_partitioning=True, hive_schema={"day": pl.Date})
    return found.sort("source", "file_id", "line_number").collect()


def files(settings: Settings) -> dict[str, bytes]:
    root = settings.lake_dir / "requests"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.glob("*/*.parquet"))}


def merged(settings: Settings) -> list[str]:
    return [name for name in files(settings) if ".compacted." in name]


@pytest.mark.parametrize("rows_a_file", [1_000_000, 7])
def test_a_compacted_lake_has_the_same_rows_in_order_and_gives_the_files_back(
    settings: Settings, rows_a_file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "ROWS_A_FILE", rows_a_file)
    lake, before, small = Lake(settings.lake_dir), rows(settings), files(settings)
    done = compact(lake, AFTER)
    assert_frame_equal(rows(settings), before)
    assert_frame_equal(
        lake.requests().sort("file_id", "line_number").collect(),
        before.join(lake.ledger().filter(status="taken"), on=["source", "file_id"], how="semi").sort(
            "file_id", "line_number"
        ),
    )
    folder = settings.lake_dir / "requests"
    query = f"select count(*) from read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
    assert duckdb.sql(query).fetchall() == [(before.height,)]
    assert {(each.day, each.source) for each in done} == {(DAY, "cdn"), (NEXT, "cdn"), (DAY, "edge")}
    assert len(merged(settings)) == sum(each.files_after for each in done)
    assert (len(merged(settings)) == 3) is (rows_a_file > 7)
    for name in merged(settings):
        frame = pl.read_parquet(folder / name, hive_partitioning=False)
        assert frame.schema == REQUESTS
        assert_frame_equal(frame, frame.sort([*REQUESTS_ORDER, "file_id"]))
    once = files(settings)
    assert compact(lake, AFTER) == [] and files(settings) == once
    expand(lake, lake.event_days())
    assert files(settings) == small
    compact(lake, AFTER)
    assert files(settings) == once


def test_days_after_the_limit_and_what_intake_may_write_again_stay_as_they_are(settings: Settings) -> None:
    lake, small = Lake(settings.lake_dir), files(settings)
    held = lake.ledger().filter(status="held")["file_id"][0]
    other = lake.ledger().filter(file_name="b.log", source="cdn")["file_id"][0]
    (lake.root / ".intake" / f"cdn.{other}").touch()
    compact(lake, DAY)
    left = {name: data for name, data in files(settings).items() if name in small}
    of_day = {name for name in small if name.startswith(f"day={DAY}")}
    assert left.items() <= small.items()
    assert small.keys() - left.keys() <= of_day
    assert {name for name in of_day if f".{held}." in name or f".{other}." in name} <= left.keys()
    assert merged(settings)


def test_a_late_file_is_merged_with_what_was_merged(settings: Settings) -> None:
    lake = Lake(settings.lake_dir)
    compact(lake, AFTER)
    former = merged(settings)
    take(settings, land(settings, nginx(id="late", ts=f"{NOON_S + 9}.0"), name="late.log"))
    before = rows(settings)
    (done,) = compact(lake, AFTER)
    assert (done.day, done.source, done.files_before, done.files_after) == (DAY, "cdn", 2, 1)
    assert_frame_equal(rows(settings), before)
    assert len(merged(settings)) == len(former) and merged(settings) != former


def test_restating_and_taking_in_again_do_on_compacted_days_what_they_do_on_others(
    settings: Settings, tmp_path: Path
) -> None:
    shutil.copytree(settings.data, tmp_path / "other")
    plain = settings.model_copy(update={"data": tmp_path / "other"})
    changes: list[Callable[[Settings], Any]] = [
        lambda mine: take(mine, *find_landing_files(mine), force=True),
        lambda mine: again(mine.model_copy(update={"prefix_hosts": "media.example.fm"}), DAY, NEXT),
        # Its content was replaced by what cannot be read: its rows go.
        lambda mine: take(
            mine.model_copy(update={"max_file_bytes": 1024}), *find_landing_files(mine), force=True
        ),
        lambda mine: take(mine, *find_landing_files(mine)),
    ]
    for change in changes:
        compact(Lake(settings.lake_dir), AFTER)
        assert merged(settings)
        change(settings)
        change(plain)
        assert_frame_equal(rows(settings), rows(plain))
        ledgers = [Lake(each.lake_dir).ledger().sort("source", "file_name") for each in (settings, plain)]
        assert_frame_equal(*ledgers)
    expand(Lake(settings.lake_dir), [DAY, NEXT])
    ours, theirs = stored(settings), stored(plain)
    assert ours.keys() == theirs.keys()
    for name, frame in theirs.items():
        assert_frame_equal(ours[name], frame)


class Killed(BaseException):
    """As if the process had ended here."""


def steps(monkeypatch: pytest.MonkeyPatch, die_at: int) -> Iterator[int]:
    """Every call that changes the file system, from here on; the `die_at`th one does not come back."""
    count = 0
    for owner, name in (
        (os, "link"), (os, "mkdir"), (os, "rename"), (os, "replace"), (os, "unlink"), (os, "rmdir"),
        (os, "fsync"), (compaction, "exchange"), (shutil, "rmtree"),
    ):  # fmt: skip
        real = getattr(owner, name)

        def step(*args: Any, real: Any = real, **options: Any) -> Any:
            nonlocal count
            count += 1
            # Dead processes tidy nothing up: whatever they would do on their way out does not happen either.
            if count >= die_at:
                raise Killed
            return real(*args, **options)

        monkeypatch.setattr(owner, name, step)
    while True:
        yield count


def work(settings: Settings, what: str) -> None:
    lake = Lake(settings.lake_dir)
    if what == "compact":
        compact(lake, AFTER)
    elif what == "expand":
        expand(lake, lake.event_days())
    else:
        counted = lake.ledger().select("source", "file_id").rows()
        expire(lake, 2, NOON_S * 10**6 + 3 * 86_400_000_000, counted)


@pytest.mark.parametrize("what", ["compact", "expand", "expire"])
def test_killed_at_any_step_the_lake_has_whole_rows_once_and_the_next_run_ends_it(
    original: Settings, tmp_path: Path, what: str
) -> None:
    mine = original.model_copy(update={"data": tmp_path / "data"})
    start = tmp_path / "start"
    shutil.copytree(original.data, mine.data)
    if what == "expand":
        work(mine, "compact")
    shutil.move(mine.data, start)
    shutil.copytree(start, mine.data)
    before = rows(mine)
    work(mine, what)
    wanted, after = files(mine), rows(mine)
    allowed = [before, after] if what == "expire" else [before]
    died = 0
    while True:
        shutil.rmtree(mine.data)
        shutil.copytree(start, mine.data)
        with pytest.MonkeyPatch.context() as patch:
            counter = steps(patch, died + 1)
            next(counter)
            try:
                work(mine, what)
            except Killed:
                died += 1
            else:
                break
        found = rows(mine)
        assert any(found.equals(frame) for frame in allowed), died
        kept = Lake(mine.lake_dir).first_kept_day()
        assert kept is not None or found.equals(before)
        work(mine, what)
        assert files(mine) == wanted, died
        compact(Lake(mine.lake_dir), date.min)
        assert not (mine.lake_dir / ASIDE).exists()
    assert died > 10


def test_files_do_not_go_away_under_a_reader(settings: Settings) -> None:
    lake, small = Lake(settings.lake_dir), files(settings)
    work = threading.Thread(target=compact, args=(lake, AFTER))
    with reading(lake.root), reading(lake.root):
        work.start()
        work.join(0.5)
        assert work.is_alive() and files(settings) == small
    work.join(30)
    assert merged(settings)


def test_what_is_too_old_and_counted_goes_and_nothing_else(settings: Settings) -> None:
    lake, before, ledger = Lake(settings.lake_dir), rows(settings), Lake(settings.lake_dir).ledger()
    now_us = NOON_S * 10**6 + 3 * 86_400_000_000
    counted = set(ledger.select("source", "file_id").iter_rows())
    (uncounted,) = ledger.filter(file_name="b.log", source="cdn").select("source", "file_id").rows()
    waits = expire(lake, 2, now_us, counted - {uncounted})
    assert (waits.waiting, waits.days, waits.first_kept_day) == (1, 0, None)
    assert expire(lake, 3, now_us, counted).days == 0
    assert_frame_equal(rows(settings), before)
    done = expire(lake, 2, now_us, counted)
    gone = before.filter(pl.col("day") < NEXT)
    assert (done.days, done.requests, done.first_kept_day) == (1, gone.height, NEXT)
    assert_frame_equal(rows(settings), before.filter(pl.col("day") >= NEXT))
    assert lake.ledger()["days"].explode().drop_nulls().unique().to_list() == [NEXT]
    key = ["source", "file_name", "file_id"]
    unchanged = [name for name in ledger.columns if name != "days"]
    assert_frame_equal(lake.ledger().sort(key)[unchanged], ledger.sort(key)[unchanged])
    assert done.rejects == 1  # of held.log; a.log has requests of the next day
    assert lake.rejects().collect()["file_name"].unique().to_list() == ["a.log"]
    assert expire(lake, 2, now_us, counted).days == 0
    # A later line of a day that is gone would be all there is of it.
    text = nginx(id="late", ts=f"{NOON_S + 9}.0") + nginx(id="new", ts=f"{NOON_S + 86_400}.0", ip=ADDRESS)
    take(settings, land(settings, text, name="late.log"))
    late = lake.ledger().filter(file_name="late.log").select("status", "requests", "rejects", "days")
    assert late.rows() == [("taken", 1, 1, [NEXT])]
    reasons = lake.rejects().filter(file_name="late.log").collect()["reason"]
    assert reasons.to_list() == [f"older than what is kept: before {NEXT} (setting keep_days)"]
    everything = expire(
        lake, 0, now_us + 400 * 86_400_000_000, set(lake.ledger()[["source", "file_id"]].rows())
    )
    assert rows(settings).height == 0 and everything.rejects > 0
    assert lake.rejects().collect().height == 0
