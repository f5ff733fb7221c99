"""What must hold: order, batches, repetition, lateness and sudden death leave the marts alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from earshot.made_up import world as worlds
from ingest.catalog import take_in_catalog
from ingest.lake import Lake
from ingest.logs.intake import LandingFile, find_landing_files, take_in
from ingest.settings import Settings
from tests.dbt.lakes import dbt, marts

Marts = dict[str, list[tuple[Any, ...]]]
WINDOWS = ["calendar", "first_touch", "last_touch"]


class Platform:
    """One data folder and its landing files, taken in and built step by step."""

    def __init__(self, data: Path, landing: Path, keys: Path | None = None) -> None:
        self.settings = Settings(data=data, landing=landing, settle_s=0)
        self.lake = Lake(self.settings.lake_dir)
        if keys:  # listener keys are secrets of a data folder; equal marts need equal secrets
            shutil.copytree(keys, self.settings.keys_dir)
        take_in_catalog([landing / "catalog" / "episodes.csv"], self.lake)

    def files(self) -> list[LandingFile]:
        return find_landing_files(self.settings)

    def take_in(self, files: list[LandingFile]) -> None:
        take_in(files, self.settings, self.lake)

    def build(self, window: str = "calendar", *arguments: str) -> Marts:
        dbt(self.lake, self.settings.warehouse, window, "run", *arguments)
        return marts(self.settings.warehouse)


def make_world(folder: Path, seed: int, **given: Any) -> worlds.World:
    spec = worlds.WorldSpec(**{"seed": seed, "shows": 4, "days": 2, "lines": 600, **given})
    world = worlds.build(spec)
    worlds.write(world, folder)
    worlds.write_catalog(world, folder / "catalog" / "episodes.csv")
    return world


def downloads(warehouse: Path) -> dict[tuple[str, str], int]:
    """Downloads by (source class, window rule)."""
    with duckdb.connect(str(warehouse), read_only=True) as con:
        rows = con.execute(
            "select source_class, sum(downloads_calendar), sum(downloads_first_touch),"
            " sum(downloads_last_touch) from marts.fct_downloads group by source_class"
        ).fetchall()
    return {(row[0], rule): count for row in rows for rule, count in zip(WINDOWS, row[1:], strict=True)}


@given(seed=st.integers(0, 10_000), data=st.randoms(use_true_random=False))
@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # an example takes seconds: shrinking would take hours
)
def test_any_order_any_batches_and_repeated_files_give_the_marts_of_one_rebuild(
    tmp_path_factory: pytest.TempPathFactory, seed: int, data: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("world")
    # Listener keys change on 2026-09-04: five days from the first span that.
    world = make_world(folder / "landing", seed, days=5, lines=1000)
    clean = Platform(folder / "clean", folder / "landing")
    clean.take_in(clean.files())
    wanted = clean.build()
    assert downloads(clean.settings.warehouse) == {
        (source_class, rule): world.truth.total(source_class, rule)
        for source_class in ("server_log", "prefix")
        for rule in WINDOWS
    }

    other = Platform(folder / "other", folder / "landing", keys=clean.settings.keys_dir)
    files = other.files()
    data.shuffle(files)
    repeated = data.sample(files, 3)
    order = [*files, *(LandingFile.at(file.source, file.path, f"again/{file.name}") for file in repeated)]
    for file in repeated:
        order.insert(data.randrange(len(order)), file)
    cuts = sorted(data.sample(range(len(order)), 2))
    for first, last in zip([0, *cuts], [*cuts, len(order)], strict=True):
        other.take_in(order[first:last])
        got = other.build()
    assert got == wanted


STEPS = """
import sys
from pathlib import Path
from earshot.pipeline import build_marts
from ingest.lake import Lake
from ingest.logs.intake import find_landing_files, take_in
from ingest.settings import Settings
from serving.publish import publish
settings = Settings(data=Path(sys.argv[1]), landing=Path(sys.argv[2]), settle_s=0)
print("ingest", flush=True)
take_in(find_landing_files(settings), settings, Lake(settings.lake_dir))
print("dbt", flush=True)
build_marts(settings)
print("publish", flush=True)
publish(settings.warehouse, settings.published_dir, 3)
print("done", flush=True)
"""


def test_a_run_killed_in_ingest_dbt_or_publish_heals_when_it_is_started_again(tmp_path: Path) -> None:
    rng = random.Random(11)
    make_world(tmp_path / "landing", 5, lines=3000, shows=8)
    clean = Platform(tmp_path / "clean", tmp_path / "landing")
    clean.take_in(clean.files())
    wanted = clean.build()

    killed = Platform(tmp_path / "killed", tmp_path / "landing", keys=clean.settings.keys_dir)
    command = [sys.executable, "-c", STEPS, str(killed.settings.data), str(tmp_path / "landing")]
    deaths = []
    for step, longest_s in (("ingest", 0.6), ("dbt", 5.0), ("dbt", 4.0), ("dbt", 5.0), ("publish", 0.4)):
        deaths.append(_kill_during(command, step, rng.uniform(0, longest_s)))
        _nothing_half_written(killed)
    assert "killed" in deaths
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert marts(killed.settings.warehouse) == wanted
    with duckdb.connect(str((killed.settings.published_dir / "current" / "marts.duckdb").resolve())) as con:
        published = sorted(con.execute("from fct_downloads").fetchall(), key=repr)
    assert published == wanted["fct_downloads"]


def _kill_during(command: list[str], step: str, after_s: float) -> str:
    """Start the whole run, wait for `step`, then kill it with all its children."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == step:
            time.sleep(after_s)
            break
    ended = process.poll() is not None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return "ended" if ended else "killed"


def _nothing_half_written(platform: Platform) -> None:
    """Every file a reader may see is whole."""
    platform.lake.ledger()
    platform.lake.requests().collect()
    current = platform.settings.published_dir / "current" / "marts.duckdb"
    if current.exists():
        with duckdb.connect(str(current.resolve()), read_only=True) as con:
            con.execute("select count(*) from fct_downloads").fetchone()


def test_no_raw_address_is_found_in_anything_written_after_ingest(tmp_path: Path) -> None:
    world = make_world(tmp_path / "landing", 9, lines=2000)
    platform = Platform(tmp_path / "data", tmp_path / "landing")
    (tmp_path / "landing" / "cdn" / "bad.log").write_text("client 203.0.113.77 wrote this\n" * 5)
    platform.take_in(platform.files())
    platform.build()
    addresses = {request.ip for request in [*world.cdn, *world.prefix]} | {"203.0.113.77"}
    needles = [address.encode() for address in addresses]
    for path in platform.settings.data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [needle for needle in needles if needle in content], path
    for name in ("fct_downloads", "dim_episodes"):
        text = repr(marts(platform.settings.warehouse)[name])
        assert not [address for address in addresses if address in text]
    rejects = repr(platform.lake.rejects().collect().rows())
    requests = repr(platform.lake.requests().collect().rows())  # Parquet pages are compressed: look inside
    assert not [address for address in addresses if address in rejects or address in requests]
