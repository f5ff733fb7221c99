"""The marts in use: a request has one version from beginning to end, and publishing disturbs none."""

from __future__ import annotations

import gc
import shutil
import threading
import time
import weakref
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from serving.api.marts import Edition, Marts
from serving.versions import switch
from tests.serving.api.published import a_show, publish_rows


def publish_generation(folder: Path, generation: int) -> None:
    """Every row of both marts says the generation."""
    daily = {
        "show_id": "s1", "source_class": "server_log", "date": date(2026, 9, 1), "downloads": generation,
    }  # fmt: skip
    publish_rows(folder, {"dim_shows": [a_show("s1", episodes=generation)], "fct_show_daily": [daily]})


def test_readers_see_whole_versions_through_publications(tmp_path: Path) -> None:
    publish_generation(tmp_path, 1)
    marts = Marts(tmp_path)
    wrong: list[object] = []
    seen: set[int] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            edition = marts.current
            assert edition is not None
            try:
                first = edition.rows("select episodes from dim_shows")[0]["episodes"]
                second = edition.frame("select downloads from fct_show_daily")["downloads"][0]
                if not first == second == edition.version:
                    wrong.append((first, second, edition.version))
                seen.add(first)
            except Exception as error:
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for generation in range(2, 5):
        publish_generation(tmp_path, generation)
        assert marts.refresh()
    while 4 not in seen and not wrong:
        time.sleep(0.01)
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert not marts.refresh()


def test_a_version_nobody_uses_is_closed(tmp_path: Path) -> None:
    publish_generation(tmp_path, 1)
    marts = Marts(tmp_path)
    first = weakref.ref(marts.current)  # type: ignore[arg-type]
    for generation in range(2, 5):
        publish_generation(tmp_path, generation)
        marts.refresh()
    gc.collect()
    assert first() is None


def test_a_version_that_cannot_be_read_leaves_the_former(tmp_path: Path) -> None:
    publish_generation(tmp_path, 1)
    marts = Marts(tmp_path)
    publish_generation(tmp_path, 2)
    folder = (tmp_path / "current").resolve()
    (folder / "marts.duckdb").write_bytes(b"no database")
    assert not marts.refresh() and marts.current and marts.current.version == 1
    publish_generation(tmp_path, 3)
    assert marts.refresh() and marts.current.version == 3


def test_earlier_versions_are_there_as_long_as_they_are_kept(tmp_path: Path) -> None:
    for generation in (1, 2, 3, 4):
        publish_generation(tmp_path, generation)
    marts = Marts(tmp_path)
    identity = Edition(tmp_path / "00000003").identity
    third = marts.edition(3, identity)
    assert third and third.rows("select episodes from dim_shows")[0]["episodes"] == 3
    assert marts.edition(1, identity) is None and marts.edition(99, identity) is None
    assert marts.edition(3, "another") is None
    shutil.rmtree(tmp_path / "00000003")
    assert marts.edition(3, identity) is third  # it is open


@pytest.mark.parametrize(
    "manifest",
    ["{}", "null", "[]", '"x"', "3", "{", '{"version": null}', '{"version": 2, "made_at": "x", "tables": []}',
     '{"version": 2, "made_at": "2026-09-01T00:00:00", "tables": []}',
     '{"version": 2, "made_at": "2026-09-01T00:00:00+00:00", "tables": [3]}',
     '{"version": 2, "made_at": "2026-09-01T00:00:00+00:00", "tables": [], "window": "fortnight"}',
     '{"version": 1e999, "made_at": "2026-09-01T00:00:00+00:00", "tables": []}', "[" * 100_000],
)  # fmt: skip
def test_a_manifest_that_says_nothing_leaves_the_former_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, manifest: str
) -> None:
    for name in ("00000001", "00000002"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(manifest, "utf-8")
    switch(tmp_path, "00000002")
    marts = Marts(tmp_path)
    assert [marts.refresh(), marts.refresh()] == [False, False] and marts.current is None
    assert marts.unreadable == "00000002"
    assert caplog.text.count("version 00000002 cannot be read") == 1
    switch(tmp_path, "00000001")
    assert not marts.refresh() and "version 00000001 cannot be read" in caplog.text
    publish_generation(tmp_path, 3)
    assert marts.refresh() and marts.unreadable is None


def test_a_number_that_comes_again_is_another_version(tmp_path: Path) -> None:
    publish_generation(tmp_path, 1)
    publish_generation(tmp_path, 2)
    marts = Marts(tmp_path)
    former = marts.current
    assert former is not None
    # Rolled back and published anew, between two looks, while a request still reads the former.
    switch(tmp_path, "00000001")
    shutil.rmtree(tmp_path / "00000002")
    publish_generation(tmp_path, 7)
    assert marts.refresh() and not marts.refresh()
    assert marts.current and marts.current.version == 2
    assert marts.current.identity != former.identity
    assert marts.current.rows("select episodes from dim_shows")[0]["episodes"] == 7
    assert former.rows("select episodes from dim_shows")[0]["episodes"] == 2
    assert marts.edition(2, former.identity) is former  # a cursor may go on in it


def test_nothing_but_the_marts_can_be_read(tmp_path: Path) -> None:
    publish_generation(tmp_path, 1)
    edition = Marts(tmp_path).current
    assert edition is not None
    for sql in (
        "select * from read_csv('/etc/passwd')",
        "copy dim_shows to '/tmp/x.csv'",
        "drop table dim_shows",
    ):
        try:
            edition.rows(sql)
        except Exception as error:
            assert "disabled" in str(error) or "read-only" in str(error), error
        else:
            raise AssertionError(sql)


def test_a_frame_has_the_types_of_its_columns_even_without_rows(tmp_path: Path) -> None:
    publish_generation(tmp_path, 1)
    edition = Marts(tmp_path).current
    assert edition is not None
    for where in ("true", "false"):
        frame = edition.frame(
            "select date, downloads, show_id, timestamp '2026-09-01 06:00' as at, 1.5::double as share,"
            f" sum(downloads) over () as whole, true as yes, ['a'] as names from fct_show_daily where {where}"
        )
        kinds = [pl.Date, pl.Int64, pl.String, pl.Datetime("us"), pl.Float64, pl.Int64, pl.Boolean]
        assert frame.dtypes[:7] == kinds, where
    assert edition.frame("select ['a', 'b'] as names")["names"].to_list() == [["a", "b"]]


def test_without_a_publication_there_is_none(tmp_path: Path) -> None:
    marts = Marts(tmp_path / "published")
    assert marts.current is None and not marts.refresh()
    publish_generation(tmp_path / "published", 1)
    assert marts.refresh() and marts.current is not None
