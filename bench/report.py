"""What a bench says: progress on stderr, a table, and last one line of JSON."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

# A file or pipe has no width: rich's 80 columns would cut tables off.
console = Console(stderr=True, width=None if sys.stderr.isatty() else 140)

Figures = dict[str, object]


def say(text: str) -> None:
    """Progress, for people."""
    console.print(f"[dim]{text}[/]" if sys.stderr.isatty() else text, highlight=False, soft_wrap=True)


def show(title: str, columns: list[str], rows: list[list[object]]) -> None:
    """A table for people, on stderr."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*(f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(table)


def finish(name: str, figures: Figures) -> None:
    """The last line, which is also kept for the plots."""
    line = orjson.dumps({"bench": name, **figures, "machine": machine()})
    sizes = ("rows", "rows_a_day", "large_lines", "people", "shows")
    size = next((figures[name] for name in sizes if figures.get(name)), "default")
    kept = cache() / "results" / f"{name}-{size}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(line + b"\n")
    print(line.decode(), flush=True)


def cache() -> Path:
    """Where worlds and results lie: `.bench/`, or EARSHOT_BENCH_CACHE."""
    beside = Path(__file__).resolve().parent.parent / ".bench"
    return Path(os.environ.get("EARSHOT_BENCH_CACHE", beside))


def machine() -> Figures:
    """What the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(_LOAD[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in ("polars", "duckdb", "dbt-core", "dagster")},
    }


_LOAD = os.getloadavg()
