"""dbt killed in the middle of builds: the next one ends with the marts of builds that nobody disturbed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from earshot import pipeline
from earshot.pipeline import DbtFailed, run_dbt
from ingest.lake import Lake
from ingest.settings import Settings
from tests.faults.forks import KILLED, run, was_reached
from tests.faults.killing import Point
from tests.faults.points import DBT_POINTS, MARTS


def killed_one_after_the_other(folder: Path, points: tuple[Point, ...], bounded: bool) -> None:
    told = {"target": str(folder / "target"), "bounded": bounded}
    data = folder / "data"
    MARTS.prepare(data)
    assert (first := run(MARTS, data, told)).code == 0, first.said
    before = MARTS.look(data)
    MARTS.more(data)
    shutil.copytree(folder / "data", folder / "whole" / "data")
    assert run(MARTS, folder / "whole" / "data", told).code == 0
    after = MARTS.look(folder / "whole" / "data")
    assert after["fct_downloads"] != before["fct_downloads"]
    for point in points:
        killed = run(MARTS, data, told, point)
        assert killed.code == KILLED and was_reached(data), f"{point} was not reached: {killed.said}"
    assert (again := run(MARTS, data, told)).code == 0, again.said
    found = MARTS.look(data)
    assert [name for name in after if found[name] != after[name]] == []
    assert MARTS.leftovers(data) == []


def test_builds_that_are_killed_on_the_way_count_nothing_twice(tmp_path: Path) -> None:
    killed_one_after_the_other(tmp_path, DBT_POINTS[1::3], bounded=True)  # the others in the soak


def test_whoever_asked_for_a_killed_build_is_told_what_killed_it_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = "import os, sys; sys.stdin.readline(); print('1 of 9 OK', flush=True); os.kill(os.getpid(), 9)"
    monkeypatch.setattr(pipeline, "LEAN_DBT", (sys.executable, "-c", dies))
    Lake(tmp_path / "lake")
    with pytest.raises(DbtFailed, match=r"dbt was killed \(SIGKILL\).*memory.*build again") as told:
        run_dbt(Settings(data=tmp_path), ["run"])
    assert "1 of 9 OK" in str(told.value)


def test_dbt_ends_with_whoever_asked_for_the_build() -> None:
    """Were it to go on, it would read the lake while others move its files, and hold the warehouse."""
    dbt = "from orchestration.lean_dbt import end_with_parent as e; e(); print(1, flush=True); input()"
    asks = f"import subprocess as s, sys; s.run([sys.executable, '-c', {dbt!r}], stdin=0)"
    read, write = os.pipe()
    with subprocess.Popen([sys.executable, "-c", asks], stdin=read, stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None and asking.stdout.readline() == b"1\n"
        asking.kill()
        assert asking.stdout.read() == b"", "its output ends when it ends"
    os.close(read)
    os.close(write)
