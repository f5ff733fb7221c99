"""Pictures of what other benches measured: the cost of batches and of files, estimates against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import orjson
import polars as pl

from bench.attribution import LARGE, RULES, kept_rows
from bench.measure import CommandFailed
from bench.report import Figures, cache, say

DOCS = Path(__file__).resolve().parent.parent / "docs"
INK, SECOND, GRID = "#1f4e79", "#c55a11", "#d9d9d9"

Points = list[tuple[float, float]]


def run(rows: int | None, repeats: int) -> Figures:
    """Draws what has been measured; both arguments are not used. Raises CommandFailed where nothing was."""
    kept = [orjson.loads(path.read_bytes()) for path in sorted((cache() / "results").glob("*.json"))]
    history = [one for one in kept if one["bench"] == "incremental"]
    volume = sorted((one for one in kept if one["bench"] == "logs"), key=lambda one: one["rows"])
    estimates = kept_rows(LARGE.people)
    drawn = 0
    if history:
        _draw_history(history[-1])
        drawn += 1
    if volume:
        _draw_volume(volume)
        drawn += 1
    if estimates.exists():
        draw_estimates(pl.read_parquet(estimates))
        drawn += 1
    if not drawn:
        raise CommandFailed(
            "nothing to draw: run `python -m bench incremental`, `logs` or `attribution` first"
        )
    return {"drawn": drawn}


def _draw_history(measured: dict[str, Any]) -> None:
    by_days = measured["by_days"]
    _draw(
        "performance-history.svg",
        f"A batch of {measured['batch_rows']:,} rows, {measured['rows_a_day']:,} rows a day before it",
        ("days of history", "CPU seconds"),
        {
            "downloads mart, head batch": _series(by_days, "batch_cpu_s"),
            "downloads mart, nothing new": _series(by_days, "idle_cpu_s"),
        },
    )


def _draw_volume(volume: list[dict[str, Any]]) -> None:
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


def draw_estimates(table: pl.DataFrame) -> None:
    """PACE with its intervals on the left, the gross rules on the right; one point a collaboration."""
    pyplot = _pyplot()
    figure, (pace, gross) = pyplot.subplots(1, 2, figsize=(9.6, 4.8), sharex=True, sharey=True)
    truth = table["caused"].to_numpy()
    bars = [(table["tau"] - table["low"]).to_numpy(), (table["high"] - table["tau"]).to_numpy()]
    pace.errorbar(
        truth, table["tau"].to_numpy(), yerr=bars, fmt="o", markersize=3, elinewidth=0.6, color=INK, alpha=0.7
    )
    pace.set(title="PACE, 90 % intervals", ylabel="new listeners, as estimated")
    for rule, marker in zip(RULES, ("o", "^", "s", "x"), strict=True):
        gross.plot(truth, table[rule].to_numpy(), marker, ms=3, alpha=0.6, label=rule.replace("_", " "))
    gross.set(title="gross, 30 days")
    gross.legend(frameon=False)
    top = float(table.select(pl.max_horizontal(pl.col(*RULES, "high").max())).item())
    for plot in (pace, gross):
        plot.plot([0, top], [0, top], color=SECOND, linewidth=0.8)
        # Zero is a truth, and estimates lie on both sides of it.
        plot.set_xscale("symlog", linthresh=10)
        plot.set_yscale("symlog", linthresh=10)
        plot.set_xlabel("new listeners, in truth")
        plot.grid(color=GRID, linewidth=0.6)
        plot.spines[["top", "right"]].set_visible(False)
    _save(figure, "attribution.svg")


def _series(by_days: dict[str, Any], figure: str) -> Points:
    return sorted((float(days), measured[figure]) for days, measured in by_days.items())


def _pyplot() -> Any:
    matplotlib.use("svg")
    # The same figures give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "earshot", "font.size": 10, "svg.fonttype": "none"})
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, name: str) -> None:
    figure.tight_layout()
    figure.savefig(DOCS / name, metadata={"Date": None})
    _pyplot().close(figure)
    say(f"docs/{name}")


def _draw(name: str, title: str, axes: tuple[str, str], series: dict[str, Points]) -> None:
    figure, plot = _pyplot().subplots(figsize=(6.4, 3.6))
    lowest = min(points[-1][1] for points in series.values())
    for (label, points), colour in zip(series.items(), (INK, SECOND), strict=True):
        xs, ys = zip(*points, strict=True)
        plot.plot(xs, ys, "o-", color=colour, label=label)
        # Lines may end close together: what is said of the lower one stands below it.
        above = 6 if ys[-1] > lowest else -14
        plot.annotate(
            f"{ys[-1]:.1f}", (xs[-1], ys[-1]), textcoords="offset points", xytext=(0, above), ha="right"
        )
    plot.set(title=title, xlabel=axes[0], ylabel=axes[1])
    plot.set_xlim(left=0)
    plot.set_ylim(bottom=0, top=1.15 * max(y for points in series.values() for _, y in points))
    plot.grid(color=GRID, linewidth=0.6)
    plot.spines[["top", "right"]].set_visible(False)
    plot.legend(frameon=False)
    _save(figure, name)
