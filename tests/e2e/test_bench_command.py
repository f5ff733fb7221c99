"""`python -m bench NAME` as typed wrongly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


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
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "EARSHOT_BENCH_CACHE": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr
