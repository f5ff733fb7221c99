"""CloudFront gz and JSON gz to the downloads mart: cleaning and counting, dbt's start included.

One process of ours and dbt's, as `earshot count` has them.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.files import Files, world
from bench.measure import measured, median, python
from bench.report import Figures, say, show
from earshot.made_up.world import SERVER_LOG, WorldSpec
from earshot.made_up.world_formats import source_name
from earshot.pipeline import reading

ROWS = 2_000_000
ROWS_A_DAY = 2_000_000
JSON = "nginx"
DOWNLOADS = "+fct_downloads"


def run(rows: int | None, repeats: int) -> Figures:
    """The figures of both kinds of files, and that every episode's downloads are those of the truth."""
    rows = rows or ROWS
    files = world(
        WorldSpec(days=max(1, rows // ROWS_A_DAY), lines=rows, formats=("cloudfront", JSON), prefix=False)
    )
    tsv = _measure(files, source_name("cloudfront"), repeats)
    lines = _measure(files, source_name(JSON), repeats)
    show(
        f"{rows:,} lines to the downloads mart, medians of {repeats}",
        [
            "", "krows/cpu-s", "krows/s wall", "floor cpu-s", "clean cpu-s", "count cpu-s", "dbt's start",
            "clean MB", "count MB",
        ],
        [
            [
                name, m["krows_per_cpu_s"], m["wall_krows_per_s"], m["floor_cpu_s"], m["clean_cpu_s"],
                m["count_cpu_s"], m["dbt_start_cpu_s"], m["clean_peak_mb"], m["count_peak_mb"],
            ]
            for name, m in (("CloudFront gz", tsv), (f"{JSON} JSON gz", lines))
        ],
    )  # fmt: skip
    return {
        "rows": rows,
        "repeats": repeats,
        "krows_per_cpu_s": tsv["krows_per_cpu_s"],
        "json_krows_per_cpu_s": lines["krows_per_cpu_s"],
        "floor_ratio": tsv["floor_ratio"],
        "json_floor_ratio": lines["floor_ratio"],
        "wall_krows_per_s": tsv["wall_krows_per_s"],
        "peak_mb": max(tsv["peak_mb"], lines["peak_mb"]),
        "correct": True,
        "stages": {"cloudfront": tsv, JSON: lines},
    }


def _measure(files: Files, source: str, repeats: int) -> dict[str, float]:
    lines = files.lines(source)
    floors, wholes, stages, starts = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as room:
        landing = Path(room) / "landing"
        landing.mkdir()
        (landing / source).symlink_to(files.landing / source)
        for n in range(repeats):
            data = Path(room) / "data"
            floor, _ = measured(python("-m", "bench.stages", "floor", *map(str, files.of(source))))
            floors.append(floor)
            whole, told = measured(
                python(
                    "-m", "bench.stages", "whole", str(data), str(landing), str(files.catalog), "--select",
                    DOWNLOADS,
                )
            )  # fmt: skip
            stage: dict[str, float] = json.loads(told)
            wholes.append(whole)
            stages.append(stage)
            _must_be_true(data, files)
            # One model of one row: what remains is dbt itself.
            starts.append(
                measured(python("-m", "bench.stages", "count", str(data), "--select", "int_started_under"))[0]
            )
            say(
                f"{source} {n + 1}/{repeats}: {lines / whole.cpu_s / 1e3:.0f} krows/cpu-s "
                f"({lines:,} lines; clean {stage['clean_cpu_s']:.1f}, count "
                f"{whole.cpu_s - stage['clean_cpu_s']:.1f}, "
                f"floor {floor.cpu_s:.1f} cpu-s)"
            )
            shutil.rmtree(data)
    whole, floor, start = (median(each) for each in (wholes, floors, starts))
    clean_cpu_s, clean_wall_s = (_middle(stages, name) for name in ("clean_cpu_s", "clean_wall_s"))
    return _rounded(
        krows_per_cpu_s=lines / whole.cpu_s / 1e3,
        wall_krows_per_s=lines / whole.wall_s / 1e3,
        floor_ratio=whole.cpu_s / floor.cpu_s,
        lines=lines,
        floor_cpu_s=floor.cpu_s,
        clean_cpu_s=clean_cpu_s,
        clean_wall_s=clean_wall_s,
        count_cpu_s=whole.cpu_s - clean_cpu_s,
        count_wall_s=whole.wall_s - clean_wall_s,
        dbt_start_cpu_s=start.cpu_s,
        clean_peak_mb=max(stage["clean_peak_mb"] for stage in stages),
        count_peak_mb=max(stage["count_peak_mb"] for stage in stages),
        peak_mb=whole.peak_mb,
    )


def _middle(stages: Sequence[Mapping[str, float]], name: str) -> float:
    return statistics.median(stage[name] for stage in stages)


def _must_be_true(data: Path, files: Files) -> None:
    """A fast wrong count is no figure. Raises AssertionError."""
    with reading(data / "warehouse.duckdb") as con:
        found = dict(
            con.execute(
                "select episode_id, sum(downloads_calendar) from marts.fct_downloads"
                " where downloads_calendar > 0 group by 1"
            ).fetchall()
        )
    assert found == files.downloads(SERVER_LOG), "the downloads are not those of the simulated world"


def _rounded(**figures: float) -> dict[str, float]:
    return {name: round(value, 2) for name, value in figures.items()}
