"""Pictures of what the other benches measured: cost against history, cost against volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import orjson

from bench.measure import CommandFailed
from bench.report import Figures, cache, say

DOCS = Path(__file__).resolve().parent.parent / "docs"
INK, SECOND, GRID = "#1f4e79", "#c55a11", "#d9d9d9"

Points = list[tuple[float, float]]


def run(rows: int | None, repeats: int) -> Figures:
    """Draws what has been measured; both arguments are not used."""
    kept = [orjson.loads(path.read_bytes()) for path in sorted((cache() / "results").glob("*.json"))]
    history = [one for one in kept if one["bench"] == "incremental"]
    volume = sorted((one for one in kept if one["bench"] == "logs"), key=lambda one: one["rows"])
    if not history or not volume:
        raise CommandFailed(
            "nothing to draw: run `python -m bench incremental` and `python -m bench logs` first"
        )
    by_days = history[-1]["by_days"]
    _draw(
        "performance-history.svg",
        f"A batch of {history[-1]['batch_rows']:,} rows, {history[-1]['rows_a_day']:,} rows a day before it",
        ("days of history", "CPU seconds"),
        {
            "downloads mart, head batch": _series(by_days, "batch_cpu_s"),
            "downloads mart, nothing new": _series(by_days, "idle_cpu_s"),
        },
    )
    _draw(
        "performance-volume.svg",
        "Log files to the downloads mart",
        ("million lines", "CPU seconds"),
        {
            name: [
                (one["rows"] / 1e6, one["stages"][stage]["clean_cpu_s"] + one["stages"][stage]["count_cpu_s"])
                for one in volume
            ]
            for name, stage in (("CloudFront gz", "cloudfront"), ("JSON gz", "nginx"))
        },
    )
    return {"drawn": 2}


def _series(by_days: dict[str, Any], figure: str) -> Points:
    return sorted((float(days), measured[figure]) for days, measured in by_days.items())


def _draw(name: str, title: str, axes: tuple[str, str], series: dict[str, Points]) -> None:
    matplotlib.use("svg")
    # The same figures give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "earshot", "font.size": 10, "svg.fonttype": "none"})
    from matplotlib import pyplot

    figure, plot = pyplot.subplots(figsize=(6.4, 3.6))
    for (label, points), colour in zip(series.items(), (INK, SECOND), strict=True):
        xs, ys = zip(*points, strict=True)
        plot.plot(xs, ys, "o-", color=colour, label=label)
        plot.annotate(
            f"{ys[-1]:.1f}", (xs[-1], ys[-1]), textcoords="offset points", xytext=(0, 6), ha="right"
        )
    plot.set(title=title, xlabel=axes[0], ylabel=axes[1])
    plot.set_xlim(left=0)
    plot.set_ylim(bottom=0, top=1.15 * max(y for points in series.values() for _, y in points))
    plot.grid(color=GRID, linewidth=0.6)
    plot.spines[["top", "right"]].set_visible(False)
    plot.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(DOCS / name, metadata={"Date": None})
    pyplot.close(figure)
    say(f"docs/{name}")
