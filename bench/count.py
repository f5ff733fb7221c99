"""`earshot count` as a user types it: a small log and a day of a large one."""

from __future__ import annotations

from bench.files import Files, world
from bench.measure import Cost, measured, median, python
from bench.report import Figures, say, show
from earshot.made_up.world import SERVER_LOG, WorldSpec
from earshot.made_up.world_formats import source_name

SMALL, LARGE = 50_000, 5_000_000
FORMAT = "cloudfront"


def run(rows: int | None, repeats: int) -> Figures:
    """Wall seconds of both; `rows` is the size of the large one."""
    large = rows or LARGE
    costs = {lines: _measure(lines, repeats) for lines in (SMALL, large)}
    show(
        f"earshot count, medians of {repeats}",
        ["lines", "s", "cpu-s", "peak MB"],
        [[f"{lines:,}", cost.wall_s, cost.cpu_s, cost.peak_mb] for lines, cost in costs.items()],
    )
    return {
        "small_lines": SMALL,
        "large_lines": large,
        "repeats": repeats,
        "small_s": round(costs[SMALL].wall_s, 2),
        "large_s": round(costs[large].wall_s, 2),
        "small_cpu_s": round(costs[SMALL].cpu_s, 2),
        "large_cpu_s": round(costs[large].cpu_s, 2),
        "peak_mb": round(costs[large].peak_mb),
    }


def _measure(lines: int, repeats: int) -> Cost:
    files = world(WorldSpec(days=1, lines=lines, formats=(FORMAT,), prefix=False))
    logs = [str(path) for path in files.of(source_name(FORMAT))]
    costs = []
    for n in range(repeats):
        # Small logs come plain and alone as often as in many files: the world's hours are what they are.
        cost, said = measured(
            python("-m", "earshot.cli", "count", "--output", "csv", "--episodes", str(files.catalog), *logs)
        )
        _must_be_true(said, files)
        say(f"count {lines:,} lines {n + 1}/{repeats}: {cost.wall_s:.1f} s, {cost.cpu_s:.1f} cpu-s")
        costs.append(cost)
    return median(costs)


def _must_be_true(said: str, files: Files) -> None:
    """Raises AssertionError unless the command printed the truth's sum."""
    header, *rows = said.splitlines()
    column = header.split(",").index("downloads")
    found = sum(int(row.split(",")[column]) for row in rows)
    assert found == sum(files.downloads(SERVER_LOG).values()), f"{found} downloads are not the truth"
