"""The marts in PostgreSQL: the figures of the files, a version at a time, in nobody's way."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from serving.contract import read_contract
from serving.postgres import MartsDatabase, MartsDatabaseError, version_there
from serving.publish import Publication, publish
from tests.postgres import Postgres, postgres
from tests.serving.test_changed_days import Warehouse
from tests.serving.test_publish import fill as fill_two
from tests.serving.test_shared import fill

__all__ = ["postgres"]

READER = "marts_reader"


@pytest.fixture(scope="module")
def database_url(postgres: Postgres) -> str:
    address = postgres.url(postgres.create_database())
    run(address, f"create role {READER} login")
    return address


@pytest.fixture
def url(database_url: str) -> str:
    """Of a database without marts, with a role for readers."""
    for schema in schemas(database_url):
        run(database_url, f"drop schema {schema} cascade")
    return database_url


def run(url: str, statement: str, role: str | None = None) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        if role:
            cursor.execute(f"set role {role}")
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def of_shared(done: Publication, mart: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(done.shared_database), read_only=True) as con:
        return sorted(con.execute(f'from "{mart}"').fetchall(), key=repr)


def of_postgres(url: str, mart: str) -> list[tuple[Any, ...]]:
    return sorted(run(url, f'select * from marts."{mart}"'), key=repr)


def schemas(url: str) -> list[str]:
    return [
        name for (name,) in run(url, "select nspname from pg_namespace where nspname ~ '^marts' order by 1")
    ]


def test_a_postgres_client_reads_the_figures_of_the_file_with_keys_and_comments(
    url: str, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    fill(warehouse)
    done = publish(warehouse, tmp_path / "published", keep=3, window="calendar", postgres=MartsDatabase(url))
    assert done.postgres_problem is None
    wanted = {name for name, mart in read_contract().items() if mart.shared_columns}
    found = {t for (t,) in run(url, "select tablename from pg_tables where schemaname = 'marts'")}
    assert found == wanted | {"published_version", "published_marts"}
    for mart in wanted:
        assert of_postgres(url, mart) == of_shared(done, mart), mart
    assert run(url, "select version, counting_window from marts.published_version") == [(1, "calendar")]
    keys = (
        "select pg_get_constraintdef(oid) from pg_constraint"
        " where conrelid = '{}'::regclass and contype in ('p', 'u')"
    )
    assert run(url, keys.format("marts.dim_shows")) == [("PRIMARY KEY (show_id)",)]
    ((daily,),) = run(url, keys.format("marts.fct_show_daily"))
    assert daily.startswith("UNIQUE") and daily.endswith("(date, source_class, show_id)")
    assert run(url, "select obj_description('marts.dim_shows'::regclass)") == [
        (read_contract()["dim_shows"].description,)
    ]


def test_what_feeds_say_arrives_as_they_said_it(url: str, tmp_path: Path) -> None:
    said = [
        "",
        "NULL",
        "\\N",
        "a\n\\.\nb",
        "x\ry",
        '"',
        "';drop schema marts;--",
        "%s {x}",
        "\u202e🎧",
        "a\0b",
        None,
    ]
    warehouse = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(warehouse)) as con:
        con.execute("create schema marts")
        con.execute("create table marts.dim_shows (show_id varchar, show_title varchar, episodes double)")
        for number, title in enumerate(said):
            con.execute("insert into marts.dim_shows values (?, ?, 1e300)", [str(number), title])
        con.execute("insert into marts.dim_shows values ('nan', 'x', 'nan'), ('inf', 'x', '-inf')")
        con.execute("comment on column marts.dim_shows.show_title is 'It''s 100 % {} %s'")
    done = publish(warehouse, tmp_path / "published", keep=3, postgres=MartsDatabase(url))
    assert done.postgres_problem is None
    found = dict(run(url, "select show_id, show_title from marts.dim_shows"))
    assert [found[str(number)] for number in range(len(said))] == [s and s.replace("\0", "") for s in said]
    numbers = dict(run(url, "select show_id, episodes::text from marts.dim_shows"))
    assert (numbers["0"], numbers["nan"], numbers["inf"]) == ("1e+300", "NaN", "-Infinity")
    comment = "select col_description('marts.dim_shows'::regclass, 2)"
    assert run(url, comment) == [("It's 100 % {} %s",)]


def test_the_readers_role_reads_and_can_do_nothing_else(url: str, tmp_path: Path) -> None:
    database = MartsDatabase(url, READER)
    for generation in range(2):
        fill_two(tmp_path / "warehouse.duckdb", generation)
        done = publish(tmp_path / "warehouse.duckdb", tmp_path / "published", keep=3, postgres=database)
        assert done.postgres_problem is None
        assert run(url, "select count(*) from marts.fct_show_daily", READER) == [(35,)]
    for statement in (
        "delete from marts.fct_show_daily",
        "create table marts.mine (i int)",
        "drop table marts.fct_show_daily",
        "update marts.published_version set version = 9",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(url, statement, READER)


def test_a_role_that_is_not_there_is_named_before_anything_is_loaded(url: str, tmp_path: Path) -> None:
    fill_two(tmp_path / "warehouse.duckdb", generation=1)
    database = MartsDatabase(url, "nobody_of_ours")
    done = publish(tmp_path / "warehouse.duckdb", tmp_path / "published", keep=3, postgres=database)
    assert done.version == 1
    assert 'create role "nobody_of_ours" login' in str(done.postgres_problem)
    assert schemas(url) == []


@pytest.mark.parametrize(
    ("url_given", "told"),
    [
        ("postgresql://earshot:s3cret@127.0.0.1:1/marts", "is it running"),
        ("//earshot:s3cret@127.0.0.1/marts", "no address of a database"),
        ("postgresql://earshot:s3cret@127.0.0.1:abc/marts", "EARSHOT_MARTS_DB"),
    ],
)
def test_what_fails_there_does_not_undo_the_files_and_is_told_without_the_password(
    tmp_path: Path, url_given: str, told: str
) -> None:
    fill_two(tmp_path / "warehouse.duckdb", generation=1)
    database = MartsDatabase(url_given)
    done = publish(tmp_path / "warehouse.duckdb", tmp_path / "published", keep=3, postgres=database)
    assert (tmp_path / "published" / "current").resolve() == done.path.resolve()
    assert done.postgres is None
    assert told.lower() in str(done.postgres_problem).lower()
    assert "s3cret" not in str(done.postgres_problem) + repr(database)


def test_rows_that_postgres_refuses_end_the_load_and_nothing_waits_for_ever(url: str, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(warehouse)) as con:
        con.execute("create schema marts")
        con.execute(
            "create table marts.dim_shows as select case when i > 5 then 'show ' || i end as show_id,"
            " 'a title of a show' as show_title from range(300000) as t (i)"
        )
    before = threading.active_count()
    done = publish(warehouse, tmp_path / "published", keep=3, postgres=MartsDatabase(url))
    assert 'null value in column "show_id"' in str(done.postgres_problem)
    assert done.tables[0].rows == 300_000
    assert schemas(url) == []
    assert threading.active_count() == before


def test_a_schema_of_somebody_elses_is_not_touched(url: str, tmp_path: Path) -> None:
    run(url, "create schema marts; create table marts.theirs as select 1 as i")
    fill_two(tmp_path / "warehouse.duckdb", generation=1)
    done = publish(tmp_path / "warehouse.duckdb", tmp_path / "published", keep=3, postgres=MartsDatabase(url))
    assert "not Earshot's" in str(done.postgres_problem)
    assert run(url, "select i from marts.theirs") == [(1,)]
    assert schemas(url) == ["marts"]


def test_after_any_builds_postgres_has_what_the_file_has(url: str, tmp_path: Path) -> None:
    database = MartsDatabase(url)
    warehouse, published, rng = (
        Warehouse(tmp_path / "warehouse.duckdb"),
        tmp_path / "published",
        random.Random(8),
    )
    publish(warehouse.path, published, 3, change=warehouse.build([0], is_whole=True), postgres=database)
    for number in range(9):
        days = sorted(rng.sample(range(7), rng.randint(0, 3)))
        change = warehouse.build(days, is_whole=number % 3 == 2, rows=rng.randint(0, 60))
        # Every fourth one, PostgreSQL is away.
        done = publish(
            warehouse.path, published, 3, change=change, postgres=None if number % 4 == 3 else database
        )
        assert not done.is_whole
        if number % 4 == 3:
            continue
        assert done.postgres is not None
        assert done.postgres.is_whole is (number % 4 == 0 and number > 0)
        for mart in ("fct_show_daily", "dim_shows"):
            assert of_postgres(url, mart) == of_shared(done, mart), mart
        assert run(url, "select version from marts.published_version") == [(done.version,)]
    assert schemas(url) == ["marts"]


def test_only_what_changed_is_written(url: str, tmp_path: Path) -> None:
    database, published = MartsDatabase(url), tmp_path / "published"
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    first = publish(
        warehouse.path, published, 3, change=warehouse.build([0], is_whole=True), postgres=database
    )
    assert first.postgres is not None and first.postgres.rows == 5 * 7 + 7
    second = publish(warehouse.path, published, 3, change=warehouse.build([4]), postgres=database)
    # The 7 rows of one date; dim_shows was made anew, but has the same shows.
    assert second.postgres is not None and second.postgres.rows == 7


def test_a_former_reader_reads_no_more_once_the_setting_changes(url: str, tmp_path: Path) -> None:
    published, warehouse = tmp_path / "published", Warehouse(tmp_path / "warehouse.duckdb")
    readable = f"select has_table_privilege('{READER}', 'marts.fct_show_daily', 'select')"
    is_whole = True
    for reader, may in ((READER, True), (None, False), (READER, True)):
        database = MartsDatabase(url, reader)
        change = warehouse.build([0], is_whole=is_whole)
        done = publish(warehouse.path, published, 3, change=change, postgres=database)
        assert done.postgres is not None and done.postgres.is_whole is is_whole
        assert run(url, readable) == [(may,)], reader
        is_whole = False


def test_others_settings_load_all_anew(url: str, tmp_path: Path) -> None:
    database, published = MartsDatabase(url), tmp_path / "published"
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    publish(warehouse.path, published, 3, change=warehouse.build([0], is_whole=True), postgres=database)
    change = replace(warehouse.build([1]), rules="window=first_touch")
    done = publish(warehouse.path, published, 3, change=change, postgres=database)
    assert done.postgres is not None and done.postgres.is_whole
    assert of_postgres(url, "fct_show_daily") == of_shared(done, "fct_show_daily")


@pytest.mark.parametrize(
    "step", ["postgres_tables.finish_table", "postgres._Load._sign", "postgres._Load._grant"]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_publisher_killed_while_loading_leaves_the_former_version_and_the_next_one_heals(
    url: str, tmp_path: Path, step: str, is_first: bool
) -> None:
    database, published = MartsDatabase(url), tmp_path / "published"
    warehouse = tmp_path / "warehouse.duckdb"
    fill_two(warehouse, generation=1)
    if not is_first:
        publish(warehouse, published, keep=3, postgres=database)
    before = run(url, "select * from marts.fct_show_daily") if not is_first else []
    fill_two(warehouse, generation=2)
    script = textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        from serving import postgres, postgres_tables, publish
        {step} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
        postgres.finish_table = postgres_tables.finish_table
        database = postgres.MartsDatabase(sys.argv[3])
        publish.publish(Path(sys.argv[1]), Path(sys.argv[2]), keep=3, postgres=database)
    """)
    killed = subprocess.run([sys.executable, "-c", script, str(warehouse), str(published), url], check=False)
    assert killed.returncode == -signal.SIGKILL
    if is_first:
        assert schemas(url) == []
    else:
        assert run(url, "select * from marts.fct_show_daily") == before
        assert run(url, "select version from marts.published_version") == [(1,)]
    healed = publish(warehouse, published, keep=3, postgres=database)
    assert healed.postgres_problem is None
    assert of_postgres(url, "fct_show_daily") == of_shared(healed, "fct_show_daily")
    assert schemas(url) == ["marts"]


