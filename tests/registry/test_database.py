"""The connection: migrated when behind, by whoever comes first, and a plain message when it cannot be."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from ingest.settings import SettingError, Settings
from registry import migrations
from registry.database import FILE_NAME, connect, writing
from registry.tables import metadata


def shape(engine: Engine) -> dict[str, Any]:
    """All that the database itself knows of the tables."""
    look = inspect(engine)
    found: dict[str, Any] = {}
    for table in sorted(set(look.get_table_names()) - {"alembic_version"}):
        found[table] = {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column.get("default"))
                for column in look.get_columns(table)
            },
            "primary key": look.get_pk_constraint(table),
            "foreign keys": sorted(map(repr, look.get_foreign_keys(table))),
            "unique": sorted(map(repr, look.get_unique_constraints(table))),
            "checks": sorted(map(repr, look.get_check_constraints(table))),
            "indexes": sorted(
                repr({**index, "dialect_options": {k: str(v) for k, v in index["dialect_options"].items()}})
                for index in look.get_indexes(table)
            ),
        }
    return found


def test_the_migrated_tables_are_those_of_the_code(empty_url: str, url: str, tmp_path: Path) -> None:
    fresh = connect(empty_url, tmp_path)
    with fresh.begin() as connection:
        connection.execute(text("drop table alembic_version"))
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert shape(connect(url, tmp_path)) == shape(fresh)
    assert set(shape(fresh)) == set(metadata.tables)


def downgrade(engine: Engine, revision: str) -> None:
    from alembic import command

    with writing(engine) as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def test_a_migration_can_be_taken_back_and_done_again(url: str, tmp_path: Path) -> None:
    engine = connect(url, tmp_path)
    before = shape(engine)
    downgrade(engine, "base")
    assert shape(engine) == {}
    assert shape(connect(url, tmp_path)) == before


def test_taking_the_collaborations_back_restores_the_former_table(empty_url: str, tmp_path: Path) -> None:
    engine = connect(empty_url, tmp_path)
    downgrade(engine, "base")
    with writing(engine) as connection:
        migrations.upgrade(connection, "0004")
    former = shape(engine)
    assert "kind" in former["collaborations"]["columns"]
    with writing(engine) as connection:
        migrations.upgrade(connection, "0005")
    assert "kind" not in shape(engine)["collaborations"]["columns"]
    downgrade(engine, "0004")
    assert shape(engine) == former


def test_the_newest_revision_is_known_without_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


CONNECT = """
import sys
from pathlib import Path
from registry.database import connect
connect({}, Path(sys.argv[1]))
"""


def test_processes_that_connect_at_once_migrate_once(backend: str, empty_url: str, tmp_path: Path) -> None:
    url = "None" if backend == "sqlite" else repr(empty_url)
    script = CONNECT.format(url)
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [("", 0)] * 4
    engine = connect(None if backend == "sqlite" else empty_url, tmp_path)
    assert set(shape(engine)) == set(metadata.tables)


def test_a_registry_of_a_newer_earshot_is_left_alone(url: str, tmp_path: Path) -> None:
    with writing(connect(url, tmp_path)) as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(SettingError, match=r"newer Earshot .*9999"):
        connect(url, tmp_path)


def test_without_a_setting_it_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    engine = connect(None, data)
    assert (data / FILE_NAME).is_file()
    with engine.connect() as connection:
        pragmas = ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        assert [connection.exec_driver_sql(f"pragma {name}").scalar() for name in pragmas] == [
            "wal",
            1,
            30_000,
            2,  # full: what is committed outlives a power cut
        ]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:s3cret@host/db", "mysql is neither sqlite nor postgresql"),
        ("postgresql://u:s3cret@127.0.0.1:1/db", "refused"),
        ("postgresql://127.0.0.1:1/db?user=u&password=s3cret", "refused"),
        ("postgresql://u:s3/cret@host:port/db", "no database URL such as"),
        ("s3cret", "no database URL such as"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////nowhere/at/all/s.db", "unable to open database file"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_password(
    url: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=message) as error:
        connect(url, tmp_path)
    assert "EARSHOT_REGISTRY" in str(error.value)
    assert "s3cret" not in str(error.value) and "cret" not in str(error.value).replace("secret", "")
    assert error.value.__cause__ is None


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("This is not the registry. " * 50)
    with pytest.raises(SettingError, match="not a database"):
        connect(None, tmp_path)


def test_an_sqlite_that_is_too_old_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(SettingError, match=r"older than 3\.38"):
        connect(None, tmp_path)


def test_the_setting_is_not_shown_with_the_others() -> None:
    settings = Settings.from_env({"EARSHOT_REGISTRY": "postgresql://u:s3cret@host/db"})
    assert settings.registry == "postgresql://u:s3cret@host/db"
    assert "s3cret" not in repr(settings)


def test_a_reader_does_not_wait_for_a_writer(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("insert into shards (shard, version) values (1, 1)"))
        with engine.connect() as other:
            assert other.execute(text("select count(*) from shards")).scalar() == 0
    with engine.connect() as other:
        assert other.execute(text("select count(*) from shards")).scalar() == 1


def test_what_fails_inside_a_transaction_leaves_no_trace(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:
        connection.execute(text("insert into shards (shard, version) values (1, 1)"))
        raise ZeroDivisionError
    with engine.connect() as other:
        assert other.execute(text("select count(*) from shards")).scalar() == 0


def test_the_names_of_the_old_drivers_are_understood(postgres: Any, tmp_path: Path) -> None:
    url = postgres.url(postgres.create_database())
    for scheme in ("postgres://", "postgresql+psycopg2://"):
        engine = connect(url.replace("postgresql://", scheme), tmp_path)
        assert engine.dialect.driver == "psycopg2"


def test_a_password_with_signs_that_end_it_is_shown_nowhere(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="write it as %40") as told:
        connect("postgresql://u:s3cret@pw@127.0.0.1:1/x", tmp_path)
    assert not any(part in str(told.value) for part in ("s3cret", "@pw"))
