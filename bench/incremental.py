"""Head batches and a late file on a growing history: what a batch costs, and that nothing is lost."""

from __future__ import annotations

import itertools
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from bench.files import world
from bench.history import History
from bench.measure import CommandFailed, Cost, measured, python
from bench.report import Figures, say, show
from earshot.made_up.world import WorldSpec
from earshot.pipeline import reading
from ingest.lake import Lake
from orchestration.constants import MADE_LAST, WHOLE_TAG

ROWS_A_DAY = 500_000
HISTORIES = (1, 4, 30)
BATCH = 40_000
LATE_DAYS = 5
PAIRS = 7  # of a batch and the builds of nothing around it, at least, where `us_per_row` comes from
COMPARED = "marts.fct_downloads"
DAYS_A_STEP = 3  # of history, as `earshot rebuild` would
PRODUCTION = ["--exclude", f"tag:{WHOLE_TAG}"]
FROM_NOTHING = ["--exclude", *MADE_LAST]  # with what batches take from whole builds
# The downloads mart, and what remembers that its files are counted.
DOWNLOADS = [
    "--select", "+fct_downloads",
    "int_counted_enclosures", "int_counted_listeners", "int_counted_restatements", "int_counted_files",
]  # fmt: skip


def run(rows: int | None, repeats: int) -> Figures:
    """`rows`: a day. µs of CPU a row of a head batch, beyond what a build of nothing costs; by history.

    `us_per_row` is of the downloads mart, `production_us_per_row` of the build that a batch starts in
    production: all marts but those made anew as a whole. A batch is compared with the builds of nothing just
    before and just after it, and the median of at least PAIRS such differences counts: each is one of whole
    processes of some CPU seconds, of which 0.1 are 2.5 µs a row. Row groups that batches leave are merged by
    whole builds, as in production: that is not in it († 0.5 CPU-s for what eight of these batches left).
    """
    a_day = rows or ROWS_A_DAY
    if a_day < 2 * BATCH:
        raise CommandFailed(f"--rows {a_day:,} are too few for batches of {BATCH:,}: at least {2 * BATCH:,}")
    files = world(WorldSpec(days=1, lines=a_day, formats=("cloudfront",), prefix=False))
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as room:
        _stage("clean", str(Path(room) / "one"), str(files.landing), str(files.catalog))
        history = History(files, Lake(Path(room) / "one" / "lake"))
        by_days = {}
        for days in HISTORIES:
            by_days[days] = _measure(Path(room) / f"{days}", history, days, repeats)
            shutil.rmtree(Path(room) / f"{days}")
    show(
        f"batches of {BATCH:,} rows on a history of so many days of {history.template.height:,} rows",
        ["days", "µs/row", "late", "production", "cpu-s/batch", "nothing new", "MB", "history MB", "differ"],
        [
            [
                days, m["us_per_row"], m["late_us_per_row"], m["production_us_per_row"], m["batch_cpu_s"],
                m["idle_cpu_s"], m["peak_mb"], m["history_peak_mb"], m["differences"],
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
        "us_per_row_least": last["us_per_row_least"],
        "us_per_row_most": last["us_per_row_most"],
        "growth": round(last["us_per_row"] / first["us_per_row"], 2),
        "production_growth": round(last["production_batch_cpu_s"] / first["production_batch_cpu_s"], 2),
        "differences": sum(m["differences"] for m in by_days.values()),
        "by_days": {str(days): measured for days, measured in by_days.items()},
    }


def _measure(data: Path, history: History, days: int, repeats: int) -> dict[str, float]:
    lake = Lake(data / "lake")
    history.prepare(lake)
    late_day = max(1, days + 1 - LATE_DAYS)
    built = []
    for number in range(1, days + 1):
        requests = history.on(number)
        if number == late_day:
            late, requests = _parted(requests)
        history.add(lake, requests, f"{number:032x}")
        if number % DAYS_A_STEP == 0 or number == days:
            built.append(_count(data, FROM_NOTHING))
    say(
        f"history of {days} days: {sum(cost.cpu_s for cost in built):.1f} cpu-s,"
        f" {max(cost.peak_mb for cost in built):.0f} MB"
    )

    # The next days, batch by batch; around each what a build costs that has nothing to do.
    to_come = enumerate(_batches_after(history, days))

    def batches(count: int, select: Sequence[str]) -> tuple[list[Cost], list[Cost]]:
        """(builds of nothing, batches); of the first there is one more, and `batches[n]` is between two."""
        idle, of_batches = [_count(data, select)], []
        for n, requests in itertools.islice(to_come, count):
            history.add(lake, requests, f"{10_000 + n:032x}")
            of_batches.append(_count(data, select))
            idle.append(_count(data, select))
            say(f"  batch {n}: {of_batches[-1].cpu_s:.2f} cpu-s, nothing new {idle[-1].cpu_s:.2f}")
        return idle[1:], of_batches[1:]  # the first ones warm up

    production_idle, in_production = batches(repeats + 1, PRODUCTION)
    idle, of_downloads = batches(max(repeats, PAIRS) + 1, DOWNLOADS)
    history.add(lake, late, f"{20_000:032x}")
    late_cost = _count(data, DOWNLOADS)

    rebuilt = data / "rebuilt"
    rebuilt.mkdir()
    (rebuilt / "lake").symlink_to(lake.root)
    rebuild = _count(rebuilt, DOWNLOADS)
    nothing = statistics.median(cost.cpu_s for cost in idle)
    beyond = sorted(_beyond(idle, of_downloads))
    figures = {
        "us_per_row": statistics.median(beyond),
        # The difference of two processes: where these are far apart or negative, it could not be told.
        "us_per_row_least": beyond[0],
        "us_per_row_most": beyond[-1],
        "late_us_per_row": (late_cost.cpu_s - nothing) / late.height * 1e6,
        "production_us_per_row": statistics.median(_beyond(production_idle, in_production)),
        "batch_cpu_s": statistics.median(batch.cpu_s for batch in of_downloads),
        "idle_cpu_s": nothing,
        "production_batch_cpu_s": statistics.median(batch.cpu_s for batch in in_production),
        "production_idle_cpu_s": statistics.median(cost.cpu_s for cost in production_idle),
        "peak_mb": max(batch.peak_mb for batch in [*in_production, *of_downloads]),
        "history_rows": history.template.height * days,
        "history_peak_mb": rebuild.peak_mb,  # counted in one piece
        "history_cpu_s": rebuild.cpu_s,
        "differences": _differences(data, rebuilt),
    }
    return {name: round(value, 2) for name, value in figures.items()}


def _batches_after(history: History, days: int) -> Iterator[pl.DataFrame]:
    """Whole batches of one day after the other."""
    for number in itertools.count(days + 1):
        day = history.on(number)
        for n in range(day.height // BATCH):
            yield day.slice(n * BATCH, BATCH)


def _beyond(idle: Sequence[Cost], batches: Sequence[Cost]) -> list[float]:
    """µs a row of each batch beyond the mean of the builds of nothing before and after it."""
    around = [(before.cpu_s + after.cpu_s) / 2 for before, after in itertools.pairwise(idle)]
    return [(batch.cpu_s - nothing) / BATCH * 1e6 for batch, nothing in zip(batches, around, strict=True)]


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


def _count(data: Path, select: Sequence[str]) -> Cost:
    return _stage("count", str(data), *select)


def _stage(*arguments: str) -> Cost:
    return measured(python("-m", "bench.stages", *arguments))[0]