def test_a_long_query_holds_no_publication_up_and_ends_on_the_version_it_began_with(
    url: str, tmp_path: Path
) -> None:
    database, published = MartsDatabase(url), tmp_path / "published"
    warehouse = tmp_path / "warehouse.duckdb"
    fill_two(warehouse, generation=1)
    publish(warehouse, published, keep=3, postgres=database)
    with closing(psycopg2.connect(url)) as reader, reader.cursor("rows") as rows:
        rows.itersize = 1
        rows.execute("select show_id from marts.fct_show_daily")
        read = [rows.fetchone()]
        fill_two(warehouse, generation=2)
        done = publish(warehouse, published, keep=3, postgres=database)
        assert done.postgres_problem is None
        assert run(url, "select version from marts.published_version") == [(2,)]
        assert schemas(url) == ["marts", "marts_old_1"]
        assert len(read + rows.fetchall()) == 35
    fill_two(warehouse, generation=3)
    publish(warehouse, published, keep=3, postgres=database)
    assert schemas(url) == ["marts"]


def test_what_others_made_upon_the_marts_is_kept_and_told(url: str, tmp_path: Path) -> None:
    database, published = MartsDatabase(url), tmp_path / "published"
    warehouse = tmp_path / "warehouse.duckdb"
    fill_two(warehouse, generation=1)
    publish(warehouse, published, keep=3, postgres=database)
    run(url, "create view public.theirs as select count(*) as n from marts.dim_shows")
    fill_two(warehouse, generation=2)
    done = publish(warehouse, published, keep=3, postgres=database)
    assert done.postgres is not None
    assert done.postgres.kept_for == ("view theirs",)
    assert "view theirs rests on them" in done.postgres.told
    assert run(url, "select n from public.theirs") == [(7,)]
    run(url, "drop view public.theirs")
    fill_two(warehouse, generation=3)
    publish(warehouse, published, keep=3, postgres=database)
    assert schemas(url) == ["marts"]


