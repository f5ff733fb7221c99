"""The warehouse file over many small batches, against one built anew from the same lake."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bench.files import world
from bench.history import History
from bench.measure import CommandFailed, measured, python
from bench.report import Figures, say, show
from earshot.made_up.world import WorldSpec
from earshot.pipeline import reading
from ingest.lake import Lake
from ingest.settings import Settings
from orchestration.constants import WHOLE_TAG
from orchestration.dbt_args import dbt_environment
from orchestration.dbt_resource import environment

BATCHES = 200
BATCH = 2_500  # requests: a minute's of half a million a day come at 350, of the largest shows at thousands
ROWS_A_DAY = 500_000
WHOLE_EVERY = 60  # batches a minute apart, a whole build once an hour
LOOKED_AT = (1, 50, 100, 200)
NEW = ["--exclude", f"tag:{WHOLE_TAG}"]


def run(rows: int | None, repeats: int) -> Figures:
    """`rows`: how many batches; `repeats` is not used: every batch is a repetition."""
    batches = rows or BATCHES
    files = world(WorldSpec(days=1, lines=ROWS_A_DAY, formats=("cloudfront",), prefix=False))
    looks: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as room:
        measured(python("-m", "bench.stages", "clean", f"{room}/one", str(files.landing), str(files.catalog)))
        history = History(files, Lake(Path(room) / "one" / "lake"))
        data = Path(room) / "kept"
        lake = Lake(data / "lake")
        history.prepare(lake)
        day = history.on(1)
        for number in range(1, batches + 1):
            at = (number - 1) * BATCH % (day.height - BATCH)
            if number > 1 and at < BATCH:  # the day is used up: the next one
                day = history.on(2 + number * BATCH // day.height)
            history.add(lake, day.slice(at, BATCH), f"{number:032x}")
            whole = number % WHOLE_EVERY == 0 or number in LOOKED_AT or number == batches
            _build(data, [] if whole else NEW)
            if number in LOOKED_AT or number == batches:
                looks.append(_look(number, data, lake, Path(room) / "anew"))
                say(f"after {number} batches: {looks[-1]}")
    last = looks[-1]
    show(
        f"warehouse.duckdb after batches of {BATCH:,} requests",
        list(last),
        [list(look.values()) for look in looks],
    )
    return {
        "batches": batches,
        "batch_rows": BATCH,
        "warehouse_mb": last["warehouse_mb"],
        "rebuilt_mb": last["rebuilt_mb"],
        "bloat_ratio": last["ratio"],
        "worst_ratio": max(look["ratio"] for look in looks),
        "looks": looks,
    }


def _build(data: Path, select: list[str]) -> None:
    """As `bench.stages count`, in this process, which imports dbt but once; the file is closed after it."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    with environment(dbt_environment(Settings(data=data))):
        done = dbtRunner().invoke(["--quiet", "run", *select])
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if not done.success:
        raise CommandFailed(f"dbt did not finish: {done.exception}")


def _look(number: int, data: Path, lake: Lake, anew: Path) -> dict[str, float]:
    """Size of the warehouse, of it free blocks, and of one built from nothing."""
    anew.mkdir()
    (anew / "lake").symlink_to(lake.root)
    _build(anew, [])
    kept, rebuilt = (Settings(data=folder).warehouse for folder in (data, anew))
    with reading(kept) as con:
        found = con.execute("select block_size * free_blocks from pragma_database_size()").fetchall()
    look = {
        "batches": number,
        "warehouse_mb": kept.stat().st_size / 1e6,
        "free_mb": int(found[0][0]) / 1e6,
        "rebuilt_mb": rebuilt.stat().st_size / 1e6,
        "ratio": kept.stat().st_size / rebuilt.stat().st_size,
    }
    shutil.rmtree(anew)
    return {name: round(value, 2) for name, value in look.items()}
