"""A backup restored on an empty machine: the same marts; what is refused, killed, or goes on meanwhile."""

from __future__ import annotations

import fcntl
import json
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from earshot.backup.manifest import FILE, BackupError, Manifest
from earshot.backup.restore import restore
from earshot.backup.write import backup
from earshot.pipeline import reading
from earshot.rebuild import RequestsAreGone, rebuild
from ingest.feeds.state import folder_of, opened
from ingest.lake import LEDGER_COPY, READERS_LOCK, Lake, LakeDamaged, write_parquet
from ingest.ledger_copy import renew
from ingest.logs.intake import find_landing_files, take_in
from ingest.schema import KEPT
from ingest.settings import Settings
from ingest.verify import verify
from registry.database import connected
from registry.subscriptions import listing
from tests.dbt.lakes import marts
from tests.e2e.backup.conftest import House, quiet
from tests.orchestration.conftest import log_line
from tests.registry.command_line import Earshot
from tests.registry.webhook_rows import SECRET


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Path below → (time of change in ns, what is in it)."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in files
        if not path.name.startswith((".", "registry.db-"))  # locks, and SQLite's files beside its own
    }


def test_on_an_empty_machine_the_marts_are_the_same_after_a_rebuild(house: House, tmp_path: Path) -> None:
    saved = backup(house.settings, tmp_path / "saved", quiet)
    assert saved.linked and not saved.manifest.has_warehouse
    shutil.rmtree(house.settings.data)  # the machine is lost; links keep what they lead to
    empty = tmp_path / "elsewhere" / "data"
    restore(Settings(data=empty), tmp_path / "saved", empty, quiet)
    assert not (empty / "warehouse.duckdb").exists() and not (empty / "landing").exists()
    settings = Settings(data=empty)
    rebuild(settings, lambda counted, of: None)
    after = marts(settings.warehouse)
    assert after.keys() == house.marts.keys()
    different = [name for name, rows in house.marts.items() if after[name] != rows]
    assert different == [] and sum(map(len, after.values())) > 500
    with connected(None, empty) as engine:
        (subscription,) = listing(engine)
    assert subscription.secret == SECRET
    assert (empty / "sources.toml").read_text().startswith("[edge]")


def test_a_tar_file_and_a_folder_restore_the_same_and_neither_touches_the_original(
    house: House, tmp_path: Path
) -> None:
    before = contents(house.settings.data)
    for target in (tmp_path / "saved", tmp_path / "saved.tar"):
        backup(house.settings, target, quiet)
        restore(Settings(data=tmp_path / "r"), target, tmp_path / f"restored-{target.suffix}", quiet)
    assert contents(house.settings.data) == before
    one, other = contents(tmp_path / "restored-"), contents(tmp_path / "restored-.tar")
    assert one.keys() == other.keys()
    made_anew = {"registry.db"}
    made_anew |= {name for name in one if name.startswith("lake/.")}  # lists of checksums, the ledger's copy
    assert all(one[name] == other[name] for name in one.keys() - made_anew)
    lost = {name for name in before if name not in one and not name.startswith("lake/.")}  # made again
    tops = {name.split("/")[0] for name in lost}
    assert tops <= {
        "landing",
        "episodes.csv",
        "dbt",
        "warehouse.duckdb",
        "registry.db-wal",
        "registry.db-shm",
    }
    assert all(one[name] == before[name] for name in one.keys() - made_anew), "bytes and times"


