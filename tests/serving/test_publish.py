"""The publisher: whole versions, never half a version, never in the readers' way."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import duckdb
import pytest

from serving import publish as publish_module
from serving import versions
from serving.publish import MartOrder, PublishError, publish, sort_columns
from serving.versions import current_version


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    fill(path, generation=1)
    return path


def fill(path: Path, generation: int, rows: int = 2000) -> None:
    """Two marts that must agree: every download has bytes = generation, the daily mart holds their sum."""
    with duckdb.connect(str(path)) as con:
        con.execute("create schema if not exists marts; create schema if not exists intermediate")
        con.execute(f"""
            create or replace table marts.fct_downloads as
            select
                hash(i) % 7 as show_id, date '2026-01-01' + cast(hash(i * 3) % 5 as integer) as download_date,
                i as listener_key, {generation} as served_bytes
            from range({rows}) as t (i)
        """)
        con.execute("comment on table marts.fct_downloads is 'One row a counted download.'")
        con.execute("comment on column marts.fct_downloads.show_id is 'The show''s id.'")
        con.execute("create or replace table intermediate.secret as select 1 as listener_key")
        con.execute("""
            create or replace table marts.fct_show_daily as
            select show_id, download_date, count(*) as downloads, sum(served_bytes) as served_bytes
            from marts.fct_downloads group by all
        """)
        con.execute(
            "create or replace view marts.dim_shows as select distinct show_id from marts.fct_downloads"
        )


def read(path: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path.resolve()), read_only=True) as con:
        return con.execute(query).fetchall()


def test_every_table_and_view_of_the_marts_schema_is_published_and_nothing_else(
    warehouse: Path, tmp_path: Path
) -> None:
    done = publish(warehouse, tmp_path / "published", keep=3)
    assert [(table.name, table.rows) for table in done.tables] == [
        ("dim_shows", 7),
        ("fct_downloads", 2000),
        ("fct_show_daily", 35),
    ]
    found = read(done.database, "select table_name from duckdb_tables() order by 1")
    assert found == [("dim_shows",), ("fct_downloads",), ("fct_show_daily",)]
    parquet = done.path / "downloads" / "fct_downloads.parquet"
    assert duckdb.sql(f"select count(*) from read_parquet('{parquet}')").fetchall() == [(2000,)]


def test_readers_can_name_a_mart_with_and_without_its_schema(warehouse: Path, tmp_path: Path) -> None:
    done = publish(warehouse, tmp_path / "published", keep=3)
    assert read(done.database, "select count(*) from fct_downloads") == [(2000,)]
    assert read(done.database, "select count(*) from marts.fct_downloads") == [(2000,)]


def test_comments_of_tables_and_columns_come_along(warehouse: Path, tmp_path: Path) -> None:
    done = publish(warehouse, tmp_path / "published", keep=3)
    assert read(done.database, "select comment from duckdb_tables() where table_name = 'fct_downloads'") == [
        ("One row a counted download.",)
    ]
    assert read(
        done.database,
        "select comment from duckdb_columns() where table_name = 'fct_downloads' and column_name = 'show_id'",
    ) == [("The show's id.",)]


def test_marts_are_sorted_by_show_then_date(warehouse: Path, tmp_path: Path) -> None:
    done = publish(warehouse, tmp_path / "published", keep=3)
    rows = read(done.database, "select show_id, download_date from fct_downloads order by rowid")
    assert rows == sorted(rows)


def test_the_show_comes_first_then_dates_then_instants() -> None:
    columns = [
        ("first_request_at", "TIMESTAMP"),
        ("episode_id", "VARCHAR"),
        ("download_date", "DATE"),
        ("show_id", "VARCHAR"),
    ]
    assert sort_columns(columns) == ("show_id", "download_date", "first_request_at")


def test_the_file_has_a_storage_version_that_older_drivers_read(warehouse: Path, tmp_path: Path) -> None:
    done = publish(warehouse, tmp_path / "published", keep=3)
    with duckdb.connect() as con:
        con.execute(f"attach '{done.database}' as it (read_only)")
        tags = con.execute("select tags from duckdb_databases() where database_name = 'it'").fetchall()
    assert tags[0][0]["storage_version"].startswith("v1.2.0")


def test_the_manifest_says_what_is_in_the_version(warehouse: Path, tmp_path: Path) -> None:
    done = publish(warehouse, tmp_path / "published", keep=3, window="calendar")
    manifest = json.loads((done.path / "manifest.json").read_text())
    assert manifest["version"] == 1
    assert manifest["window"] == "calendar"
    assert {t["name"]: t["rows"] for t in manifest["tables"]} == {t.name: t.rows for t in done.tables}
    assert manifest["database"]["sha256"] == publish_module.sha256(done.database)
    downloads = manifest["tables"][1]
    assert downloads["order_by"] == ["show_id", "download_date"]
    assert downloads["columns"][0]["description"] == "The show's id."


def test_an_unchanged_warehouse_published_twice_gives_equal_tables(warehouse: Path, tmp_path: Path) -> None:
    first, second = (publish(warehouse, tmp_path / "published", keep=3) for _ in range(2))
    assert (first.version, second.version) == (1, 2)
    query = "select * from fct_downloads order by all"
    assert read(first.database, query) == read(second.database, query)


def test_empty_marts_are_published(tmp_path: Path) -> None:
    fill(tmp_path / "warehouse.duckdb", generation=1, rows=0)
    done = publish(tmp_path / "warehouse.duckdb", tmp_path / "published", keep=3)
    assert [table.rows for table in done.tables] == [0, 0, 0]
    assert read(done.database, "select count(*) from fct_downloads") == [(0,)]


def test_only_the_newest_versions_stay(warehouse: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    for _ in range(5):
        done = publish(warehouse, published, keep=2)
    assert sorted(p.name for p in published.iterdir() if p.name.isdecimal()) == ["00000004", "00000005"]
    assert current_version(published) == done.path


def test_the_version_readers_are_sent_to_is_never_removed(warehouse: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    first = publish(warehouse, published, keep=1)
    # Versions 2 and 3 exist, but the link still says 1: a publish that died before it moved the link.
    (published / "00000002").mkdir()
    (published / "00000003").mkdir()
    versions.prune(published, keep=1)
    assert first.path.is_dir()


def test_chosen_marts_are_published_in_the_chosen_order(warehouse: Path, tmp_path: Path) -> None:
    done = publish(
        warehouse, tmp_path / "published", keep=3, marts=[MartOrder("fct_downloads", ("listener_key",))]
    )
    rows = read(done.database, "select listener_key from fct_downloads order by rowid limit 3")
    assert rows == [(0,), (1,), (2,)]
    assert [table.name for table in done.tables] == ["fct_downloads"]


def test_a_mart_that_is_not_there_is_named(warehouse: Path, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="has no fct_missing; it has dim_shows, fct_downloads"):
        publish(warehouse, tmp_path / "published", keep=3, marts=[MartOrder("fct_missing", ())])


def test_a_missing_warehouse_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"no warehouse at .*dbt build"):
        publish(tmp_path / "warehouse.duckdb", tmp_path / "published", keep=3)


def test_a_warehouse_without_marts_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "warehouse.duckdb")).close()
    with pytest.raises(PublishError, match=r"no table in schema `marts`.*dbt build"):
        publish(tmp_path / "warehouse.duckdb", tmp_path / "published", keep=3)


def test_a_warehouse_another_process_holds_is_an_error_that_says_what_to_do(
    warehouse: Path, tmp_path: Path
) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()",
            str(warehouse),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(PublishError, match=f"in use.*PID {holder.pid}.*wait for the run"):
            publish(warehouse, tmp_path / "published", keep=3)
    finally:
        holder.communicate("\n")
    assert publish(warehouse, tmp_path / "published", keep=3).version == 1


def test_a_full_disk_leaves_the_old_version_current(
    warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tmp_path / "published"
    first = publish(warehouse, published, keep=3)

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(versions, "flush", full)
    with pytest.raises(PublishError, match=r"no room under .*free some space"):
        publish(warehouse, published, keep=3)
    assert current_version(published) == first.path
    assert sorted(p.name for p in published.iterdir()) == [".lock", "00000001", "current"]


@pytest.mark.parametrize("step", ["flush", "switch", "prune"])
def test_a_publisher_killed_in_the_middle_leaves_the_old_version_and_a_rerun_heals(
    warehouse: Path, tmp_path: Path, step: str
) -> None:
    published = tmp_path / "published"
    publish(warehouse, published, keep=1)
    fill(warehouse, generation=2)
    script = textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        from serving import publish, versions
        versions.{step} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
        publish.publish(Path(sys.argv[1]), Path(sys.argv[2]), keep=1)
    """)
    killed = subprocess.run([sys.executable, "-c", script, str(warehouse), str(published)], check=False)
    assert killed.returncode == -signal.SIGKILL
    generation = 2 if step == "prune" else 1  # only before the link has moved is the old version current
    assert read(published / "current" / "marts.duckdb", "select max(served_bytes) from fct_downloads") == [
        (generation,)
    ]

    healed = publish(warehouse, published, keep=1)
    assert read(published / "current" / "marts.duckdb", "select max(served_bytes) from fct_downloads") == [
        (2,)
    ]
    assert sorted(p.name for p in published.iterdir()) == [".lock", healed.path.name, "current"]


