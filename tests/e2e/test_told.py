"""What was told of a restatement stays as it was told, however the marts come about anew."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from earshot import rebuild as rebuilding
from earshot.backup.restore import restore
from earshot.backup.write import backup
from earshot.installing.command import migrate
from earshot.made_up import world as worlds
from earshot.pipeline import build_marts
from earshot.rebuild import rebuild
from earshot.restate import restate
from ingest.catalog import take_in_catalog
from ingest.lake import LEDGER_COPY, TOLD, Lake, LakeDamaged
from ingest.logs.intake import find_landing_files, take_in
from ingest.repair import repair
from ingest.settings import Settings
from ingest.verify import verify
from serving.publish import publish
from tests.dbt.lakes import marts
from tests.e2e.backup.conftest import quiet
from tests.e2e.test_restate import stricter_lists

Marts = dict[str, list[tuple[Any, ...]]]
DAYS = (date(2026, 8, 30), date(2026, 10, 2))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Published, restated, and published again with a log that came after; not to be changed."""
    folder = tmp_path_factory.mktemp("told")
    before = Settings(data=folder / "data", settle_s=0)
    world = worlds.build(worlds.WorldSpec(shows=4, days=3, lines=2_000))
    worlds.write(world, before.landing_dir)
    worlds.write_catalog(world, folder / "episodes.csv")
    lake = Lake(before.lake_dir)
    take_in_catalog([folder / "episodes.csv"], lake)
    files = find_landing_files(before)
    take_in(files[::2], before, lake)
    build_marts(before)
    publish(before.warehouse, before.published_dir, 3, lake=before.lake_dir)

    settings = before.model_copy(update={"reference_dir": stricter_lists(folder / "lists")})
    first = restate(settings, *DAYS, None, True, quiet)
    assert first.differences.height > 1
    take_in(files[1::2], settings, lake)
    build_marts(settings)
    publish(settings.warehouse, settings.published_dir, 3, lake=settings.lake_dir)
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        was, now = con.execute(
            "select (select sum(restated_published) from marts.fct_restatements where reason is null),"
            " (select sum(downloads) from marts.fct_show_daily)"
        ).fetchall()[0]
    assert 0 < was < now, "marts built anew of all logs would tell otherwise"
    return settings


@pytest.fixture
def again(told: Settings, tmp_path: Path) -> Settings:
    """A copy: a test may change it."""
    shutil.copytree(told.data, tmp_path / "data", symlinks=True)
    return told.model_copy(update={"data": tmp_path / "data"})


def published(settings: Settings) -> list[tuple[Any, ...]]:
    current = (settings.published_dir / "current" / "marts.duckdb").resolve()
    with duckdb.connect(str(current), read_only=True) as con:
        return con.execute("from fct_restatements order by all").fetchall()


def test_r34_marts_rebuilt_in_steps_tell_what_was_told(
    told: Settings, again: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "REQUESTS_A_STEP", 700)
    assert rebuild(again, lambda counted, of: None).steps > 1
    assert marts(again.warehouse) == marts(told.warehouse)
    assert published(again) == published(told) != []


def test_r34_on_an_empty_machine_a_backup_tells_what_was_told(
    told: Settings, again: Settings, tmp_path: Path
) -> None:
    backup(again, tmp_path / "saved.tar", quiet)
    empty = again.model_copy(update={"data": tmp_path / "elsewhere"})
    restore(empty, tmp_path / "saved.tar", empty.data, quiet)
    rebuild(empty, lambda counted, of: None)
    assert marts(empty.warehouse) == marts(told.warehouse)


@pytest.mark.parametrize("way", ["migrated", "rebuilt alone", "without its warehouse"])
def test_r34_what_an_older_earshot_has_published_is_told_after_an_upgrade(
    told: Settings, again: Settings, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(again.lake_dir / TOLD)  # which the former release did not know
    shutil.rmtree(again.lake_dir / LEDGER_COPY / TOLD)
    shutil.rmtree(again.lake_dir / ".checksums")
    if way == "migrated":
        monkeypatch.setenv("EARSHOT_DATA", str(again.data))
        migrate()
        shutil.rmtree(again.published_dir)
    elif way == "without its warehouse":
        again.warehouse.unlink()
    rebuild(again, lambda counted, of: None)
    assert marts(again.warehouse) == marts(told.warehouse)


def test_what_was_told_is_kept_twice_and_a_damaged_file_is_mended_before_anything_is_built(
    told: Settings, again: Settings
) -> None:
    (path,) = (again.lake_dir / TOLD).glob("[0-9]*.parquet")
    whole = path.read_bytes()
    for is_gone in (True, False):
        path.unlink() if is_gone else path.write_bytes(whole[:-9] + b"x" + whole[-8:])
        with pytest.raises(LakeDamaged, match=rf"{TOLD}.*verify --repair"):
            rebuild(again, lambda counted, of: None)
        found = verify(again.lake_dir)
        assert [each.path.as_posix() for each in found.damaged] == [f"{TOLD}/{path.name}"]
        done = repair(again, found, 1)
        assert not done.lost and path.read_bytes() == whole
        assert verify(again.lake_dir).is_whole
