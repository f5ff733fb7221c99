"""Rows whose bytes change on the disk: found by their checksum, mended from landing, or told as lost."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path

import polars as pl
import pytest

from ingest.compaction import compact
from ingest.lake import Lake
from ingest.logs.intake import AGAIN, MARKS, take_in
from ingest.logs.keyring import KeyRing, key_epochs
from ingest.repair import ASIDE
from ingest.retention import expire
from ingest.schema import DAY_US
from ingest.settings import Settings
from ingest.verify import verify
from orchestration.maintaining import maintain
from tests.faults.lake_scenarios import AFTER, LATER_US, lake_facts, settings_in, take
from tests.faults.spoiling import HOWS, data, files, flip, mended, original, spoil
from tests.ingest.samples import NOON_S, land, nginx
from tests.registry.command_line import Earshot, typed

__all__ = ["data", "original", "typed"]


@pytest.mark.parametrize("how", HOWS, ids=lambda how: how.__name__)
def test_a_changed_file_is_named_wherever_it_changed_and_no_other_is(
    data: Path, how: Callable[[bytes, random.Random], bytes]
) -> None:
    dice = random.Random(11)
    assert verify(data / "lake").is_whole
    for path in sorted((data / "lake").rglob("*.parquet")):
        content = path.read_bytes()
        damaged = how(content, dice)
        if damaged == content:
            continue
        path.write_bytes(damaged)
        assert [one.path for one in verify(data / "lake").damaged] == [path.relative_to(data / "lake")]
        path.write_bytes(content)
    assert verify(data / "lake").is_whole


@pytest.mark.parametrize("seed", range(4))
def test_all_of_it_is_mended_from_landing_and_copy_row_by_row(data: Path, seed: int) -> None:
    settings, dice, before = settings_in(data), random.Random(seed), lake_facts(data)
    if seed % 2:
        compact(Lake(data / "lake"), AFTER)
    spoiled = [*files(data, "requests", "rejects", "files"), data / "lake" / "networks.parquet"]
    for path in dice.sample(spoiled, len(spoiled) // 2 + seed):
        spoil(path, dice)
    done = mended(settings)
    assert done.lost == [] and done.mended
    assert verify(settings.lake_dir).is_whole
    assert lake_facts(data) == before
    take(settings)
    assert lake_facts(data) == before


@pytest.mark.parametrize("seed", range(3))
def test_a_file_half_of_whose_days_were_removed_for_their_age_is_mended_to_the_last_row(
    data: Path, seed: int
) -> None:
    settings, lake = settings_in(data), Lake(data / "lake")
    days = (NOON_S - 86_400, NOON_S + 3600)
    texts = [nginx(id=f"o{i}", ts=f"{days[i > 40] + i}.5", uri="/show/1.mp3") for i in range(45)]
    take_in([land(settings, "".join(texts), name="two days.log")], settings, lake, now_us=LATER_US)
    ledger = lake.ledger()
    event_days = lake.event_days()
    late_us = int(datetime.combine(event_days[1], time(), UTC).timestamp() * 1e6)
    expire(lake, 30, late_us + 30 * DAY_US, list(ledger.select("source", "file_id").iter_rows()))
    assert lake.event_days() == event_days[1:]
    before = lake_facts(data)
    for path in files(data, "requests"):
        spoil(path, random.Random(seed))
    done = mended(settings)
    assert done.lost == [] and done.otherwise == []
    assert lake_facts(data) == before


def excluded(data: Path, addresses: str) -> Settings:
    folder = data.parent / "lists"
    folder.mkdir(exist_ok=True)
    (folder / "excluded_addresses.csv").write_text(addresses)
    return settings_in(data).model_copy(update={"reference_dir": folder})


def test_rows_are_mended_by_the_lists_that_judged_them_and_not_by_later_ones(data: Path) -> None:
    lake, before = Lake(data / "lake"), lake_facts(data)
    settings = excluded(data, "203.0.113.0/24\n")
    later = nginx(id="later", ts=f"{NOON_S + 7200}.5", uri="/show/1.mp3", ip="203.0.113.77")
    take_in([land(settings, later, name="z later.log")], settings, lake, now_us=LATER_US + 1)
    assert lake.requests().collect()["rules_version"].n_unique() == 2
    both = lake_facts(data)
    assert both["requests"] != before["requests"]
    path = next(path for path in files(data, "requests") if "edge" in path.name)
    spoil(path, random.Random(4))
    done = mended(settings)
    assert done.lost == [] and done.otherwise == []
    assert lake_facts(data) == both


def test_where_nobody_can_tell_which_lists_judged_rows_the_restatement_is_named(data: Path) -> None:
    settings = excluded(data, "203.0.113.0/24\n")
    later = nginx(id="later", ts=f"{NOON_S + 7200}.5", uri="/show/1.mp3")
    take_in([land(settings, later, name="z.log")], settings, Lake(data / "lake"), now_us=LATER_US + 1)
    for path in files(data, "requests"):
        spoil(path, random.Random(4))
    done = mended(settings)
    assert done.lost == []
    assert "earshot restate --from" in done.otherwise[0]


def test_a_file_that_would_be_held_today_is_not_called_mended(data: Path) -> None:
    settings = settings_in(data).model_copy(update={"min_rejects_to_hold": 1, "max_reject_share": 0.0})
    torn = "".join(nginx(id=f"t{i}", ts=f"{NOON_S + i}.5", uri="/show/1.mp3") for i in range(5)) + "torn\n"
    take_in([land(settings, torn, name="t.log")], settings_in(data), Lake(data / "lake"), now_us=LATER_US)
    fid = Lake(data / "lake").ledger().filter(pl.col("file_name") == "t.log")["file_id"][0]
    spoil(next(path for path in files(data, "requests") if fid in path.name), random.Random(2))
    (lost,) = mended(settings).lost
    assert "cdn/t.log: was taken, and now is held" in lost


def test_a_folder_of_the_lake_on_another_disk_is_read_mended_and_emptied_as_well(data: Path) -> None:
    settings, lake, before = settings_in(data), Lake(data / "lake"), lake_facts(data)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        if Path(memory).stat().st_dev == data.stat().st_dev:
            pytest.skip("this machine has one disk alone: no /dev/shm")
        elsewhere = Path(memory) / "requests"
        shutil.move(lake.root / "requests", elsewhere)
        (lake.root / "requests").symlink_to(elsewhere)
        (lake.root / "again").symlink_to(lake.root)
        whole = verify(lake.root)
        assert whole.is_whole and whole.files == len(list(lake.root.glob("*.parquet"))) + sum(
            len(list((lake.root / top).rglob("*.parquet")))
            for top in (path.name for path in lake.root.iterdir() if path.name != "requests")
            if (lake.root / top).is_dir() and top != "again"
        ) + len(list(elsewhere.rglob("*.parquet")))
        path = next(path for path in elsewhere.rglob("[!_]*.parquet"))
        spoil(path, random.Random(1))
        assert mended(settings).lost == [] and verify(lake.root).is_whole
        assert lake_facts(data) == before
        done = maintain(settings, lake, LATER_US + 400 * DAY_US, lambda *step: None)
        assert any("another disk" in note for note in done.notes)
        counted = list(lake.ledger().select("source", "file_id").iter_rows())
        assert expire(lake, 1, LATER_US + 400 * DAY_US, counted).days
        assert lake.event_days() == []


def test_rows_that_are_gone_are_told_and_mended_beside_a_file_that_cannot_be(
    data: Path, typed: Earshot
) -> None:
    before = lake_facts(data)
    (rules,) = files(data, "rules")
    spoil(rules, random.Random(1))
    for path in files(data, "requests"):
        path.unlink()
    gaps = verify(data / "lake").gaps
    assert {(gap.source, gap.file_name) for gap in gaps} >= {("cdn", "b.log"), ("edge", "b.log")}
    said = typed("verify", "--repair")
    assert said.code == 1 and "rules/" in said.err and "b.log: taken in again" in said.err
    assert verify(data / "lake").gaps == [] and lake_facts(data)["requests"] == before["requests"]


def test_a_killed_repair_of_merged_files_is_finished_by_one_more(data: Path, typed: Earshot) -> None:
    before = lake_facts(data)
    compact(Lake(data / "lake"), AFTER)
    merged, *others = files(data, "requests")
    spoil(merged, random.Random(2))
    (path,) = files(data, "rejects")[:1]
    spoil(path, random.Random(2))
    for other in others[:1]:
        other.unlink()  # as a repair that was killed had set it aside
    marks = data / "lake" / MARKS
    fid = Lake(data / "lake").ledger().filter(pl.col("file_name") == "b.log")["file_id"][0]
    (marks / f"cdn.{fid}").write_bytes(AGAIN)
    os.utime(marks / f"cdn.{fid}", (1, 1))
    assert typed("verify", "--repair").code == 0
    assert verify(data / "lake").is_whole and lake_facts(data) == before
    (marks / f"cdn.{fid}").write_bytes(AGAIN)
    os.utime(marks / f"cdn.{fid}", (1, 1))
    assert typed("verify", "--repair").code == 0
    assert list(marks.iterdir()) == []


def test_rows_whose_landing_file_is_gone_are_called_lost_and_the_rest_is_mended(data: Path) -> None:
    settings, before = settings_in(data), lake_facts(data)
    for path in files(data, "requests"):
        spoil(path, random.Random(5))
    shutil.move(settings.landing_dir / "cdn" / "b.log", data / "b.log")
    lost, *staying = mended(settings).lost
    assert "cdn/b.log: 12 requests are lost" in lost and "deliver it again under its name" in lost
    left = [one.path.as_posix() for one in verify(settings.lake_dir).damaged]
    assert left and sorted(left) == sorted(each.partition(":")[0] for each in staying)
    assert all(one.startswith("requests/") and ".log" not in one for one in left)
    shutil.copy2(data / "b.log", settings.landing_dir / "cdn" / "b.log")
    assert mended(settings).lost == []
    assert lake_facts(data) == before


def test_what_landing_does_not_hold_stays_where_it_is_and_the_backup_is_named(data: Path) -> None:
    (rules,) = files(data, "rules")
    spoil(rules, random.Random(3))
    changed = rules.read_bytes()
    (lost,) = mended(settings_in(data)).lost
    assert lost.startswith("rules/") and "only a backup has it" in lost and "earshot restore" in lost
    assert rules.read_bytes() == changed and not (data / ASIDE).exists()


@pytest.mark.parametrize("is_merged", [False, True], ids=["as taken in", "merged"])
def test_rows_of_a_destroyed_key_are_called_lost_and_their_file_stays(data: Path, is_merged: bool) -> None:
    settings = settings_in(data)
    if is_merged:
        compact(Lake(data / "lake"), AFTER)
    one = files(data, "requests")[0]
    spoil(one, random.Random(5))
    changed = one.read_bytes()
    epoch = min(key_epochs(Lake(data / "lake").event_days()))
    KeyRing.of(settings).destroy(epoch, LATER_US, "test")
    done = mended(settings)
    assert done.mended == [] and "or of the 30 days before, are destroyed" in done.lost[0]
    assert "stays where it is" in done.lost[-1]
    assert one.read_bytes() == changed and not (data / ASIDE / "requests").exists()


def test_keys_that_a_command_gives_are_asked_of_it(data: Path) -> None:
    before, vault = lake_facts(data), data.parent / "vault"
    (data / "keys").rename(vault)
    command = data.parent / "keys.sh"
    command.write_text(f"#!/bin/sh\n[ -f {vault}/epoch-$1.key ] || exit 3\ncat {vault}/epoch-$1.key\n")
    command.chmod(0o700)
    settings = settings_in(data).model_copy(update={"keys_command": str(command)})
    spoil(files(data, "requests")[0], random.Random(5))
    done = mended(settings)
    assert done.lost == [] and done.mended
    assert lake_facts(data) == before


def test_the_command_names_file_reason_and_what_to_do_and_then_does_it(
    data: Path, typed: Earshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_SEGMENT_BYTES", "4096")
    facts = lake_facts(data)
    path = files(data, "requests")[0]
    path.write_bytes(flip(path.read_bytes(), random.Random(4)))
    said = typed("verify")
    assert said.code == 1 and "`earshot verify --repair`" in said.err
    assert path.relative_to(data / "lake").as_posix() in said.err.replace("\n", "")
    said = typed("verify", "--repair")
    assert said.code == 0 and "taken in again" in said.err, said.err
    assert "all as they were written" in typed("verify").err
    assert lake_facts(data) == facts


def test_the_command_mends_in_one_go_what_is_damaged_and_what_lacks_beside_it(
    data: Path, typed: Earshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_SEGMENT_BYTES", "4096")
    facts, requests = lake_facts(data), files(data, "requests")
    spoil(files(data, "files")[0], random.Random(4))
    requests[0].unlink()  # only the ledger tells of it, which cannot be read
    said = typed("verify")
    assert said.code == 1 and "is looked at once they are mended" in said.err.replace("\n", " ")
    said = typed("verify", "--repair")
    assert said.code == 0 and "put back from" in said.err and "taken in again" in said.err, said.err
    assert "all as they were written" in typed("verify").err
    assert lake_facts(data) == facts
