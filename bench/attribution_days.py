"""What one more day of requests costs attribution, with many collaborations running at once."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bench.attribution import REQUESTS_A_STEP, attributed, counted
from bench.attribution_requests import write
from bench.attribution_world import World, WorldSpec, simulate
from bench.measure import Cost, median
from bench.report import Figures, say, show
from earshot.pipeline import reading
from ingest.lake import Lake
from ingest.logs.rules import Rules
from ingest.settings import Settings

REPEATS = 3
# A tenth of 12,000 shows, 1,000 running collaborations and 150 M downloads of history: about 100 of these
# collaborations run at the end of the history, the others are final.
PLATFORM = WorldSpec(people=245_000, shows=1_200, collaborations=165, days=280)
# As long as EARSHOT_KEEP_DAYS keeps: with less, the placebo triples change more from day to day.
HISTORY = 210


def run(
    rows: int | None,
    repeats: int,
    people: int = PLATFORM.people,
    shows: int = PLATFORM.shows,
    collaborations: int = PLATFORM.collaborations,
    seed: int = PLATFORM.seed,
) -> Figures:
    """The history measured from nothing, then day by day (`repeats` of them). `rows` has no use."""
    world = simulate(replace(PLATFORM, people=people, shows=shows, collaborations=collaborations, seed=seed))
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as room:
        data = Path(room)
        history = _days(world, data, 0, HISTORY)
        counting = counted(data, world.spec, HISTORY, history // REQUESTS_A_STEP)
        first = attributed(data)
        states = _states(data)
        say(f"history of {history:,} downloads, {states}: {first.cpu_s:.0f} cpu-s, {first.peak_mb:,.0f} MB")
        idle = attributed(data)
        days: list[tuple[int, Cost, Cost]] = []
        for number in range(HISTORY, HISTORY + repeats):
            downloads = _days(world, data, number, number + 1)
            days.append((downloads, counted(data, world.spec, number + 1), attributed(data)))
            say(f"  one more day, {downloads:,} downloads: {days[-1][2].cpu_s:.0f} cpu-s")
    day_counting, day = median([cost for _, cost, _ in days]), median([cost for _, _, cost in days])
    show(
        f"{shows:,} shows, {states.get('provisional', 0)} running collaborations, {history:,} downloads",
        ["what", "cpu-s", "s", "MB"],
        [
            [what, cost.cpu_s, cost.wall_s, cost.peak_mb]
            for what, cost in (
                ("the history counted", counting),
                ("the history measured", first),
                ("nothing new", idle),
                ("a day counted", day_counting),
                ("a day measured", day),
            )
        ],
    )
    return {
        "people": people,
        "shows": shows,
        "states": states,
        "history_downloads": history,
        "day_downloads": round(sum(downloads for downloads, _, _ in days) / len(days)),
        "history_cpu_s": round(first.cpu_s, 1),
        "history_s": round(first.wall_s, 1),
        "history_peak_mb": round(first.peak_mb),
        "idle_cpu_s": round(idle.cpu_s, 1),
        "day_counting_cpu_s": round(day_counting.cpu_s, 1),
        "day_cpu_s": round(day.cpu_s, 1),
        "day_s": round(day.wall_s, 1),
        "day_peak_mb": round(day.peak_mb),
    }


def _days(world: World, data: Path, first: int, until: int) -> int:
    """The requests of these days of the world into the lake; how many."""
    settings = Settings(data=data)
    days = {world.spec.start + timedelta(days=day) for day in range(first, until)}
    return write(world, Lake(settings.lake_dir), Rules.load(settings), days)


def _states(data: Path) -> dict[str, int]:
    with reading(Settings(data=data).warehouse) as con:
        sql = "select state, count(*) from marts.fct_collaboration_lift group by state order by state"
        return dict(con.sql(sql).fetchall())
