"""`sudo earshot backup`, and a restore by root: whoever runs the services goes on with the data folder."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from earshot.backup.manifest import BackupError
from earshot.backup.restore import restore
from earshot.backup.write import backup
from ingest.durable import locked
from ingest.lake import READERS_LOCK, Lake, write_parquet
from ingest.logs.intake import find_landing_files, take_in
from ingest.owner import acting_as_owner_of, give_all
from ingest.schema import KEPT
from ingest.settings import Settings
from tests.e2e.backup.conftest import House, quiet
from tests.orchestration.conftest import log_line
from tests.registry.command_line import Earshot

SERVICE = 65_534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="what root does can only be tried by root")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """pytest's own is closed to other accounts."""
    with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in [folder, *folder.rglob("*")]}


def owned(settings: Settings) -> Settings:
    give_all(settings.data, SERVICE, SERVICE)
    return settings


@pytest.fixture
def service(settings: Settings) -> Settings:
    """A data folder of the user the services run as."""
    return owned(settings)


@pytest.fixture
def tight() -> Iterator[Path]:
    """A folder that only root can get into."""
    folder = Path("/dev/shm") / f"earshot-root-{os.getpid()}"
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder)


def rows_after_an_intake_of_the_service(settings: Settings, target: Path) -> int:
    """… which also backs up to `target`."""
    with acting_as_owner_of(settings.data):
        lake = Lake(settings.lake_dir)
        with locked(lake.intake_lock), locked(lake.root / READERS_LOCK):
            pass
        backup(settings, target, quiet)
        take_in(find_landing_files(settings), settings, lake)
        return lake.requests().collect().height


@pytest.mark.parametrize("name", ["saved", "saved.tar"])
def test_after_a_backup_by_root_the_service_goes_on(
    service: Settings, tmp_path: Path, tight: Path, name: str
) -> None:
    for lock in [*service.data.rglob(".*.lock"), *service.data.rglob(".lock")]:
        lock.unlink()  # root's backup makes them
    backup(service, tmp_path / name, quiet)
    backup(service, tight / name, quiet)
    assert owners(service.data) == {SERVICE}
    assert owners(tight / name) == {0}
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == (0o700 if name == "saved" else 0o600)
    before = Lake(service.lake_dir).requests().collect().height
    edge = service.landing_dir / "fresh"
    edge.mkdir()
    (edge / "new.log").write_text("".join(log_line(number) for number in range(5)))
    give_all(edge, SERVICE, SERVICE)
    ours = tmp_path / "ours"
    ours.mkdir()
    os.chown(ours, SERVICE, SERVICE)
    assert rows_after_an_intake_of_the_service(service, ours / name) == before + 5
    assert owners(service.data) == owners(ours) == {SERVICE}


def test_a_lock_that_root_left_once_is_given_back(service: Settings) -> None:
    lock = service.lake_dir / READERS_LOCK
    lock.touch()
    os.chown(lock, 0, 0)
    with locked(lock):
        assert lock.stat().st_uid == SERVICE


def test_an_intake_by_root_leaves_nothing_of_roots(service: Settings) -> None:
    edge = service.landing_dir / "fresh"
    edge.mkdir()
    (edge / "new.log").write_text(log_line(1).replace("2026", "2025"))  # a new day, a new key
    give_all(edge, SERVICE, SERVICE)
    take_in(find_landing_files(service), service, Lake(service.lake_dir))
    assert owners(service.lake_dir) == owners(service.keys_dir) == {SERVICE}


def test_root_reads_no_more_for_a_backup_than_the_owner_may(service: Settings, tmp_path: Path) -> None:
    (tmp_path / "shadow").write_text("root's")
    (tmp_path / "shadow").chmod(0o600)
    link = service.data / "keys" / "epoch-1.key"
    link.symlink_to(tmp_path / "shadow")
    with pytest.raises(PermissionError):
        backup(service, tmp_path / "saved.tar", quiet)
    assert not (tmp_path / "saved.tar").exists()


