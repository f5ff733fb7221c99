"""From a landed file to the published mart: Dagster running as in production, a file a minute."""

from __future__ import annotations

import contextlib
import socket
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import psutil

from bench.files import world
from bench.measure import resident, shared_out, tree
from bench.report import Figures, say, show
from earshot.demo import running_dagster
from earshot.made_up.world import SERVER_LOG, WorldSpec
from earshot.made_up.world_formats import source_name
from ingest.catalog import take_in_catalog
from ingest.durable import write_atomically
from ingest.lake import Lake
from ingest.settings import Settings

LINES = 400_000  # of the world whose files land
MINUTES = 10
FORMAT = "cloudfront"
PATIENCE_S = 180
IDLE_S = 60


@dataclass
class Watch:
    """CPU and memory of the servers and all their runs."""

    pid: int
    cpu_s: dict[int, float] = field(default_factory=dict)
    peak_mb: float = 0.0

    def look(self) -> float:
        """CPU seconds so far; a run's process that has ended counts with what it had used when last seen."""
        for process in tree(self.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self.cpu_s[process.pid] = times.user + times.system
        self.peak_mb = max(self.peak_mb, resident(self.pid) / 1e6)
        return sum(self.cpu_s.values())


def run(rows: int | None, repeats: int) -> Figures:
    """`rows`: lines of the world; `repeats` is not used: every file is a repetition."""
    files = world(WorldSpec(days=1, lines=rows or LINES, formats=(FORMAT,), prefix=False))
    source = source_name(FORMAT)
    logs = sorted(files.of(source), key=lambda path: path.stat().st_size)[-MINUTES - 1 :]
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as room:
        settings = Settings(data=Path(room))
        take_in_catalog([files.catalog], Lake(settings.lake_dir))
        folder = settings.landing_dir / source
        folder.mkdir(parents=True)
        with running_dagster(settings, _free_port(), settings.data / "dagster.log") as server:
            watch = Watch(server.pid)
            first = logs.pop(0)  # the first build makes every table and is whole
            _land(first, folder)
            _wait_for_version(settings, 0, watch)
            before_s = watch.look()
            began = time.monotonic()
            waits = [_one(settings, log, folder, watch) for log in logs]
            share = (watch.look() - before_s) / (time.monotonic() - began)
            say(f"all {len(waits)} files published; idle for {IDLE_S} s ...")
            idle, idle_pss_mb, idle_rss_mb = _idle(watch, settings)
        counted = _requests_published(settings)
    waits.sort()
    p50, p95 = statistics.median(waits), waits[min(len(waits) - 1, round(0.95 * len(waits)))]
    figures: Figures = {
        "files": len(waits),
        "p50_s": round(p50, 1),
        "p95_s": round(p95, 1),
        "longest_s": round(waits[-1], 1),
        "cpu_share": round(share, 3),  # of one core, while a file a minute lands
        "idle_cpu_share": round(idle, 3),
        "idle_pss_mb": round(idle_pss_mb),  # shared pages divided among the processes that share them
        "idle_rss_mb": round(idle_rss_mb),  # counted in each
        "peak_mb": round(watch.peak_mb),  # so too, runs included
        "requests_published": counted,
    }
    show("from landing to the published mart", list(figures), [list(figures.values())])
    return figures


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _one(settings: Settings, log: Path, folder: Path, watch: Watch) -> float:
    before = _requests_published(settings)
    began = time.monotonic()
    _land(log, folder)
    while _requests_published(settings) == before:
        watch.look()
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError(f"{log.name} was not published within {PATIENCE_S} s")
        time.sleep(0.25)
    waited = time.monotonic() - began
    say(f"{log.name}: {waited:.1f} s")
    while time.monotonic() - began < 60:
        watch.look()
        time.sleep(0.5)
    return waited


def _land(log: Path, folder: Path) -> None:
    """As a delivery does: written beside, then renamed."""
    write_atomically(folder / log.name, log.read_bytes())


def _published(settings: Settings) -> Path | None:
    current = settings.published_dir / "current" / "marts.duckdb"
    return current.resolve() if current.exists() else None


def _requests_published(settings: Settings) -> int:
    """Requests in the published downloads, any source class: each file adds some."""
    path = _published(settings)
    if path is None:
        return 0
    with duckdb.connect(str(path), read_only=True) as con:
        found = con.execute(
            f"select coalesce(sum(requests), 0) from fct_exclusions_daily where source_class = '{SERVER_LOG}'"
        ).fetchall()
        downloads = con.execute("select count(*) from fct_downloads").fetchall()
    return int(found[0][0]) + int(downloads[0][0])


def _wait_for_version(settings: Settings, before: int, watch: Watch) -> None:
    began = time.monotonic()
    while _requests_published(settings) == before:
        watch.look()
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError(f"nothing was published within {PATIENCE_S} s")
        time.sleep(0.5)
    say(f"first file published after {time.monotonic() - began:.0f} s, Dagster's start included")


def _idle(watch: Watch, settings: Settings) -> tuple[float, float, float]:
    """Share of one core, PSS and RSS in MB, while nothing lands and after the whole build has run."""
    version = _published(settings)
    until = time.monotonic() + PATIENCE_S
    while _published(settings) == version and time.monotonic() < until:  # the whole build, in a quiet moment
        watch.look()
        time.sleep(0.5)
    time.sleep(10)
    before_s = watch.look()
    time.sleep(IDLE_S)
    share = (watch.look() - before_s) / IDLE_S
    return share, shared_out(watch.pid) / 1e6, resident(watch.pid) / 1e6
