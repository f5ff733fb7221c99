"""README, *For analysts*: its commands do what it says, typed as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import psycopg2
import pytest

from serving.publish import Publication, publish
from tests.postgres import Postgres, postgres
from tests.serving.test_shared import fill

__all__ = ["postgres"]

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SECTION = README.split("## For analysts\n")[1].split("\n## ")[0]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Publication]]:
    """A folder with `.earshot` in it, as the README's commands expect, and what is published there."""
    folder = tmp_path_factory.mktemp("desk")
    data = folder / ".earshot"
    data.mkdir()
    fill(data / "warehouse.duckdb")
    with duckdb.connect(str(data / "warehouse.duckdb")) as con:
        con.execute("update marts.fct_show_daily set source_class = 'server_log'")
    yield folder, publish(data / "warehouse.duckdb", data / "published", keep=3, window="calendar")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)
    assert found
    return found[1]


def earshot(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def told_by_doctor(folder: Path, url: str) -> str:
    return " ".join(earshot(folder, "doctor", EARSHOT_MARTS_DB=url).stdout.split())


def test_the_query_gives_the_same_in_duckdb_and_postgres(
    desk: tuple[Path, Publication], postgres: Postgres
) -> None:
    folder, done = desk
    url = postgres.url(postgres.create_database())
    assert "none, but version 1 is published" in told_by_doctor(folder, url)
    loaded = earshot(folder, "marts", "load", EARSHOT_MARTS_DB=url)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stderr.startswith("version 1: 1,160 rows (all of it)")
    again = earshot(folder, "marts", "load", EARSHOT_MARTS_DB=url)
    assert again.stderr.startswith("version 1: 0 rows")
    assert "marts in PostgreSQL: version 1" in told_by_doctor(folder, url)
    with duckdb.connect(str(done.shared_database), read_only=True) as con:
        wanted = con.execute(block("sql")).fetchall()
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("set search_path to marts")
        cursor.execute(block("sql"))
        assert cursor.fetchall() == wanted
    assert len(wanted) == 40
    assert wanted[0] == ("show_title 39", 39)


def test_the_python_lines_run_as_they_stand(desk: tuple[Path, Publication]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block("python")], cwd=desk[0], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "int128" in done.stdout and "downloads" in done.stdout
    assert "shape: (40, 2)" in done.stdout


def test_loading_without_a_database_says_what_to_set(desk: tuple[Path, Publication]) -> None:
    done = earshot(desk[0], "marts", "load", EARSHOT_MARTS_DB="")
    assert done.returncode == 1
    assert "set EARSHOT_MARTS_DB" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_cannot_be_reached_is_an_error_without_its_password(
    desk: tuple[Path, Publication],
) -> None:
    url = "postgresql://earshot:s3cret@127.0.0.1:1/marts"
    done = earshot(desk[0], "marts", "load", EARSHOT_MARTS_DB=url)
    assert done.returncode == 1
    assert "still has the version before" in done.stderr.replace("\n", " ")
    assert "s3cret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
