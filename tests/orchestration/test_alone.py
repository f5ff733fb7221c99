"""Who runs the platform of a data folder, as others are told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from orchestration.alone import FILE, running

RUNS = (
    "import sys; from pathlib import Path; from orchestration.alone import claim; "
    "claim(Path(sys.argv[1])); print('runs', flush=True); sys.stdin.read()"
)


def test_a_platform_is_seen_while_it_runs_and_what_a_dead_one_left_is_none(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    with subprocess.Popen(
        [sys.executable, "-c", RUNS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as platform:
        assert platform.stdout is not None and platform.stdout.readline() == "runs\n"
        assert (running(tmp_path) or "").startswith(f"pid {platform.pid} on ")
        platform.kill()
    assert (tmp_path / FILE).read_text() and running(tmp_path) is None


def test_a_look_lets_a_platform_start(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(f"pid {os.getpid()} on here\n")
    assert running(tmp_path) is None
    started = subprocess.run(
        [sys.executable, "-c", RUNS, str(tmp_path)], input="", capture_output=True, text=True, check=True
    )
    assert started.stdout == "runs\n"
