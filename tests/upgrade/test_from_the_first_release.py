"""Today's code opens what the first release left: the same marts as a fresh build of the same files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import duckdb
import polars as pl
import pytest

from ingest.catalog import take_in_catalog
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.logs.rules import prefixes_in_force
from ingest.settings import Settings
from tests.upgrade import first_release

Rows = dict[str, tuple[list[str], Counter[tuple[str, ...]]]]


def earshot(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EARSHOT_")}
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        env={**clean, "EARSHOT_DATA": str(data), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def marts(data: Path) -> Rows:
    """Each published mart: its columns, and its rows with how often they stand there."""
    database = os.path.realpath(data / "published" / "current" / "marts.duckdb")
    with duckdb.connect(database, read_only=True) as con:
        columns: dict[str, list[str]] = {}
        for name, column in con.execute(
            "select table_name, column_name from information_schema.columns order by 1, 2"
        ).fetchall():
            columns.setdefault(name, []).append(column)
        return {
            name: (
                named,
                Counter(
                    tuple(map(str, row))
                    for row in con.execute(f"from {name} select {', '.join(named)}").fetchall()
                ),
            )
            for name, named in columns.items()
        }


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("first") / "data"
    first_release.unpack(data)
    return data


def test_upgraded_marts_are_those_of_a_fresh_build(first: Path, tmp_path: Path) -> None:
    upgraded, fresh = tmp_path / "upgraded", Settings(data=tmp_path / "fresh")
    shutil.copytree(first, upgraded, symlinks=True)
    # The same secrets: else all listeners would have other keys.
    for name in ("landing", "keys"):
        shutil.copytree(first / name, fresh.data / name)
    shutil.copy(first / "registry.db", fresh.data)
    lake = Lake(fresh.lake_dir)
    take_in_catalog(sorted((fresh.landing_dir / "catalog").glob("*.csv")), lake, prefixes_in_force(fresh))
    take_in(find_landing_files(fresh.model_copy(update={"settle_s": 0})), fresh, lake)

    for arguments in (["migrate"], ["rebuild"]):
        done = earshot(upgraded, *arguments)
        assert done.returncode == 0, done.stderr
    assert earshot(fresh.data, "rebuild").returncode == 0

    ours, wanted = marts(upgraded), marts(fresh.data)
    assert set(ours) == set(wanted) and len(wanted) > 20
    assert {name for name in wanted if ours[name] != wanted[name]} == set()
    assert sum(wanted["fct_downloads"][1].values()) > 50
    # The version before stays for its readers, the registry's podcasts are there.
    assert (upgraded / "published" / "00000001").exists()
    told = earshot(upgraded, "list").stdout
    assert all(feed in told for feed in first_release.FEEDS)
    findings = earshot(upgraded, "doctor")
    assert "older Earshot" not in findings.stdout


def test_the_stored_one_is_what_the_first_releases_code_makes(first: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    try:
        first_release.make(made)
    except first_release.NoHistory as error:
        pytest.skip(str(error))

    def held(data: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
        files = pl.read_parquet(data / "lake" / "files" / "**" / "*.parquet")
        requests = pl.read_parquet(data / "lake" / "requests" / "**" / "*.parquet")
        own = [name for name in requests.columns if "key" not in name]  # keys have secrets of their own
        return (
            files.select("source", "file_name", "status", "requests", "rejects").sort(pl.all()),
            requests.select(own).sort(own, nulls_last=True),
        )

    for ours, wanted in zip(held(made), held(first), strict=True):
        assert ours.equals(wanted)


def test_a_lake_of_the_layout_before_is_refused_with_what_to_do(first: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(first / "lake", data / "lake")
    (data / "lake" / "FORMAT").unlink()  # layout 1 had none
    done = earshot(data, "migrate")
    assert done.returncode == 1 and "layout 1" in done.stderr and "taken in again" in done.stderr
    assert "Traceback" not in done.stderr
