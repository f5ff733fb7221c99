"""`python -m bench NAME` as typed wrongly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def bench(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "EARSHOT_BENCH_CACHE": str(cache)},
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "'logs'"),
        (["plots", "--rows", "0"], "'0' is not a whole number of at least 1"),
        (["plots", "--repeats", "-1"], "'-1' is not a whole number of at least 1"),
        (["plots", "--rows", "many"], "'many' is not a whole number of at least 1"),
        (["plots", "--endpoints", "3"], "plots knows no --endpoints"),
    ],
)
def test_what_is_typed_wrongly_is_refused_before_anything_is_measured(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = bench(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_history_too_short_for_its_batches_is_told_before_it_is_made(tmp_path: Path) -> None:
    done = bench(tmp_path, "incremental", "--rows", "5000")
    assert done.returncode == 1 and not list(tmp_path.iterdir())
    assert "at least 80,000" in done.stderr and "Traceback" not in done.stderr
