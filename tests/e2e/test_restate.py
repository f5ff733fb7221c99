"""R34: `earshot restate`, as a data engineer types it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from earshot.made_up import world as worlds
from earshot.pipeline import run_dbt
from ingest.catalog import take_in_catalog
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.logs.rules import Rules
from ingest.reference.lists import built_in
from ingest.settings import Settings
from serving.publish import publish
from tests.dbt.lakes import marts

Marts = dict[str, list[tuple[Any, ...]]]
Month = tuple[Settings, Path, Marts]
MONTH = {"shows": 8, "days": 28, "lines": 8_000}


def build(settings: Settings) -> None:
    run_dbt(settings, ["run"])
    publish(settings.warehouse, settings.published_dir, 3)


def platform(data: Path, landing: Path, reference: Path | None = None, keys: Path | None = None) -> Settings:
    """A data folder that has taken in and published everything in `landing`."""
    settings = Settings(data=data, landing=landing, reference_dir=reference, settle_s=0)
    if keys:
        shutil.copytree(keys, settings.keys_dir)
    lake = Lake(settings.lake_dir)
    take_in_catalog([landing / "catalog" / "episodes.csv"], lake)
    take_in(find_landing_files(settings), settings, lake)
    build(settings)
    return settings


def earshot(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "EARSHOT_DATA": str(settings.data),
        "EARSHOT_LANDING": str(settings.landing_dir),
        "EARSHOT_SETTLE_S": str(settings.settle_s),
    }
    if settings.reference_dir:
        environment["EARSHOT_REFERENCE_DIR"] = str(settings.reference_dir)
    return subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def stricter_lists(folder: Path) -> Path:
    """Our own lists, under which okhttp, which real apps use, is a bot's library."""
    ours = orjson.loads(built_in("agents.json"))
    (folder / "opawg").mkdir(parents=True)
    for name, entries in {
        "referrers": [{"name": "A player", "pattern": "^https://player[.]example/"}],
        **ours,
    }.items():
        for entry in entries:
            if name == "libraries" and "okhttp" in entry["pattern"]:
                entry["category"] = "bot"
        (folder / "opawg" / f"{name}.json").write_bytes(orjson.dumps({"entries": entries}))
    return folder


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """A published month under our own lists, other lists, and the marts of a rebuild under those."""
    folder = tmp_path_factory.mktemp("month")
    world = worlds.build(worlds.WorldSpec(**MONTH))
    worlds.write(world, folder / "landing")
    worlds.write_catalog(world, folder / "landing" / "catalog" / "episodes.csv")
    original, lists = platform(folder / "data", folder / "landing"), stricter_lists(folder / "lists")
    rebuilt = platform(folder / "rebuilt", folder / "landing", lists, original.keys_dir)
    return original, lists, without_history(marts(rebuilt.warehouse))


def without_history(tables: Marts) -> Marts:
    """What a platform that never knew other lists has, too."""
    return {name: rows for name, rows in tables.items() if name not in ("fct_restatements", "dim_rules")}


@pytest.mark.parametrize("landing_is_kept", [True, False])
def test_r34_a_restated_month_equals_a_rebuild(month: Month, tmp_path: Path, landing_is_kept: bool) -> None:
    original, lists, wanted = month
    shutil.copytree(original.data, tmp_path / "data", symlinks=True)
    landing = tmp_path / "landing"
    landing.mkdir()
    if landing_is_kept:
        shutil.copytree(original.landing_dir, landing, dirs_exist_ok=True)
    settings = Settings(data=tmp_path / "data", landing=landing, reference_dir=lists, settle_s=0)
    before = downloads(settings)
    # The world's late files lie up to two days beyond its month.
    days = ["--from", "2026-08-30", "--to", "2026-10-02"]
    stamps = {path: path.stat().st_mtime_ns for path in settings.data.rglob("*")}
    planned = earshot(settings, "restate", *days, "--dry-run", "--output", "json")
    assert planned.returncode == 0, planned.stderr
    assert stamps == {path: path.stat().st_mtime_ns for path in settings.data.rglob("*")}
    done = earshot(settings, "restate", *days, "--output", "json")
    assert done.returncode == 0, done.stderr
    assert_as_planned(json.loads(planned.stdout), done.stderr)
    assert without_history(marts(settings.warehouse)) == wanted

    told = json.loads(done.stdout)
    after = downloads(settings)
    lost = sum(row["difference"] for row in told if row["figure"] == "downloads")
    assert lost == sum(after.values()) - sum(before.values()) < 0
    totals = [
        f"{name}: downloads under calendar: {was:,} → {now:,} ({now - was:+,})"
        for name in ("prefix", "server_log")
        for was, now in [
            [sum(n for (klass, _), n in one.items() if klass == name) for one in (before, after)]
        ]
    ]
    assert done.stderr.splitlines()[-2:] == totals
    assert sum(row["difference"] for row in told if row["figure"] == "bot_library") > 0
    assert Rules.load(settings).version in {
        row[0] for row in asked(settings, "select rules_version from dim_rules")
    }
    if not landing_is_kept:
        again = earshot(settings, "restate", *days, "--output", "json")
        assert json.loads(again.stdout) == []


def assert_as_planned(plan: dict[str, Any], said: str) -> None:
    """Did a restatement judge what a dry run said it would?"""
    requests = sum(file["requests"] for file in plan["files"])
    assert requests == sum(day["requests"] for day in plan["days"])
    days = {day["day"] for day in plan["days"]}
    landed = sum(file["judged_from"] == "landing" for file in plan["files"])
    assert f"judged again: {requests:,} requests of {len(days)} days" in said
    assert f"{landed} files from landing, {len(plan['files']) - landed} from what the lake keeps" in said
    agents = next(row for row in plan["lists"] if row["list"] == "agents")
    assert len(agents["judged_under"]) == 1 and agents["version"] not in agents["judged_under"]


def downloads(settings: Settings) -> dict[tuple[str, str], int]:
    rows = asked(settings, "select source_class, show_id, sum(downloads) from fct_show_daily group by all")
    return {row[:2]: row[2] for row in rows}


def asked(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    current = settings.published_dir / "current" / "marts.duckdb"
    with duckdb.connect(str(current.resolve()), read_only=True) as con:
        return con.execute(query).fetchall()


def test_days_the_wrong_way_round_and_unknown_lists_are_refused(month: Month) -> None:
    settings, _, _ = month
    wrong = earshot(settings, "restate", "--from", "2026-09-05", "--to", "2026-09-01")
    assert wrong.returncode == 2
    assert "lies after" in wrong.stderr
    unknown = earshot(settings, "restate", "--from", "2026-09-01", "--to", "2026-09-01", "--lists", "nosuch")
    assert unknown.returncode != 0
    assert "nosuch" in unknown.stderr
    assert "Traceback" not in unknown.stderr
