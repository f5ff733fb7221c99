"""The bench of attribution, as it is typed: a simulated log, the real models, the figures and the plot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from bench import plots
from bench.attribution import RULES, kept_rows

PEOPLE, COLLABORATIONS = 3_000, 3
SMALL = ("--people", str(PEOPLE), "--shows", "16", "--collaborations", str(COLLABORATIONS))
FIGURES = {
    "bias", "rmse", "median_abs_error", "coverage", "false_credit", "rmse_over_last_touch",
    "platform_month_error", "seconds_per_collaboration", "peak_mb",
}  # fmt: skip


def bench(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        env={**os.environ, "EARSHOT_BENCH_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run of one small world left its results."""
    cache = tmp_path_factory.mktemp("bench")
    done = bench(cache, "attribution", "--json", "--worlds", "1", *SMALL, "--permute-genres")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert set(figures) >= FIGURES
    assert (figures["worlds"], figures["collaborations"]) == (1, COLLABORATIONS)
    assert (
        figures["permuted"]["collaborations"] == COLLABORATIONS and figures["seconds_per_collaboration"] > 0
    )
    return cache


def test_each_collaboration_is_kept_with_its_truth(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_BENCH_CACHE", str(kept))
    rows = pl.read_parquet(kept_rows(PEOPLE))
    assert rows.height == COLLABORATIONS and rows["caused"].null_count() == 0
    assert rows.select((pl.col("low") <= pl.col("tau")) & (pl.col("tau") <= pl.col("high"))).to_series().all()
    # What vendors publish is more than there was: of a false new listener nobody asks where he came from.
    assert rows["last_touch"].sum() > rows["caused"].sum()


def test_the_plot_is_the_same_for_the_same_rows(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_BENCH_CACHE", str(kept))
    monkeypatch.setattr(plots, "DOCS", tmp_path)
    rows = pl.read_parquet(kept_rows(PEOPLE))
    drawn = []
    for _ in range(2):
        plots.draw_estimates(rows)
        drawn.append((tmp_path / "attribution.svg").read_bytes())
    assert drawn[0] == drawn[1]
    assert all(rule.replace("_", " ").encode() in drawn[0] for rule in RULES)


def test_an_option_of_another_bench_is_refused(tmp_path: Path) -> None:
    done = bench(tmp_path, "attribution", "--kills", "1")
    assert done.returncode == 2 and "attribution knows no --kills" in done.stderr