def test_a_restored_lake_notices_damage_as_the_first_one_did(house: House, tmp_path: Path) -> None:
    backup(house.settings, tmp_path / "saved", quiet)
    restored = tmp_path / "restored"
    assert restore(Settings(data=restored), tmp_path / "saved", restored, quiet).is_whole
    lake = Lake(restored / "lake")
    ledger = next(path for path in (lake.root / "files").glob("*/[!_]*.parquet"))
    copy = lake.root / LEDGER_COPY / ledger.parent.name / ledger.name
    good = ledger.read_bytes()
    assert copy.read_bytes() == good
    at = next(at for at in range(len(good)) if _reads(_flipped(good, at)))
    ledger.write_bytes(_flipped(good, at))
    with pytest.raises(LakeDamaged, match="verify --repair"):
        lake.ledger()
    assert renew(lake) == 0 and copy.read_bytes() == good  # the nightly maintenance spoils the copy never
    assert not verify(lake.root).is_whole


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _reads(content: bytes) -> bool:
    """As Parquet, which notices few faults by itself."""
    try:
        pl.read_parquet(content)
    except Exception:
        return False
    except BaseException as panic:
        if isinstance(panic, KeyboardInterrupt | SystemExit):
            raise
        return False
    return True


def test_only_the_owner_can_read_a_backup_and_its_secrets_after_a_restore(
    house: House, tmp_path: Path
) -> None:
    def mode(path: Path) -> str:
        return oct(stat.S_IMODE(path.stat().st_mode))

    for target in (tmp_path / "saved", tmp_path / "saved.tar"):
        backup(house.settings, target, quiet)
    assert mode(tmp_path / "saved") == "0o700" and mode(tmp_path / "saved.tar") == "0o600"
    restore(Settings(), tmp_path / "saved.tar", tmp_path / "back", quiet)
    for folder in (tmp_path / "saved", tmp_path / "back"):
        secrets = [folder / "registry.db", *(folder / "keys").iterdir()]
        assert len(secrets) > 2 and {mode(path) for path in secrets} == {"0o600"}
        assert mode(folder / "keys") == "0o700"
    assert mode(tmp_path / "back") == "0o700"


