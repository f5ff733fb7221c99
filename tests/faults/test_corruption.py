"""Bytes that change on the disk: found by their checksum, mended from landing and copy, or told as lost."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path

import duckdb
import polars as pl
import pytest

from earshot.doctor import _warehouse
from earshot.finding import Verdict
from earshot.pipeline import build_marts
from ingest import checksums
from ingest.catalog import take_in_catalog
from ingest.compaction import compact
from ingest.damage import reason
from ingest.lake import LEDGER_COPY, Lake, LakeDamaged, write_parquet
from ingest.ledger_copy import renew
from ingest.logs.intake import AGAIN, MARKS, take_in
from ingest.logs.keyring import KeyRing, key_epochs
from ingest.repair import ASIDE, Repaired, repair
from ingest.retention import expire
from ingest.schema import DAY_US, KEPT
from ingest.settings import Settings
from ingest.suppression import SUPPRESSED, Suppressions
from ingest.verify import verify
from orchestration.maintaining import maintain
from tests.faults.lake_scenarios import AFTER, LATER_US, fill, lake_facts, settings_in, take
from tests.ingest.samples import NOON_S, land, nginx
from tests.registry.command_line import Earshot, typed

__all__ = ["typed"]


def flip(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :]


def cut(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content))]


def zero(content: bytes, dice: random.Random) -> bytes:
    """A block that never came to the disk."""
    at = dice.randrange(4, len(content) - 4)
    length = min(len(content) - at, dice.choice([16, 512, 4096]))
    return content[:at] + bytes(length) + content[at + length :]


HOWS: list[Callable[[bytes, random.Random], bytes]] = [flip, cut, zero]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("whole") / "data"
    fill(settings_in(data))
    take(settings_in(data))
    return data


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "data")
    return tmp_path / "data"


def spoil(path: Path, dice: random.Random) -> None:
    before = path.read_bytes()
    while path.read_bytes() == before:
        path.write_bytes(dice.choice(HOWS)(before, dice))


def files(data: Path, *tops: str) -> list[Path]:
    """Of the lake with rows, below these folders."""
    return [
        path
        for top in tops
        for path in sorted((data / "lake" / top).rglob("*.parquet"))
        if path.name != "_empty.parquet"
    ]


def mended(settings: Settings) -> Repaired:
    return repair(settings, verify(settings.lake_dir), LATER_US + 1)


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
