"""Head batches and a late file on a growing history: what a batch costs, and that nothing is lost."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import polars as pl

from bench.files import world
from bench.history import History
from bench.measure import Cost, measured, python
from bench.report import Figures, say, show
from earshot.pipeline import reading
from earshot.world import WorldSpec
from ingest.lake import Lake

ROWS_A_DAY = 500_000
HISTORIES = (1, 4, 30)
BATCH = 40_000
LATE_DAYS = 5
COMPARED = "marts.fct_downloads"


def run(rows: int | None, repeats: int) -> Figures:
    """`rows`: a day. µs of CPU a row of a head batch, beyond what a build of nothing costs; by history."""
    a_day = rows or ROWS_A_DAY
    files = world(WorldSpec(days=1, lines=a_day, formats=("cloudfront",), prefix=False))
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as room:
        _stage("clean", str(Path(room) / "one"), str(files.landing), str(files.catalog))
        history = History(files, Lake(Path(room) / "one" / "lake"))
        by_days = {days: _measure(Path(room) / f"{days}", history, days, repeats) for days in HISTORIES}
    show(
        f"batches of {BATCH:,} rows on a history of so many days of {history.template.height:,} rows",
        ["days", "µs/row", "late", "cpu-s/batch", "nothing new", "MB", "history MB", "differences"],
        [
            [
                days, m["us_per_row"], m["late_us_per_row"], m["batch_cpu_s"], m["idle_cpu_s"],
                m["peak_mb"], m["history_peak_mb"], m["differences"],
            ]
            for days, m in by_days.items()
        ],
    )  # fmt: skip
    first, last = by_days[HISTORIES[0]], by_days[HISTORIES[-1]]
    return {
        "rows_a_day": history.template.height,
        "batch_rows": BATCH,
        "repeats": repeats,
        "us_per_row": last["us_per_row"],
        "growth": round(last["us_per_row"] / first["us_per_row"], 2),
        "differences": sum(m["differences"] for m in by_days.values()),
        "by_days": by_days,
    }


def _measure(data: Path, history: History, days: int, repeats: int) -> dict[str, float]:
    lake = Lake(data / "lake")
    history.prepare(lake)
    late_day = max(1, days + 1 - LATE_DAYS)
    for number in range(1, days + 1):
        requests = history.on(number)
        if number == late_day:
            late, requests = _parted(requests)
        history.add(lake, requests, f"{number:032x}")
    built = _count(data)
    say(f"history of {days} days: {built.cpu_s:.1f} cpu-s, {built.peak_mb:.0f} MB")

    # Head batches: the next day, batch by batch; before each what a build costs that has nothing to do.
    head, batches, idle = history.on(days + 1), [], []
    for n in range(repeats + 1):
        idle.append(_count(data))
        history.add(lake, head.slice(n * BATCH, BATCH), f"{10_000 + n:032x}")
        batches.append(_count(data))
        say(f"  batch {n}: {batches[-1].cpu_s:.2f} cpu-s, nothing new {idle[-1].cpu_s:.2f}")
    history.add(lake, late, f"{20_000:032x}")
    late_cost = _count(data)

    rebuilt = data / "rebuilt"
    rebuilt.mkdir()
    (rebuilt / "lake").symlink_to(lake.root)
    rebuild = _count(rebuilt)
    nothing = statistics.median(cost.cpu_s for cost in idle[1:])
    batch = statistics.median(cost.cpu_s for cost in batches[1:])  # the first one warms the files' cache
    figures = {
        "us_per_row": (batch - nothing) / BATCH * 1e6,
        "late_us_per_row": (late_cost.cpu_s - nothing) / late.height * 1e6,
        "batch_cpu_s": batch,
        "idle_cpu_s": nothing,
        "peak_mb": max(cost.peak_mb for cost in batches),
        "history_cpu_s": built.cpu_s,
        "history_peak_mb": max(built.peak_mb, rebuild.peak_mb),
        "differences": _differences(data, rebuilt),
    }
    return {name: round(value, 2) for name, value in figures.items()}


def _parted(requests: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(what comes late: a batch from all over the day, the others)."""
    is_late = pl.int_range(pl.len()) % (requests.height // BATCH) == 0
    return requests.filter(is_late), requests.filter(~is_late)


def _differences(one: Path, other: Path) -> int:
    """Rows that only one of the two has."""
    with reading(one / "warehouse.duckdb") as con:
        con.execute(f"attach '{other / 'warehouse.duckdb'}' as other (read_only)")
        left, right = f"from {COMPARED}", f"from other.{COMPARED}"
        found = con.execute(
            f"select (select count(*) from (select * {left} except all select * {right}))"
            f" + (select count(*) from (select * {right} except all select * {left}))"
        ).fetchone()
    assert found is not None
    return int(found[0])


def _count(data: Path) -> Cost:
    return _stage("count", str(data))


def _stage(*arguments: str) -> Cost:
    return measured(python("-m", "bench.stages", *arguments))[0]