def test_where_requests_were_removed_for_their_age_the_marts_come_back_as_they_were(
    house: House, tmp_path: Path, typed: Earshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = pl.DataFrame([(date(2026, 1, 1), 0)], schema=KEPT, orient="row")
    write_parquet(row, Lake(house.settings.lake_dir).kept_path)
    said = typed("backup", tmp_path / "saved.tar")
    assert said.code == 0 and "left out: dbt, episodes.csv, landing" in said.err
    monkeypatch.delenv("EARSHOT_DATA")
    said = typed("restore", tmp_path / "saved.tar", "--to", tmp_path / "back")
    assert said.code == 0 and "the marts as they were" in said.err, said.err
    back = Settings(data=tmp_path / "back")
    assert marts(back.warehouse) == house.marts
    with reading(back.published_dir / "current" / "marts.duckdb") as published:
        (count,) = published.execute("select count(*) from fct_downloads").fetchall()
    assert count == (len(house.marts["fct_downloads"]),)
    with pytest.raises(RequestsAreGone):
        rebuild(back, lambda counted, of: None)


def test_the_commands_say_what_is_in_what_is_missing_and_what_comes_next(
    house: House, tmp_path: Path, typed: Earshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_TIME_ZONE", "Europe/Berlin")
    said = typed("backup", tmp_path / "saved")
    assert said.code == 0
    for part in (
        "backed up: ",
        "left out: dbt, episodes.csv, landing, warehouse.duckdb",
        "only its owner can read it",
        "own disk",
    ):
        assert part in said.err
    again = typed("backup", tmp_path / "saved")
    assert (again.code, again.out) == (1, "") and "is there already" in again.err
    inside = typed("backup", house.settings.data / "saved")
    assert inside.code == 1 and "lies in the data folder itself" in inside.err
    monkeypatch.delenv("EARSHOT_TIME_ZONE")
    monkeypatch.delenv("EARSHOT_DATA")
    said = typed("restore", tmp_path / "saved", "--to", tmp_path / "back")
    assert said.code == 0
    assert "not in the backup: dbt, episodes.csv, landing, warehouse.duckdb" in said.err
    assert "set then, and not now: EARSHOT_TIME_ZONE" in said.err
    assert f"EARSHOT_DATA={tmp_path / 'back'} earshot rebuild" in said.err
    taken = typed("restore", tmp_path / "saved", "--to", tmp_path / "back")
    assert taken.code == 1 and "holds data" in taken.err


@pytest.fixture
def saved(house: House, tmp_path: Path) -> Path:
    """A backup that shares nothing with the house."""
    backup(house.settings, tmp_path / "linked", quiet)
    shutil.copytree(tmp_path / "linked", tmp_path / "saved")
    return tmp_path / "saved"


def refused(source: Path, to: Path) -> str:
    with pytest.raises(BackupError) as told:
        restore(Settings(data=to), source, to, quiet)
    assert not to.exists() and not list(to.parent.glob(f".{to.name}*"))
    return str(told.value)


def test_what_is_damaged_or_missing_is_named_and_nothing_is_restored(saved: Path, tmp_path: Path) -> None:
    names = sorted(path.relative_to(saved).as_posix() for path in saved.glob("lake/requests/*/*.parquet"))
    damaged, missing = names[0], names[1]
    content = bytearray((saved / damaged).read_bytes())
    content[len(content) // 2] ^= 1
    (saved / damaged).write_bytes(content)
    (saved / missing).unlink()
    (saved / "registry.db").unlink()
    said = refused(saved, tmp_path / "back")
    assert said.startswith("3 of ") and f"damaged: {damaged}" in said
    assert f"missing: {missing}, registry.db" in said


@pytest.mark.parametrize(
    "path", ["../stolen", "/etc/stolen", "lake/../../stolen", "elsewhere/x", "lake//x", ""]
)
def test_a_manifest_that_leads_elsewhere_is_refused(saved: Path, tmp_path: Path, path: str) -> None:
    told = json.loads((saved / FILE).read_bytes())
    told["files"][0]["path"] = path
    (saved / FILE).write_text(json.dumps(told))
    assert "which no backup of ours holds" in refused(saved, tmp_path / "back")


def test_a_link_in_a_backup_is_not_followed(saved: Path, tmp_path: Path) -> None:
    (saved / "registry.db").rename(tmp_path / "moved.db")
    (saved / "registry.db").symlink_to(tmp_path / "moved.db")
    assert "missing: registry.db" in refused(saved, tmp_path / "back")


def test_what_is_no_whole_backup_of_ours_is_refused(saved: Path, tmp_path: Path) -> None:
    to = tmp_path / "back"
    assert "there is no backup" in refused(tmp_path / "nowhere", to)
    told = json.loads((saved / FILE).read_bytes())
    for change, said in (
        ({"format": 2}, "made by a newer Earshot"),
        ({"lake_format": "99"}, "its lake has layout 99"),
        ({"revision": "9999"}, "of a newer Earshot"),
        ({"files": None}, "cannot be read"),
        ({"files": told["files"][:1] * 2}, "names a file twice"),
    ):
        (saved / FILE).write_text(json.dumps({**told, **change}))
        assert said in refused(saved, to)
    (saved / FILE).unlink()
    assert f"holds no {FILE}" in refused(saved, to)
    (tmp_path / "x.tar").write_bytes(b"this is no tar file" * 100)
    assert "no backup, or not a whole one" in refused(tmp_path / "x.tar", to)


def test_a_tar_file_that_was_cut_short_is_refused(house: House, tmp_path: Path) -> None:
    whole = tmp_path / "saved.tar"
    backup(house.settings, whole, quiet)
    content = whole.read_bytes()
    for length in (len(content) // 2, len(content) // 3 + 7):
        (tmp_path / "cut.tar").write_bytes(content[:length])
        refused(tmp_path / "cut.tar", tmp_path / "back")


KILLED = """
import sys, time
from pathlib import Path
from earshot.backup.restore import restore
from earshot.backup.write import backup
from ingest.settings import Settings
what, step, one, other = sys.argv[1:]
def progress(now, done, of):
    if now == step:
        print(now, flush=True)
        time.sleep(60)
if what == "backup":
    backup(Settings(data=Path(one)), Path(other), progress)
else:
    restore(Settings(data=Path(other)), Path(one), Path(other), progress)
"""


def killed(what: str, step: str, one: Path, other: Path) -> None:
    """The command in a process of its own, killed in a step."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, what, step, str(one), str(other)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{step}\n"
        process.kill()


@pytest.mark.parametrize(
    ("name", "step"), [("saved", "lake"), ("saved", "checksums"), ("saved.tar", "files written")]
)
def test_a_killed_backup_leaves_no_backup_and_the_next_one_is_whole(
    house: House, tmp_path: Path, name: str, step: str
) -> None:
    killed("backup", step, house.settings.data, tmp_path / name)
    assert not (tmp_path / name).exists()
    backup(house.settings, tmp_path / name, quiet)
    restore(Settings(), tmp_path / name, tmp_path / "back", quiet)
    left = [path.name for folder in (tmp_path, house.settings.data) for path in folder.glob(".*making*")]
    assert left == []


def test_a_killed_restore_leaves_no_data_folder_and_the_next_one_is_whole(
    saved: Path, tmp_path: Path
) -> None:
    killed("restore", "restored", saved, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    restore(Settings(), saved, tmp_path / "back", quiet)
    manifest = Manifest.parse((saved / FILE).read_bytes())
    there = {name for name in contents(tmp_path / "back") if not name.startswith("lake/.")}  # made anew
    assert {each.path for each in manifest.files} == there
    assert not list(tmp_path.glob(".back*"))


def test_what_a_backup_calls_taken_is_in_it_to_the_last_row_though_intake_never_rests(
    house: House, tmp_path: Path
) -> None:
    edge = house.settings.landing_dir / "fresh"
    edge.mkdir()
    working: list[threading.Thread] = []

    def take_in_one() -> None:
        take_in(find_landing_files(house.settings), house.settings, Lake(house.settings.lake_dir))

    def lands_meanwhile(step: str, done: int, of: int) -> None:
        """While the lake is linked, again and again a file lands, and somebody wants to take it in."""
        if step == "lake":
            (edge / f"{done:05}.log").write_text("".join(log_line(number) for number in range(50)))
            time.sleep(0.01)  # it settles
            working.append(threading.Thread(target=take_in_one))
            working[-1].start()
            working[-1].join(0.3)

    (edge / "first.log").write_text(log_line(1))  # its ledger is there, and grows while it is linked
    time.sleep(0.01)
    take_in_one()
    backup(house.settings, tmp_path / "saved.tar", lands_meanwhile)
    for thread in working:
        thread.join()
    assert len(working) >= 3
    ledger = Lake(house.settings.lake_dir).ledger()
    assert ledger.filter(pl.col("source") == "fresh").height == 1 + len(working)
    with tarfile.open(tmp_path / "saved.tar") as tar:
        tar.extractall(tmp_path / "out", filter="data")
    lake = Lake(tmp_path / "out" / "lake")
    ledger = lake.ledger().filter(pl.col("status") == "taken").unique(["file_id", "source"])
    rows = lake.requests().group_by("file_id", "source").len("rows").collect()
    joined = ledger.join(rows, on=["file_id", "source"], how="left").with_columns(pl.col("rows").fill_null(0))
    assert joined.height > 3 and joined.filter(pl.col("rows") != pl.col("requests")).is_empty()


def test_nobody_moves_commits_or_takes_in_while_the_lake_is_linked_and_all_may_afterwards(
    house: House, tmp_path: Path
) -> None:
    root = house.settings.lake_dir
    with opened(root, 7):  # a shard of podcasts
        pass
    locks = [Lake(root).intake_lock, root / READERS_LOCK, folder_of(root, 7) / ".lock"]
    held: dict[str, set[str]] = {}

    def look(step: str, done: int, of: int) -> None:
        held[step] = set()
        for path in locks:
            with path.open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held[step].add(path.name)

    backup(house.settings, tmp_path / "saved", look)
    assert held == {"linked": set(), "lake": {path.name for path in locks}, "checksums": set()}
