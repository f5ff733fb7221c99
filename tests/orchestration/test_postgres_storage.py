"""Dagster's storage in PostgreSQL: patient while the server is away, whole across forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as db
from sqlalchemy.exc import OperationalError, ProgrammingError

from ingest.installation import AnotherInstallation
from ingest.settings import SettingError, Settings
from orchestration import postgres_storage
from orchestration.instance import prepare_home
from orchestration.postgres import is_prepared_at, prepare_database, refuse_another, storage_url
from tests.postgres import NoPostgres
from tests.restartable_postgres import RestartablePostgres, restartable_postgres

OURS, ANOTHERS = "0" * 32, "a" * 32


@pytest.fixture(scope="module")
def server() -> Iterator[RestartablePostgres]:
    try:
        with restartable_postgres() as found:
            yield found
    except NoPostgres as error:
        pytest.skip(f"no PostgreSQL: {error}")


@pytest.fixture(scope="module")
def url(server: RestartablePostgres) -> str:
    server.execute("create database dagster_records template template0")
    found = server.url("dagster_records")
    assert prepare_database(found, OURS)
    return found


@pytest.fixture
def instance(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("EARSHOT_DAGSTER_DB", url)
    with dg.DagsterInstance.from_config(str(prepare_home(Settings(data=tmp_path, dagster_db=url)))) as found:
        yield found


@dg.asset
def a_table() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 7})


def test_the_instance_uses_it_and_a_second_preparation_has_nothing_to_do(
    instance: dg.DagsterInstance, url: str
) -> None:
    assert isinstance(instance.event_log_storage, postgres_storage._Events)
    assert is_prepared_at(url) and not prepare_database(url, OURS)


def test_a_preparation_that_was_interrupted_is_made_again(server: RestartablePostgres, url: str) -> None:
    server.execute(
        "drop table dagster.jobs cascade", "comment on schema dagster is null", database="dagster_records"
    )
    assert prepare_database(url, OURS)
    assert server.value("select count(*) from dagster.jobs", "dagster_records") == 0


def test_a_schema_that_lost_its_tables_is_not_taken_for_prepared(server: RestartablePostgres) -> None:
    server.execute("create database emptied template template0")
    url = server.url("emptied")
    prepare_database(url, OURS)
    tables = server.value(
        "select string_agg('dagster.' || tablename, ', ') from pg_tables where schemaname = 'dagster'",
        "emptied",
    )
    server.execute(f"drop table {tables} cascade", database="emptied")
    assert not is_prepared_at(url)
    assert prepare_database(url, OURS)
    assert server.value("select count(*) from dagster.runs", "emptied") == 0


def test_what_another_installation_has_is_refused_until_it_is_taken_over(
    server: RestartablePostgres,
) -> None:
    server.execute("create database shared template template0")
    url = server.url("shared")
    refuse_another(url, None)
    prepare_database(url, ANOTHERS)
    for ask in (lambda: prepare_database(url, OURS), lambda: refuse_another(url, OURS)):
        with pytest.raises(AnotherInstallation, match=r"another installation \(aaaaaaaa.*--take-over"):
            ask()
    assert not prepare_database(url, ANOTHERS), "the refusal changed something"
    assert prepare_database(url, OURS, take_over=True) and is_prepared_at(url)
    with pytest.raises(AnotherInstallation):
        prepare_database(url, ANOTHERS)


def test_what_runs_when_the_server_crashes_goes_on_when_it_is_back(
    instance: dg.DagsterInstance, server: RestartablePostgres
) -> None:
    crashed = threading.Event()

    @dg.asset
    def meanwhile() -> dg.MaterializeResult[None]:
        server.stop("QUIT")
        crashed.set()
        return dg.MaterializeResult(metadata={"rows": 1})

    def bring_back() -> None:
        crashed.wait(60)
        server.start()

    helper = threading.Thread(target=bring_back)
    helper.start()
    done = dg.materialize([meanwhile], instance=instance)
    helper.join()
    assert done.success
    found = instance.fetch_materializations(dg.AssetKey("meanwhile"), limit=10).records
    assert len(found) == 1
    run = instance.get_run_by_id(done.run_id)
    assert run is not None and run.status is dg.DagsterRunStatus.SUCCESS


def test_a_forked_process_has_connections_of_its_own(instance: dg.DagsterInstance) -> None:
    asked = instance.run_storage.postgres_url  # type: ignore[attr-defined]
    whoami = db.text("select pg_backend_pid()")
    with postgres_storage.connected(asked) as held:
        ours, (told, tells) = held.execute(whoami).scalar_one(), os.pipe()
        child = os.fork()
        if not child:
            code = 1
            try:
                with postgres_storage.connected(asked) as own:
                    os.write(tells, str(own.execute(whoami).scalar_one()).encode())
                code = 0 if dg.materialize([a_table], instance=instance).success else 1
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert int(os.read(told, 100)) != ours
        assert held.execute(whoami).scalar_one() == ours, "the child ended our session"


def test_only_a_server_that_is_away_is_waited_for(instance: dg.DagsterInstance) -> None:
    asked = instance.run_storage.postgres_url  # type: ignore[attr-defined]
    with pytest.raises(ProgrammingError) as refused, postgres_storage.connected(asked) as connection:
        connection.execute(db.text("select * from dagster.no_such_table"))
    assert not postgres_storage.is_away(refused.value)
    cut = OperationalError("select 1", {}, Exception("server closed the connection unexpectedly"))
    assert postgres_storage.is_away(cut)


def test_that_the_server_is_away_is_told_once_in_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres_storage, "_patience_s", 3)
    monkeypatch.setattr(postgres_storage, "_told_at", None)
    nowhere = storage_url(f"postgresql://u:secret@/d?host={tmp_path}").render_as_string(hide_password=False)
    for _ in range(2):
        with pytest.raises(OperationalError), postgres_storage.connected(nowhere):
            pass
    assert caplog.text.count("PostgreSQL of Dagster is away") == 1


def test_the_webserver_limits_its_statements(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_storage, "_engines", {})
    monkeypatch.setattr(postgres_storage, "_patience_s", 120)
    instance.optimize_for_webserver(statement_timeout=1234, pool_recycle=3600, max_overflow=20)
    with postgres_storage.connected(instance.run_storage.postgres_url) as connection:  # type: ignore[attr-defined]
        assert connection.execute(db.text("show statement_timeout")).scalar_one() == "1234ms"


def test_the_url_names_driver_and_schema_and_keeps_what_is_given() -> None:
    url = storage_url("postgresql://u:p%2Fw@h:5433/d?sslmode=require&options=-cstatement_timeout%3D9")
    assert url.drivername == "postgresql+psycopg2"
    assert (url.password, url.host, url.port, url.database) == ("p/w", "h", 5433, "d")
    assert dict(url.query) == {
        "sslmode": "require",
        "options": "-cstatement_timeout=9 -csearch_path=dagster",
    }


@pytest.mark.parametrize("text", ["mysql://u:secret@h/d", "secret", "://secret"])
def test_what_is_no_postgresql_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(SettingError) as refused:
        storage_url(text)
    assert "secret" not in str(refused.value) and "EARSHOT_DAGSTER_DB" in str(refused.value)
