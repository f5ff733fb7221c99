"""The stages the benches measure, each a process of its own: `python -m bench.stages STAGE DATA [LANDING]`.

They call what the assets call in production (earshot.pipeline); settings come from the environment.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

from isal import igzip

from ingest.process import end_at_once, look_for_garbage_seldom

BLOCK = 1 << 20


def floor(*paths: str) -> None:
    """Unpack gzip files and find their lines: what no reader of logs can do without."""
    lines = 0
    for path in paths:
        with igzip.open(path) as unpacked:  # type: ignore[no-untyped-call]
            while block := unpacked.read(BLOCK):
                lines += block.count(b"\n")
    print(lines)


def clean(data: str, landing: str, catalog: str) -> None:
    """Landing files → lake."""
    from ingest.catalog import take_in_catalog
    from ingest.lake import Lake
    from ingest.logs.intake import find_landing_files, take_in
    from ingest.settings import Settings

    settings = Settings(data=Path(data), landing=Path(landing), settle_s=0)
    lake = Lake(settings.lake_dir)
    take_in_catalog([Path(catalog)], lake)
    report = take_in(find_landing_files(settings), settings, lake)
    print(report.requests)


def count(data: str, *select: str) -> None:
    """Lake → marts; `select`: further arguments of dbt."""
    from earshot.pipeline import run_dbt
    from ingest.settings import Settings

    run_dbt(Settings(data=Path(data)), ["run", *select])


def whole(data: str, landing: str, catalog: str, *select: str) -> None:
    """Landing files → lake → marts in one process, as `earshot count` has it: dbt starts meanwhile.

    Prints as JSON what cleaning cost (clean_cpu_s, clean_wall_s) and peaks (clean_peak_mb, count_peak_mb).
    """
    from earshot.pipeline import dbt_at_hand
    from ingest.settings import Settings

    began = time.monotonic()
    with dbt_at_hand(Settings(data=Path(data)), ["run", *select]) as run_dbt, redirect_stdout(sys.stderr):
        clean(data, landing, catalog)
        own, wall_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
        run_dbt(None)
    dbt = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {
        "clean_cpu_s": own.ru_utime + own.ru_stime,
        "clean_wall_s": wall_s,
        "clean_peak_mb": own.ru_maxrss * 1024 / 1e6,
        "count_peak_mb": dbt.ru_maxrss * 1024 / 1e6,
    }
    print(json.dumps(figures))


def build(data: str, *select: str) -> None:
    """Lake → marts with their tests, of the models selected."""
    from earshot.pipeline import build_marts
    from ingest.settings import Settings

    build_marts(Settings(data=Path(data)), select)


def main(arguments: Sequence[str]) -> None:
    """Runs one stage."""
    stages: dict[str, Callable[..., None]] = {
        "floor": floor, "clean": clean, "count": count, "whole": whole, "build": build,
    }  # fmt: skip
    look_for_garbage_seldom()  # as `earshot` does
    stages[arguments[0]](*arguments[1:])
    end_at_once(0)  # as well


if __name__ == "__main__":
    main(sys.argv[1:])
