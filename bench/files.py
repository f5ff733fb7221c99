"""The files the benches read: simulated worlds with their truth, written once and kept.

They lie under `.bench/` (or EARSHOT_BENCH_CACHE), one folder a spec; `rm -rf .bench` makes room.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

import earshot.made_up.world
from bench.report import cache, say
from earshot.made_up.world import WorldSpec, build, write, write_catalog, write_truth


@dataclass(frozen=True)
class Files:
    """One world on disk."""

    folder: Path

    @property
    def landing(self) -> Path:
        """One folder a source."""
        return self.folder / "landing"

    @property
    def catalog(self) -> Path:
        return self.folder / "episodes.csv"

    def of(self, source: str) -> list[Path]:
        """The log files of one source, by name."""
        return sorted((self.landing / source).iterdir())

    def lines(self, source: str) -> int:
        """Data lines of a source."""
        return int(json.loads((self.folder / "truth" / "truth.json").read_text())["lines"][source])

    def downloads(self, source_class: str, window: str = "calendar") -> dict[str, int]:
        """The truth: downloads by episode."""
        truth = pl.read_parquet(self.folder / "truth" / "downloads.parquet").filter(
            pl.col("source_class") == source_class, pl.col("window") == window
        )
        return dict(truth.select("episode_id", "downloads").iter_rows())


def world(spec: WorldSpec) -> Files:
    """The files of `spec`, simulated when they are not there yet."""
    made_by = "".join(
        path.read_text() for path in sorted(Path(earshot.made_up.world.__file__).parent.glob("world*.py"))
    )
    key = hashlib.sha256((repr(sorted(asdict(spec).items())) + made_by).encode()).hexdigest()[:12]
    folder = cache() / f"world-{spec.lines}-{key}"
    if not folder.exists():
        say(f"simulating {spec.lines:,} lines over {spec.days} days ({', '.join(spec.formats)}), once ...")
        half_made = folder.with_suffix(".part")
        shutil.rmtree(half_made, ignore_errors=True)
        # In a process of its own: what it holds (10 GB of 20 M lines) would be the peak of all started later.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as aside:
            aside.submit(_simulate, spec, half_made).result()
        half_made.rename(folder)
    return Files(folder)


def _simulate(spec: WorldSpec, folder: Path) -> None:
    made = build(spec)
    write(made, folder / "landing")
    write_catalog(made, folder / "episodes.csv")
    write_truth(made, folder / "truth")