def test_root_is_root_again_afterwards(service: Settings) -> None:
    before = (os.geteuid(), os.getegid(), os.getgroups(), os.environ.get("HOME"))
    with acting_as_owner_of(service.data):
        assert (os.geteuid(), os.getegid()) == (SERVICE, SERVICE) and 0 not in os.getgroups()
        with acting_as_owner_of(service.data):
            (service.data / "mine").touch()
    with pytest.raises(ZeroDivisionError), acting_as_owner_of(service.data):
        _ = 1 / 0
    assert (os.geteuid(), os.getegid(), os.getgroups(), os.environ.get("HOME")) == before
    assert (service.data / "mine").stat().st_uid == SERVICE


def test_a_restore_by_root_belongs_to_whose_folder_it_is_put_into(
    settings: Settings, tmp_path: Path, typed: Earshot
) -> None:
    backup(settings, tmp_path / "saved.tar", quiet)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, SERVICE, SERVICE)
    said = typed("restore", tmp_path / "saved.tar", "--to", home / "data")
    assert said.code == 0 and owners(home / "data") == {SERVICE}
    name = "nobody"
    assert f"it belongs to {name}" in said.err and f"sudo -u {name} EARSHOT_DATA={home / 'data'}" in said.err
    there = tmp_path / "there"  # as systemd makes it: empty, and the service's
    there.mkdir()
    os.chown(there, SERVICE, SERVICE)
    assert typed("restore", tmp_path / "saved.tar", "--to", there).code == 0
    assert owners(there) == {SERVICE} and stat.S_IMODE(there.stat().st_mode) == 0o700
    owned(Settings(data=there))
    assert rows_after_an_intake_of_the_service(Settings(data=there, settle_s=0), home / "again.tar") > 100


def test_a_restore_by_root_can_be_for_a_named_account(
    settings: Settings, tmp_path: Path, typed: Earshot
) -> None:
    backup(settings, tmp_path / "saved.tar", quiet)
    said = typed("restore", tmp_path / "saved.tar", "--to", tmp_path / "root's")
    assert owners(tmp_path / "root's") == {0}
    assert f"it belongs to root. If services run as another: chown -R USER {tmp_path}" in said.err
    for owner in ("nobody", "65534"):
        to = tmp_path / f"of {owner}"
        assert typed("restore", tmp_path / "saved.tar", "--to", to, "--owner", owner).code == 0
        assert owners(to) == {SERVICE}
    said = typed("restore", tmp_path / "saved.tar", "--to", tmp_path / "no", "--owner", "nobody-knows")
    assert said.code == 1 and "there is no account nobody-knows" in said.err
    assert not (tmp_path / "no").exists()


def test_who_is_not_root_can_give_to_nobody_else(settings: Settings, tmp_path: Path) -> None:
    backup(settings, tmp_path / "saved.tar", quiet)
    owned(settings)
    to = settings.data / "x"
    with acting_as_owner_of(settings.data), pytest.raises(BackupError, match="only root can give"):
        restore(Settings(data=to), tmp_path / "saved.tar", to, quiet, "root")


def test_marts_that_a_restore_publishes_are_its_owners(house: House, tmp_path: Path, typed: Earshot) -> None:
    row = pl.DataFrame([(None, 0)], schema=KEPT, orient="row").with_columns(first_day=pl.date(2026, 1, 1))
    write_parquet(row, Lake(house.settings.lake_dir).kept_path)
    owned(house.settings)
    assert typed("backup", tmp_path / "saved.tar").code == 0
    assert owners(house.settings.data) == {SERVICE}
    said = typed("restore", tmp_path / "saved.tar", "--to", tmp_path / "back", "--owner", "nobody")
    assert said.code == 0 and "the marts as they were" in said.err, said.err
    assert owners(tmp_path / "back") == {SERVICE}
