"""The registry in a backup: SQLite while it is written to, PostgreSQL into a new database, old revisions."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, text

from earshot.backup.manifest import BackupError
from earshot.backup.restore import restore
from earshot.backup.write import backup
from ingest.settings import SettingError, Settings
from registry import migrations
from registry.database import connected, unmigrated, writing
from registry.migrations import HEAD
from tests.e2e.backup.test_backup import quiet
from tests.postgres import Postgres, postgres
from tests.registry.webhook_rows import change, delivery, endpoint

__all__ = ["postgres"]


def rows_of(url: str) -> dict[str, list[str]]:
    """Table → its rows as text, sorted."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect() as connection:
        found = {
            name: sorted(str(tuple(row)) for row in connection.execute(text(f'select * from "{name}"')))
            for name in inspect(connection).get_table_names()
        }
    engine.dispose()
    return found


def fill(engine: Engine) -> int:
    """A subscription and its messages; the id of a second one that was removed."""
    first = endpoint(engine, tenant="a\ttab, a \\ and ünïcode\n")
    delivery(engine, first, "evt_1", [change(engine, 7, 1, data={"title": 'quoted "\\N" \u2028'})])
    gone = endpoint(engine)
    with writing(engine) as connection:
        connection.execute(text("delete from subscriptions where subscription_id = :id"), {"id": gone})
    return gone


def of(postgres: Postgres, data: Path) -> Settings:
    return Settings(data=data, registry=postgres.url(postgres.create_database()))


def test_a_registry_in_postgresql_comes_back_row_by_row_and_gives_no_id_twice(
    postgres: Postgres, tmp_path: Path
) -> None:
    old, new = of(postgres, tmp_path / "old"), of(postgres, tmp_path / "new")
    assert old.registry is not None and new.registry is not None
    old.data.mkdir()
    with connected(old.registry, old.data) as engine:
        gone = fill(engine)
    before = rows_of(old.registry)
    saved = backup(old, tmp_path / "saved", quiet)
    assert saved.manifest.registry == "postgresql" and saved.manifest.revision == HEAD
    done = restore(new, tmp_path / "saved", new.data, quiet)
    assert done.tables == len(before) - 1, "all but Alembic's own"
    assert rows_of(new.registry) == before and len(before["deliveries"]) == 1
    assert not (new.data / "registry").exists()
    with connected(new.registry, new.data) as engine:
        assert endpoint(engine) == gone + 1


def test_a_restore_killed_after_the_database_was_filled_is_ended_by_the_same_one_and_no_other(
    postgres: Postgres, tmp_path: Path
) -> None:
    old, new = of(postgres, tmp_path / "old"), of(postgres, tmp_path / "new")
    assert old.registry is not None and new.registry is not None
    old.data.mkdir()
    with connected(old.registry, old.data) as engine:
        fill(engine)
    backup(old, tmp_path / "saved", quiet)
    backup(old, tmp_path / "other", quiet)
    kill = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from earshot.backup.restore import restore\n"
        "from ingest.settings import Settings\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "data = Path(sys.argv[1])\n"
        "restore(Settings(data=data, registry=sys.argv[2]), Path(sys.argv[3]), data, lambda *_: None)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", kill, str(new.data), new.registry, str(tmp_path / "saved")], timeout=120
    )
    assert killed.returncode == -signal.SIGKILL and not new.data.exists()
    assert rows_of(new.registry) == rows_of(old.registry), "it was filled before"
    with pytest.raises(BackupError, match="holds tables already"):
        restore(new, tmp_path / "other", new.data, quiet)
    done = restore(new, tmp_path / "saved", new.data, quiet)
    assert rows_of(new.registry) == rows_of(old.registry)
    assert done.tables == len(rows_of(old.registry)) - 1
    with pytest.raises(BackupError, match="holds tables already"):
        restore(new, tmp_path / "saved", tmp_path / "third", quiet)


def test_single_files_come_back_beside_a_platform_whose_database_is_in_use(
    postgres: Postgres, tmp_path: Path
) -> None:
    house = of(postgres, tmp_path / "data")
    assert house.registry is not None
    (house.data / "keys").mkdir(parents=True)
    (house.data / "sources.toml").write_text('[edge]\nclass = "prefix"\n')
    with connected(house.registry, house.data) as engine:
        fill(engine)
    before = rows_of(house.registry)
    backup(house, tmp_path / "saved.tar", quiet)
    beside = Settings(data=tmp_path / "beside", registry=house.registry)
    with pytest.raises(BackupError, match="holds tables already"):
        restore(beside, tmp_path / "saved.tar", beside.data, quiet)
    done = restore(beside, tmp_path / "saved.tar", beside.data, quiet, files_only=True)
    assert done.tables == 0 and rows_of(house.registry) == before
    assert (beside.data / "sources.toml").read_text() == (house.data / "sources.toml").read_text()
    assert not (beside.data / "registry").exists()