def test_a_postgres_reader_meets_no_error_and_no_torn_version_while_twenty_are_published(
    url: str, tmp_path: Path
) -> None:
    database, published = MartsDatabase(url, READER), tmp_path / "published"
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    publish(warehouse.path, published, 3, change=warehouse.build(range(5), is_whole=True), postgres=database)
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import os, sys
                import psycopg2
                connection = psycopg2.connect(sys.argv[1])
                connection.autocommit = True
                cursor = connection.cursor()
                cursor.execute("set role marts_reader")
                # As tools do that keep a connection: a statement prepared once.
                cursor.execute(
                    "prepare ask as select min(downloads / rows), max(downloads / rows),"
                    " (select version from marts.published_version) from"
                    " (select date, sum(downloads) as downloads, 50 as rows from marts.fct_show_daily"
                    " group by date) as days"
                )
                reads, seen = 0, set()
                while not os.path.exists(sys.argv[2]):
                    cursor.execute("execute ask")
                    least, most, version = cursor.fetchall()[0]
                    assert least == most, f"two generations in one version: {least}, {most}"
                    reads += 1
                    seen.add((version, least))
                versions = [version for version, _ in seen]
                assert len(versions) == len(set(versions)), "a version with two contents"
                print(reads, len(seen))
            """),
            url,
            str(tmp_path / "stop"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.3)
    for number in range(20):
        change = warehouse.build(range(5))
        if number % 3 == 2:  # some are loaded beside and swapped, some replaced in place
            change = replace(change, rules=f"other {number}")
        done = publish(warehouse.path, published, 3, change=change, postgres=database)
        assert done.postgres_problem is None
    (tmp_path / "stop").touch()
    out, err = reader.communicate(timeout=30)
    assert reader.returncode == 0, err
    reads, seen = map(int, out.split())
    assert reads >= 20
    assert seen >= 10


def test_a_password_with_an_at_sign_is_not_shown() -> None:
    with pytest.raises(MartsDatabaseError, match="write it as %40") as told:
        version_there(MartsDatabase("postgresql://u:s3cret@pw@127.0.0.1:1/x"))
    assert "s3cret" not in str(told.value) and "@pw" not in str(told.value)
