"""A version made from the one before: the same rows as a whole copy, and nothing of the old one touched."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from serving import change as change_module
from serving.change import Change, State
from serving.publish import Publication, publish

FIRST = date(2026, 9, 1)
RULES = "window=calendar"


class Warehouse:
    """Marts as builds leave them: one by date, one of the whole history, one small."""

    def __init__(self, path: Path, days: int = 5) -> None:
        self.path, self.generation = path, 0
        with duckdb.connect(str(path)) as con:
            con.execute("create schema marts")
            con.execute("create table marts.fct_downloads (date date, show_id integer, served_bytes integer)")
            con.execute("comment on table marts.fct_downloads is 'One row a download.'")
            con.execute("create table marts.fct_show_daily (date date, show_id integer, downloads bigint)")
            con.execute("create table marts.fct_pacing (show_id integer, downloads integer)")
            con.execute("create table marts.dim_shows (show_id integer, title varchar)")
            con.execute("comment on column marts.dim_shows.title is 'The title.'")
        self.build(range(days), is_whole=True)

    def build(self, numbers: list[int] | range, is_whole: bool = False, rows: int = 50) -> Change:
        """Replace these days, as a build of new files does."""
        before = State.of(self.path)
        assert before
        self.generation += 1
        days = [FIRST + timedelta(days=number) for number in numbers]
        with duckdb.connect(str(self.path)) as con:
            for day in days:
                con.execute("delete from marts.fct_downloads where date = ?", [day])
                con.execute(
                    "insert into marts.fct_downloads select ?, hash(i) % 7, ? from range(?) as t (i)",
                    [day, self.generation, rows],
                )
                con.execute("delete from marts.fct_show_daily where date = ?", [day])
                con.execute(
                    "insert into marts.fct_show_daily select date, show_id, sum(served_bytes)"
                    " from marts.fct_downloads where date = ? group by all",
                    [day],
                )
            con.execute(
                "create or replace table marts.dim_shows as select distinct show_id,"
                f" 'show ' || show_id || ' {self.generation}' as title from marts.fct_downloads"
            )
            if is_whole:
                con.execute(
                    "create or replace table marts.fct_pacing as"
                    " select show_id, cast(count(*) as integer) as downloads"
                    " from marts.fct_downloads group by all"
                )
        after = State.of(self.path)
        assert after
        return Change(before, after, tuple(days), () if is_whole else ("fct_pacing",), RULES)


def rows(database: Path, schema: str = "main") -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(database), read_only=True) as con:
        return {
            mart: sorted(con.execute(f"select * from {schema}.{mart}").fetchall())
            for mart in ("dim_shows", "fct_downloads", "fct_pacing", "fct_show_daily")
        }


def parquet_rows(done: Publication) -> dict[str, list[tuple[object, ...]]]:
    files = {table.name: [str(done.path / part.file) for part in table.files] for table in done.tables}
    return {
        mart: sorted(duckdb.sql(f"select * from read_parquet({paths})").fetchall()) if paths else []
        for mart, paths in files.items()
    }


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def house(tmp_path: Path) -> tuple[Warehouse, Path]:
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    published = tmp_path / "published"
    first = warehouse.build([0], is_whole=True)
    assert publish(warehouse.path, published, keep=3, change=first).is_whole
    return warehouse, published


def test_after_any_builds_a_version_holds_what_the_warehouse_does(house: tuple[Warehouse, Path]) -> None:
    warehouse, published = house
    rng = random.Random(4)
    for number in range(8):
        days = sorted(rng.sample(range(7), rng.randint(0, 3)))
        change = warehouse.build(days, is_whole=number % 3 == 2, rows=rng.randint(0, 60))
        done = publish(warehouse.path, published, keep=3, change=change)
        assert not done.is_whole
        wanted = rows(warehouse.path, "marts")
        assert rows(done.database) == wanted
        assert parquet_rows(done) == wanted
        with duckdb.connect(str(done.shared_database), read_only=True) as con:
            assert sorted(con.execute("from fct_show_daily").fetchall()) == wanted["fct_show_daily"]
            shows = [(show,) for show, _ in wanted["dim_shows"]]
            assert sorted(con.execute("from dim_shows").fetchall()) == shows
        manifest = json.loads((done.path / "manifest.json").read_text())
        assert {t["name"]: t["rows"] for t in manifest["tables"]} == {m: len(r) for m, r in wanted.items()}
        for table in manifest["tables"]:
            for part in table["files"]:
                content = (done.path / part["file"]).read_bytes()
                assert part["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_version_before_stays_as_it_was_to_the_byte(house: tuple[Warehouse, Path]) -> None:
    warehouse, published = house
    before = checksums(published / "00000001")
    for _ in range(2):
        publish(warehouse.path, published, keep=3, change=warehouse.build([0, 2]))
    assert checksums(published / "00000001") == before


def test_days_that_have_not_changed_are_the_same_file_under_two_names(house: tuple[Warehouse, Path]) -> None:
    warehouse, published = house
    done = publish(warehouse.path, published, keep=3, change=warehouse.build([4]))
    same = {
        path.name
        for path in (done.path / "downloads" / "fct_downloads").iterdir()
        if path.samefile(published / "00000001" / "downloads" / "fct_downloads" / path.name)
    }
    assert same == {f"2026-09-0{day}.parquet" for day in (1, 2, 3, 4)}


def test_a_day_that_has_no_rows_any_more_has_no_file(house: tuple[Warehouse, Path]) -> None:
    warehouse, published = house
    done = publish(warehouse.path, published, keep=3, change=warehouse.build([1], rows=0))
    assert not (done.path / "downloads" / "fct_downloads" / "2026-09-02.parquet").exists()
    assert rows(done.database) == rows(warehouse.path, "marts")


def test_comments_and_the_storage_version_come_along(house: tuple[Warehouse, Path]) -> None:
    warehouse, published = house
    done = publish(warehouse.path, published, keep=3, change=warehouse.build([1]))
    with duckdb.connect() as con:
        con.execute(f"attach '{done.database}' as it (read_only)")
        (tags,) = con.execute("select tags from duckdb_databases() where database_name = 'it'").fetchall()[0]
        comments = con.execute(
            "select comment from duckdb_tables() where comment is not null union all"
            " select comment from duckdb_columns() where comment is not null order by 1"
        ).fetchall()
    assert tags["storage_version"].startswith("v1.2.0")
    # The build made dim_shows anew without its comment.
    assert comments == [("One row a download.",)]


@pytest.mark.parametrize("what", ["a build in between", "other rules", "another column", "a day old"])
def test_all_is_copied_when_the_word_of_the_build_cannot_be_trusted(
    house: tuple[Warehouse, Path], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, published = house
    if what == "a build in between":
        warehouse.build([3])  # its publication failed, say
    change = warehouse.build([1])
    if what == "other rules":
        change = replace(change, rules="window=first_touch")
    if what == "another column":
        with duckdb.connect(str(warehouse.path)) as con:
            con.execute("alter table marts.fct_downloads add column app varchar")
        after = State.of(warehouse.path)
        assert after
        change = replace(change, after=after)
    if what == "a day old":
        monkeypatch.setattr(change_module, "WHOLE_AFTER", timedelta(0))
    done = publish(warehouse.path, published, keep=3, change=change)
    assert done.is_whole
    assert rows(done.database) == rows(warehouse.path, "marts")


def test_a_change_is_read_as_it_was_written_and_a_torn_one_is_none(tmp_path: Path) -> None:
    change = Change(State(1, 2), State(3, 4), (FIRST,), ("fct_pacing",), RULES)
    path = tmp_path / "last_build.json"
    assert Change.read(path) is None
    change.write(path)
    assert Change.read(path) == change
    path.write_text(path.read_text()[:-9])
    assert Change.read(path) is None


@pytest.mark.parametrize("step", ["parquet.ParquetFiles.write", "versions.flush", "versions.switch"])
def test_a_publisher_killed_between_leaves_the_old_version_and_the_next_one_has_all(
    house: tuple[Warehouse, Path], step: str, tmp_path: Path
) -> None:
    warehouse, published = house
    old = rows(published / "current" / "marts.duckdb")
    change = warehouse.build([2])
    change.write(tmp_path / "last_build.json")
    script = textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        from serving import change, parquet, publish, versions
        {step} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
        publish.publish(
            Path(sys.argv[1]), Path(sys.argv[2]), 3, change=change.Change.read(Path(sys.argv[3]))
        )
    """)
    command = [sys.executable, "-c", script, str(warehouse.path), str(published)]
    killed = subprocess.run([*command, str(tmp_path / "last_build.json")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert rows(Path(os.path.realpath(published / "current" / "marts.duckdb"))) == old

    again = publish(warehouse.path, published, keep=3, change=change)  # the retry of the same run
    assert not again.is_whole
    assert rows(again.database) == rows(warehouse.path, "marts")
    later = publish(warehouse.path, published, keep=3, change=warehouse.build([3]))
    assert rows(later.database) == rows(warehouse.path, "marts")