def test_a_reader_meets_no_error_and_no_torn_version_while_twenty_are_published(
    warehouse: Path, tmp_path: Path
) -> None:
    published = tmp_path / "published"
    publish(warehouse, published, keep=3)
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import os, sys
                import duckdb
                reads, seen = 0, set()
                while not os.path.exists(sys.argv[2]):
                    inside = os.path.realpath(sys.argv[1])
                    shared = os.path.join(os.path.dirname(inside), "shared.duckdb")
                    with duckdb.connect(shared, read_only=True) as con:
                        (others,) = con.execute("select sum(served_bytes) from fct_show_daily").fetchall()[0]
                    with duckdb.connect(inside, read_only=True) as con:
                        least, most, total = con.execute(
                            "select min(served_bytes), max(served_bytes), sum(served_bytes)"
                            " from fct_downloads"
                        ).fetchall()[0]
                        (daily,) = con.execute("select sum(served_bytes) from fct_show_daily").fetchall()[0]
                    assert least == most, f"two generations in one version: {least}, {most}"
                    assert total == daily == others, f"marts disagree: {total}, {daily}, {others}"
                    reads += 1
                    seen.add(most)
                print(reads, len(seen))
            """),
            str(published / "current" / "marts.duckdb"),
            str(tmp_path / "stop"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.3)
    for generation in range(2, 22):
        fill(warehouse, generation)
        publish(warehouse, published, keep=3)
    (tmp_path / "stop").touch()
    out, err = reader.communicate(timeout=30)
    assert reader.returncode == 0, err
    reads, seen = map(int, out.split())
    assert reads >= 20
    assert seen >= 5


def test_the_order_of_steps_is_told(warehouse: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    publish(warehouse, tmp_path / "published", keep=3, progress=lambda *step: told.append(step))
    assert told == [("dim_shows", 0, 3), ("fct_downloads", 1, 3), ("fct_show_daily", 2, 3), ("", 3, 3)]


def test_the_link_is_relative_so_that_the_data_folder_can_move(warehouse: Path, tmp_path: Path) -> None:
    publish(warehouse, tmp_path / "published", keep=3)
    assert (tmp_path / "published" / "current").readlink() == Path("00000001")