def test_single_files_come_without_the_registrys_file_and_where_no_setting_names_one(tmp_path: Path) -> None:
    house = Settings(data=tmp_path / "data")
    house.data.mkdir()
    with connected(None, house.data) as engine:
        fill(engine)
    (house.data / "api.secret").write_text("s")
    backup(house, tmp_path / "saved", quiet)
    restore(house, tmp_path / "saved", tmp_path / "beside", quiet, files_only=True)
    assert [each.name for each in (tmp_path / "beside").iterdir()] == ["api.secret"]


def test_a_backup_of_an_older_revision_is_restored_and_migrated(postgres: Postgres, tmp_path: Path) -> None:
    old, new = of(postgres, tmp_path / "old"), of(postgres, tmp_path / "new")
    old.data.mkdir()
    with unmigrated(old.registry, old.data) as engine, writing(engine) as connection:
        migrations.upgrade(connection, "0004")
    with unmigrated(old.registry, old.data) as engine:
        fill(engine)
    assert backup(old, tmp_path / "saved.tar", quiet).manifest.revision == "0004"
    restore(new, tmp_path / "saved.tar", new.data, quiet)
    assert new.registry is not None
    after = rows_of(new.registry)
    assert after["alembic_version"] == [f"('{HEAD}',)"] and len(after["subscriptions"]) == 1


def test_a_database_that_holds_something_is_left_alone(postgres: Postgres, tmp_path: Path) -> None:
    old, new = of(postgres, tmp_path / "old"), of(postgres, tmp_path / "new")
    assert new.registry is not None
    old.data.mkdir()
    with connected(old.registry, old.data) as engine:
        fill(engine)
    backup(old, tmp_path / "saved", quiet)
    with unmigrated(new.registry, new.data) as engine, writing(engine) as connection:
        connection.execute(text("create table mine (a int)"))
        connection.execute(text("insert into mine values (1)"))
    with pytest.raises(BackupError, match="holds tables already"):
        restore(new, tmp_path / "saved", new.data, quiet)
    assert rows_of(new.registry) == {"mine": ["(1,)"]} and not new.data.exists()
    with pytest.raises(BackupError, match="set EARSHOT_REGISTRY to a new, empty database"):
        restore(Settings(data=new.data), tmp_path / "saved", new.data, quiet)


def test_tables_that_cannot_be_filled_leave_an_empty_database(postgres: Postgres, tmp_path: Path) -> None:
    old, new = of(postgres, tmp_path / "old"), of(postgres, tmp_path / "new")
    assert new.registry is not None
    old.data.mkdir()
    with connected(old.registry, old.data) as engine:
        fill(engine)
    backup(old, tmp_path / "saved", quiet)
    manifest = (tmp_path / "saved" / "manifest.json").read_text()
    name = "registry/attempts.copy"
    assert name in manifest
    (tmp_path / "saved" / "manifest.json").write_text(manifest.replace(name, "registry/others.copy"))
    (tmp_path / "saved" / name).rename(tmp_path / "saved" / "registry" / "others.copy")
    with pytest.raises(BackupError, match="lacks the registry's tables attempts"):
        restore(new, tmp_path / "saved", new.data, quiet)
    assert rows_of(new.registry) == {} and not new.data.exists()


def test_a_registry_that_is_away_stops_the_backup_and_no_password_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    away = Settings(data=tmp_path / "data", registry="postgresql://earshot:hunter2@127.0.0.1:1/none")
    with pytest.raises(SettingError) as told:
        backup(away, tmp_path / "saved", quiet)
    assert "hunter2" not in str(told.value) and not (tmp_path / "saved").exists()


def test_sqlite_is_copied_whole_while_it_is_written_to(tmp_path: Path) -> None:
    data, ended = tmp_path / "data", threading.Event()
    with connected(None, data) as engine:

        def work() -> None:
            number = 0
            while not ended.is_set():
                number += 1
                with writing(engine) as connection:  # two rows that belong together
                    for part in (1, 2):
                        connection.execute(
                            text(
                                "insert into audit_log (at_us, tenant, action, subject, detail)"
                                " values (0, 't', 'a', :subject, '{}')"
                            ),
                            {"subject": f"{number}.{part}"},
                        )

        thread = threading.Thread(target=work)
        thread.start()
        try:
            for number in range(5):
                backup(Settings(data=data), tmp_path / f"saved{number}", quiet)
        finally:
            ended.set()
            thread.join()
    counts = []
    for number in range(5):
        folder = tmp_path / f"saved{number}"
        assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "registry.db"]
        with sqlite3.connect(folder / "registry.db") as copy:
            counts.append(copy.execute("select count(*) from audit_log").fetchone()[0])
    assert all(count % 2 == 0 for count in counts) and counts == sorted(counts) and counts[-1] > counts[0]


def test_a_file_backup_is_not_restored_beside_a_registry_elsewhere(tmp_path: Path) -> None:
    with connected(None, tmp_path / "data"):
        pass
    backup(Settings(data=tmp_path / "data"), tmp_path / "saved", quiet)
    elsewhere = Settings(data=tmp_path / "back", registry="postgresql://earshot@127.0.0.1/other")
    with pytest.raises(BackupError, match="EARSHOT_REGISTRY names another: unset it"):
        restore(elsewhere, tmp_path / "saved", tmp_path / "back", quiet)
