"""What the lake keeps beside rows, damaged or gone: ledger, lists, catalogue, layout, checksums."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from earshot.doctor import _warehouse
from earshot.finding import Verdict
from earshot.pipeline import build_marts
from ingest import checksums
from ingest.catalog import take_in_catalog
from ingest.damage import reason
from ingest.lake import LEDGER_COPY, Lake, LakeDamaged, write_parquet
from ingest.ledger_copy import renew
from ingest.repair import ASIDE, repair
from ingest.schema import KEPT
from ingest.suppression import SUPPRESSED, Suppressions
from ingest.verify import verify
from orchestration.maintaining import maintain
from tests.faults.lake_scenarios import LATER_US, lake_facts, settings_in, take
from tests.faults.spoiling import HOWS, data, files, flip, mended, original, spoil
from tests.registry.command_line import Earshot, typed

__all__ = ["data", "original", "typed"]


def test_the_copy_of_the_ledger_is_mended_by_the_ledger(data: Path) -> None:
    (first, *_) = files(data, LEDGER_COPY)
    spoil(first, random.Random(1))
    assert mended(settings_in(data)).lost == []
    assert verify(data / "lake").is_whole


def test_a_copy_of_the_ledger_that_is_gone_or_older_is_made_again_but_never_of_a_damaged_one(
    data: Path,
) -> None:
    lake = Lake(data / "lake")
    first, other = files(data, "files")
    twins = [
        data / "lake" / LEDGER_COPY / path.relative_to(data / "lake" / "files") for path in (first, other)
    ]
    assert renew(lake) == 0
    twins[0].unlink()
    kept = twins[1].read_bytes()
    spoil(other, random.Random(1))
    assert renew(lake) == 1
    assert twins[0].read_bytes() == first.read_bytes() and twins[1].read_bytes() == kept


@pytest.mark.parametrize("how", HOWS, ids=lambda how: how.__name__)
def test_with_a_damaged_ledger_nothing_is_taken_in_twice_and_one_message_says_what_to_do(
    data: Path, how: Callable[[bytes, random.Random], bytes]
) -> None:
    """Also where Parquet itself notices nothing."""
    settings, before = settings_in(data), lake_facts(data)
    (of_cdn,) = [path for path in files(data, "files") if path.name == "cdn.parquet"]
    of_cdn.write_bytes(how(of_cdn.read_bytes(), random.Random(2)))
    with pytest.raises(LakeDamaged, match=r"cdn.parquet is damaged .*`earshot verify --repair`"):
        take(settings)
    assert mended(settings).lost == []
    assert lake_facts(data) == before


def test_a_ledger_file_that_is_gone_stops_all_that_would_go_on_without_it_and_its_copy_puts_it_back(
    data: Path,
) -> None:
    settings, before = settings_in(data), lake_facts(data)
    (of_cdn,) = [path for path in files(data, "files") if path.name == "cdn.parquet"]
    row = Lake(data / "lake").ledger().filter(source="cdn").head(1)
    held = of_cdn.read_bytes()
    of_cdn.unlink()
    gone = r"cdn.parquet is damaged \(it is not there any more\).*`earshot verify --repair`"
    with pytest.raises(LakeDamaged, match=gone):
        take(settings)
    with pytest.raises(LakeDamaged, match=gone):
        Lake(data / "lake").record(row)
    with pytest.raises(LakeDamaged, match=gone):
        build_marts(settings)
    assert renew(Lake(data / "lake")) == 0
    (damage,) = verify(data / "lake").damaged
    assert damage.path == of_cdn.relative_to(data / "lake")
    assert mended(settings).lost == []
    assert of_cdn.read_bytes() == held and lake_facts(data) == before
    assert verify(data / "lake").is_whole


@pytest.mark.parametrize("calls_before_the_kill", range(6))
def test_a_repair_that_is_killed_leaves_both_names_of_the_ledger_for_the_next(
    data: Path, calls_before_the_kill: int
) -> None:
    settings, before = settings_in(data), lake_facts(data)
    (of_cdn,) = [path for path in files(data, "files") if path.name == "cdn.parquet"]
    spoil(of_cdn, random.Random(6))
    found, calls = verify(settings.lake_dir), iter(range(100))
    if pid := os.fork():
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status)
    else:
        names = {"link", "replace", "rename", "fsync", "open", "unlink"}

        def dies(frame: object, event: str, function: object) -> None:
            named = getattr(function, "__name__", "")
            if event == "c_call" and named in names and next(calls) == calls_before_the_kill:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(dies)
        try:
            repair(settings, found, LATER_US + 1)
        finally:
            os._exit(0)
    assert of_cdn.exists()
    mended(settings)
    assert lake_facts(data) == before and verify(data / "lake").is_whole


def test_with_both_of_the_ledger_damaged_nobody_is_sent_to_a_repair_that_cannot_be(data: Path) -> None:
    (of_cdn,) = [path for path in files(data, "files") if path.name == "cdn.parquet"]
    for path in (of_cdn, data / "lake" / LEDGER_COPY / of_cdn.parent.name / of_cdn.name):
        spoil(path, random.Random(2))
    with pytest.raises(LakeDamaged, match=r"that of a backup is in its place") as refused:
        take(settings_in(data))
    why, advice = reason(refused.value)
    assert "--repair" not in why + advice and "earshot restore" in advice
    done = mended(settings_in(data))
    assert done.mended == [] and len(done.lost) == 2


def test_a_layout_that_is_no_text_is_told_in_words(data: Path, typed: Earshot) -> None:
    (data / "lake" / "FORMAT").write_bytes(b"\x80\n")
    said = typed("verify")
    assert said.code == 1 and "FORMAT is damaged" in said.err and "Traceback" not in said.err


def test_a_lake_whose_layout_is_lost_is_not_sent_away(data: Path, typed: Earshot) -> None:
    (data / "lake" / "FORMAT").unlink()
    for command in ("verify", "maintain"):
        said = typed(command)
        assert said.code == 1 and "need not be lost" in said.err and "landing" not in said.err
    (data / "lake" / "FORMAT").write_text("2")
    assert typed("verify").code == 0


@pytest.mark.parametrize("name", ["suppressed.parquet", "catalog/episodes.parquet"])
def test_a_file_of_an_old_backup_whose_checksum_nobody_knows_any_more_is_accepted_on_demand(
    data: Path, typed: Earshot, name: str
) -> None:
    suppress(data)
    lake = Lake(data / "lake")
    path, old = lake.root / name, (lake.root / name).read_bytes()
    if name.startswith("catalog"):
        write_parquet(pl.read_parquet(path), path, metadata={"of": "later"})
    else:
        more = Suppressions.load(lake.root).rows.with_columns(pl.col("first_us") - 1)
        Suppressions.load(lake.root).with_more(more).write(lake.root)
    for folder in (lake.root / ".checksums", lake.root / ".checksums" / "twin"):
        for each in folder.glob("20*.txt"):
            each.rename(folder / "2026-01.txt")
    assert typed("verify").code == 0  # forgets what is not there any more
    path.write_bytes(old)
    if name == "suppressed.parquet":
        spoil(lake.root / LEDGER_COPY / name, random.Random(1))
        with pytest.raises(LakeDamaged, match="--accept FILE"):
            Suppressions.load(lake.root)
    assert typed("verify").code == 1
    assert typed("verify", "--accept", str(path)).code == 0
    assert path.read_bytes() == old and Suppressions.load(lake.root).rows.height == 1
    assert typed("verify").code == 0
    assert typed("verify", "--accept", str(data / "registry.db")).code == 2


def test_where_no_request_was_removed_for_its_age_a_repair_does_not_say_so(data: Path) -> None:
    lake = Lake(data / "lake")
    spoil(lake.kept_path, random.Random(1))
    assert mended(settings_in(data)).lost == []
    assert lake.first_kept_day() is None  # else later logs of earlier days would be refused


def test_the_doctor_opens_the_warehouse(data: Path) -> None:
    settings = settings_in(data)
    duckdb.connect(str(settings.warehouse)).close()
    assert _warehouse(settings).verdict is Verdict.FINE
    holds = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(settings.warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout and other.stdout.readline() == b"held\n"
        found = _warehouse(settings)
        other.communicate()
    assert found.verdict is Verdict.FINE and "in use" in found.found
    with settings.warehouse.open("r+b") as file:
        file.write(b"\0" * 16)
    found = _warehouse(settings)
    assert found.verdict is Verdict.WRONG and "cannot be opened" in found.found


def suppress(data: Path) -> Path:
    row = {"erasure": "0" * 12, "key_epoch": 1, "address_key": 2, "first_us": 0, "end_us": 1}
    rows = pl.DataFrame([{**dict.fromkeys(SUPPRESSED), **row}], schema=SUPPRESSED)
    Suppressions.none().with_more(rows).write(data / "lake")
    return data / "lake" / "suppressed.parquet"


@pytest.mark.parametrize("harm", ["gone", "flipped"])
def test_the_list_of_the_erased_is_kept_twice_and_nothing_is_taken_in_without_it(
    data: Path, harm: str
) -> None:
    settings, path = settings_in(data), suppress(data)
    assert verify(settings.lake_dir).is_whole
    held = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(flip(held, random.Random(3)))
    with pytest.raises(LakeDamaged, match=r"suppressed.parquet is damaged"):
        take(settings)
    assert [str(one.path) for one in verify(settings.lake_dir).damaged] == ["suppressed.parquet"]
    assert mended(settings).lost == []
    assert path.read_bytes() == held and path.stat().st_mode & 0o777 == 0o600
    assert (data / "lake" / LEDGER_COPY / path.name).stat().st_mode & 0o777 == 0o600
    assert verify(settings.lake_dir).is_whole


def test_the_list_of_the_erased_and_its_copy_gone_are_told_and_only_a_backup_has_it(data: Path) -> None:
    path = suppress(data)
    for each in (path, data / "lake" / LEDGER_COPY / path.name):
        each.unlink()
    with pytest.raises(LakeDamaged, match=r"suppressed.parquet is damaged"):
        take(settings_in(data))
    (lost,) = mended(settings_in(data)).lost
    assert lost.startswith("suppressed.parquet: it is not there any more") and "only a backup has it" in lost


def test_a_catalogue_or_a_list_that_is_gone_is_told_and_made_again_where_it_can_be(data: Path) -> None:
    settings = settings_in(data)
    csv = data / "landing" / "catalog" / "episodes.csv"
    csv.parent.mkdir()
    csv.write_text("episode_id,show_id,enclosure_url\ne1,s1,https://media.example.com/1.mp3\n")
    take_in_catalog([csv], Lake(data / "lake"))
    before = lake_facts(data)
    catalogue, (rules,) = data / "lake" / "catalog" / "episodes.parquet", files(data, "rules")
    catalogue.unlink()
    rules.unlink()
    with pytest.raises(LakeDamaged, match=r"episodes.parquet is damaged"):
        build_marts(settings)
    assert [str(one) for one in verify(settings.lake_dir).damaged] == [
        "catalog/episodes.parquet: it is not there any more",
        f"rules/{rules.name}: it is not there any more",
    ]
    done = mended(settings)
    assert done.lost == [] and len(done.mended) == 2
    assert lake_facts(data) == before and verify(settings.lake_dir).is_whole
    older = rules.with_name("0123456789ab.parquet")
    write_parquet(pl.read_parquet(rules), older)
    older.unlink()
    (lost,) = mended(settings).lost
    assert lost.startswith("rules/0123456789ab.parquet: it is not there any more; only a backup has it")


def test_which_days_are_kept_is_made_again_of_the_days_that_are_there(data: Path) -> None:
    lake = Lake(data / "lake")
    write_parquet(pl.DataFrame([(lake.event_days()[0], 1)], KEPT, orient="row"), lake.kept_path)
    lake.kept_path.unlink()
    assert mended(settings_in(data)).lost == []
    assert lake.first_kept_day() == lake.event_days()[0]


def lists(data: Path) -> list[Path]:
    return sorted((data / "lake" / checksums.FOLDER).glob("*.txt"))


@pytest.mark.parametrize("how", ["gone", *HOWS], ids=lambda how: getattr(how, "__name__", how))
def test_a_damaged_list_of_checksums_has_a_twin_that_mends_it(
    data: Path, how: str | Callable[[bytes, random.Random], bytes]
) -> None:
    (first,) = lists(data)
    held = first.read_bytes()
    if callable(how):
        first.write_bytes(how(held, random.Random(4)))
    else:
        first.unlink()
    found = verify(data / "lake")
    assert found.is_whole and not found.relisted
    shutil.rmtree(data / "lake" / checksums.FOLDER / checksums.TWIN)
    assert verify(data / "lake").is_whole
    spoil(files(data, "requests")[0], random.Random(8))
    assert len(verify(data / "lake").damaged) == 1


def test_without_both_lists_a_healthy_lake_is_not_cleared_and_what_cannot_be_read_is_still_named(
    data: Path,
) -> None:
    settings, before = settings_in(data), lake_facts(data)
    shutil.rmtree(settings.landing_dir)
    for path in (data / "lake" / checksums.FOLDER).rglob("*.txt"):
        path.write_bytes(path.read_bytes()[:100])
    one = files(data, "requests")[0]
    held = one.read_bytes()
    one.write_bytes(held[: len(held) // 2])
    found = verify(data / "lake")
    assert found.relisted > 10 and [data / "lake" / each.path for each in found.damaged] == [one]
    assert repair(settings, found, LATER_US + 1).lost
    assert one.exists() and not (data / ASIDE).exists()
    one.write_bytes(held)
    assert lake_facts(data) == before


def test_a_lake_of_before_checksums_is_read_whole_once_and_then_held_to_them(data: Path) -> None:
    shutil.rmtree(data / "lake" / ".checksums")
    first = verify(data / "lake")
    assert first.is_whole and first.adopted == len(
        {p.read_bytes() for p in (data / "lake").rglob("*.parquet")}
    )
    assert verify(data / "lake").adopted == 0
    spoil(files(data, "requests")[0], random.Random(8))
    assert len(verify(data / "lake").damaged) == 1


def test_maintenance_holds_a_lake_without_checksums_to_them_before_it_renews_the_ledgers_copy(
    data: Path,
) -> None:
    shutil.rmtree(data / "lake" / ".checksums")
    settings = settings_in(data)
    maintain(settings, Lake(settings.lake_dir), LATER_US, lambda *step: None)
    ledger = next(path for path in files(data, "files") if path.name == "cdn.parquet")
    copy = data / "lake" / LEDGER_COPY / ledger.parent.name / ledger.name
    good = copy.read_bytes()
    spoil(ledger, random.Random(3))
    with pytest.raises(LakeDamaged):
        maintain(settings, Lake(settings.lake_dir), LATER_US, lambda *step: None)
    assert copy.read_bytes() == good
