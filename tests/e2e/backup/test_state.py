"""What is in a backup belongs together: keys and the rows made with them; links are followed, or refused."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from earshot.backup import snapshot
from earshot.backup.links import Links
from earshot.backup.manifest import BackupError
from earshot.backup.restore import restore
from earshot.backup.write import backup
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.logs.keyring import KeyRing
from ingest.settings import Settings
from tests.e2e.backup.conftest import quiet
from tests.orchestration.conftest import log_line
from tests.registry.command_line import Earshot

Restored = Callable[[Path], Settings]


@pytest.fixture
def restored(tmp_path: Path) -> Restored:
    def run(target: Path) -> Settings:
        settings = Settings(data=tmp_path / "restored", settle_s=0)
        restore(settings, target, settings.data, quiet)
        return settings

    return run


def epochs_of_rows(lake: Path) -> set[int]:
    return set(Lake(lake).requests().select("key_epoch").collect()["key_epoch"].unique())


def test_a_key_that_is_made_while_a_backup_waits_for_the_intake_is_in_it(
    settings: Settings, restored: Restored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = settings.landing_dir / "late"
    edge.mkdir()
    line = log_line(1)
    known = epochs_of_rows(settings.lake_dir)
    (edge / "old.log").write_text(line.replace("2026", "2025"))  # of another key epoch
    time.sleep(0.01)
    take_warehouse = snapshot.take_warehouse

    def taken_in_meanwhile(of: Settings, into: Path) -> bool:  # after the small files, before the lake
        take_in(find_landing_files(settings), settings, Lake(settings.lake_dir))
        return take_warehouse(of, into)

    monkeypatch.setattr(snapshot, "take_warehouse", taken_in_meanwhile)
    backup(settings, tmp_path / "saved", quiet)
    back = restored(tmp_path / "saved")
    new = epochs_of_rows(back.lake_dir) - known
    assert len(new) == 1
    keys = KeyRing.of(back)
    for epoch in {epoch - 1 for epoch in new} | new:
        assert keys.has(epoch) or keys.is_destroyed(epoch)


def test_no_key_is_made_or_destroyed_while_the_lake_is_linked(settings: Settings, tmp_path: Path) -> None:
    ring, making = KeyRing.of(settings), threading.Thread(target=lambda: KeyRing.of(settings).secret(400))
    waited: list[bool] = []

    def look(step: str, done: int, of: int) -> None:
        if step == "lake" and not waited:
            making.start()
            making.join(0.2)
            waited.append(making.is_alive())

    backup(settings, tmp_path / "saved", look)
    making.join()
    assert waited == [True] and ring.has(400)
    assert not (tmp_path / "saved" / "keys" / "epoch-400.key").exists()


def test_a_backup_says_which_keys_the_house_itself_has_lost(
    settings: Settings, tmp_path: Path, typed: Earshot
) -> None:
    epoch = max(epochs_of_rows(settings.lake_dir))
    (settings.keys_dir / f"epoch-{epoch}.key").unlink()
    said = typed("backup", tmp_path / "saved")
    assert said.code == 0 and f"lacks those of the epochs {epoch}, of which the lake has rows" in said.err
    KeyRing.of(settings).destroy(epoch, 1, "test")  # then nobody is to have it
    assert "lacks" not in typed("backup", tmp_path / "another").err


def test_a_folder_of_the_lake_on_another_disk_is_in_the_backup(
    settings: Settings, restored: Restored, tmp_path: Path
) -> None:
    requests = settings.lake_dir / "requests"
    days = list(requests.glob("day=2*"))
    shutil.move(days[0], tmp_path / "bigger")
    days[0].symlink_to(tmp_path / "bigger")
    shutil.move(settings.lake_dir / "files", tmp_path / "ledger")
    (settings.lake_dir / "files").symlink_to(os.path.relpath(tmp_path / "ledger", settings.lake_dir))
    file = next(days[1].glob("*.parquet"))
    shutil.move(file, tmp_path / "elsewhere.parquet")
    file.symlink_to(tmp_path / "elsewhere.parquet")
    shutil.move(settings.keys_dir, tmp_path / "keys")
    settings.keys_dir.symlink_to(tmp_path / "keys")
    before = Lake(settings.lake_dir).requests().collect()
    for target in (tmp_path / "saved", tmp_path / "saved.tar"):
        backup(settings, target, quiet)
        back = restored(target)
        assert Lake(back.lake_dir).requests().collect().height == before.height > 100
        assert not any(path.is_symlink() for path in back.data.rglob("*"))
        assert any(back.keys_dir.glob("epoch-*.key"))
        shutil.rmtree(back.data)


@pytest.mark.parametrize(
    ("leads_to", "said"),
    [("nowhere", "leads nowhere"), ("../lake", "back to a folder above it"), (".", "back")],
)
def test_a_link_that_cannot_be_followed_is_named_and_nothing_is_backed_up(
    settings: Settings, tmp_path: Path, leads_to: str, said: str
) -> None:
    link = settings.lake_dir / "requests" / "day=2026-01-01"
    link.symlink_to(settings.lake_dir / leads_to)
    with pytest.raises(BackupError, match=f"{link}.*{said}"):
        backup(settings, tmp_path / "saved", quiet)
    assert not (tmp_path / "saved").exists()


def test_a_pipe_in_the_lake_is_named_and_nobody_waits_for_it(settings: Settings, tmp_path: Path) -> None:
    os.mkfifo(settings.lake_dir / "rules" / "pipe")
    with pytest.raises(BackupError, match="pipe is neither a file nor a folder"):
        backup(settings, tmp_path / "saved.tar", quiet)


def test_odd_names_come_back_as_they_were(settings: Settings, restored: Restored, tmp_path: Path) -> None:
    lists = settings.data / "reference"
    lists.mkdir(exist_ok=True)
    names = [
        b"back\\slash.txt",
        b"two\nlines.txt",
        b"not utf-8 \xff.txt",
        "größer … 名.txt".encode(),
        b"x" * 255,
    ]
    for name in names:
        Path(os.fsdecode(os.fsencode(lists) + b"/" + name)).write_bytes(name)
    for target in (tmp_path / "saved", tmp_path / "saved.tar"):
        backup(settings, target, quiet)
        back = restored(target)
        files = [path for path in (back.data / "reference").iterdir() if path.is_file()]
        found = {os.fsencode(path.name): path.read_bytes() for path in files}
        assert {name: found.get(name) for name in names} == {name: name for name in names}
        shutil.rmtree(back.data)


def test_links_brought_up_to_date_are_what_is_there_now(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    for name in ("a/stays", "a/goes", "a/is replaced"):
        (root / name).write_text(name)
    links = Links(root, tmp_path / "into")
    links.bring_up_to_date(quiet, "linked", is_still=False)
    (root / "a/goes").unlink()
    (root / "new").write_text("another")
    (root / "new").replace(root / "a/is replaced")
    (root / "b").mkdir()
    (root / "b/comes").write_text("b/comes")
    links.bring_up_to_date(quiet, "lake", is_still=True)
    found = {
        path.relative_to(tmp_path / "into").as_posix(): path.read_text()
        for path in (tmp_path / "into").rglob("*")
        if path.is_file()
    }
    assert found == {"a/stays": "a/stays", "a/is replaced": "another", "b/comes": "b/comes"}


def test_what_is_moved_while_nothing_stands_still_is_in_the_backup_once(
    settings: Settings, restored: Restored, tmp_path: Path
) -> None:
    day = next(day for day in (settings.lake_dir / "requests").glob("day=2*"))
    files = sorted(day.glob("*.parquet"))
    merged = pl.concat([pl.read_parquet(path) for path in files])
    before = Lake(settings.lake_dir).requests().collect().height

    def compacted(step: str, done: int, of: int) -> None:
        if step == "linked" and done == of and files[0].exists():
            merged.write_parquet(day / "merged.parquet")
            for path in files:
                path.unlink()

    backup(settings, tmp_path / "saved.tar", compacted)
    back = restored(tmp_path / "saved.tar")
    assert Lake(back.lake_dir).requests().collect().height == before
    names = [path.name for path in (back.lake_dir / "requests" / day.name).iterdir()]
    assert names == ["merged.parquet"]
