"""The warehouse packed: the same content in less room, and whole whatever happens."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from orchestration.packing import Packed, pack


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """A file of which half is free."""
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("create schema marts; create schema intermediate")
        con.execute(
            "create table intermediate.int_windows as select i, hash(i) as key from range(600000) t (i)"
        )
        con.execute("create table intermediate.old as select i, hash(i * 7) as key from range(900000) t (i)")
        con.execute("create table marts.strict (show_id integer not null)")
        con.execute("comment on column intermediate.int_windows.key is 'A key.'")
        con.execute("create view marts.fct_downloads as select * from warehouse.intermediate.int_windows")
        con.execute("comment on view marts.fct_downloads is 'One row a download.'")
    with duckdb.connect(str(path)) as con:
        con.execute("drop table intermediate.old")
        con.execute("create table intermediate.last as select 1 as one")
    return path


def content(path: Path) -> list[object]:
    with duckdb.connect(str(path), read_only=True) as con:
        return [
            con.execute(query).fetchall()
            for query in (
                "select * from marts.fct_downloads",  # in the order it lies in
                "select schema_name, table_name, comment from duckdb_tables() order by all",
                "select view_name, sql, comment from duckdb_views() where not internal order by all",
                "select table_name, column_name, data_type, is_nullable, comment from duckdb_columns()"
                " where not internal order by all",
            )
        ]


def packed(path: Path) -> Packed:
    return pack(path, "1GB", many_blocks=8)


def test_the_content_stays_and_the_room_goes(warehouse: Path) -> None:
    before = content(warehouse)
    done = packed(warehouse)
    assert done.bytes_after < 0.7 * done.bytes_before
    assert done.bytes_after == warehouse.stat().st_size
    assert not done.note
    assert content(warehouse) == before
    assert [path.name for path in warehouse.parent.iterdir()] == ["warehouse.duckdb"]


def test_a_file_with_little_room_is_left_alone(warehouse: Path) -> None:
    packed(warehouse)
    before = warehouse.stat()
    assert packed(warehouse) == Packed(before.st_size, before.st_size)
    assert warehouse.stat().st_ino == before.st_ino


def test_no_warehouse_is_no_fault(tmp_path: Path) -> None:
    assert packed(tmp_path / "warehouse.duckdb") == Packed(0, 0)


def test_one_in_use_is_left_for_the_next_time(warehouse: Path) -> None:
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(warehouse)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    done = packed(warehouse)
    holder.communicate("\n")
    assert "in use" in done.note
    assert done.bytes_after == done.bytes_before


@pytest.mark.parametrize("step", ["packing.sync", "packing.Path.replace"])
def test_killed_in_the_middle_it_leaves_a_whole_warehouse_and_a_rerun_packs_it(
    warehouse: Path, step: str
) -> None:
    before = content(warehouse)
    script = textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        from orchestration import packing
        {step} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
        packing.pack(Path(sys.argv[1]), "1GB", many_blocks=8)
    """)
    killed = subprocess.run([sys.executable, "-c", script, str(warehouse)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert content(warehouse) == before
    assert packed(warehouse).bytes_after < 0.7 * 600000 * 16 * 2
    assert content(warehouse) == before
    assert [path.name for path in warehouse.parent.iterdir()] == ["warehouse.duckdb"]


def test_what_a_killed_build_left_in_the_log_is_kept(warehouse: Path) -> None:
    script = textwrap.dedent("""
        import duckdb, os, signal, sys
        con = duckdb.connect(sys.argv[1])
        con.execute("create table marts.dim_new as select 7 as number")
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    subprocess.run([sys.executable, "-c", script, str(warehouse)], check=False)
    packed(warehouse)
    with duckdb.connect(str(warehouse), read_only=True) as con:
        assert con.execute("select number from marts.dim_new").fetchall() == [(7,)]
