"""Killed at each named point and run again: nothing lost, nothing doubled, nothing left lying about."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest.lake import Lake, utc_now_us
from ingest.settings import Settings
from orchestration.maintaining import maintain
from tests.faults.forks import KILLED, run, was_reached
from tests.faults.killing import Point
from tests.faults.points import POINTS
from tests.faults.scenario import Facts, Scenario

CASES = [(scenario, point) for scenario, points in POINTS.items() for point in points]


@dataclass(frozen=True)
class Undisturbed:
    """A scenario before its work, and what it comes to when nobody dies."""

    start: Path
    before: Facts
    after: Facts


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Undisturbed]:
    """By scenario; made when first asked for."""
    made: dict[str, Undisturbed] = {}
    root = tmp_path_factory.mktemp("undisturbed")

    class Made(dict[str, Undisturbed]):
        def __missing__(self, name: str) -> Undisturbed:
            scenario = next(one for one in POINTS if one.name == name)
            self[name] = made[name] = prepared(scenario, root / name)
            return self[name]

    return Made()


def prepared(scenario: Scenario, folder: Path) -> Undisturbed:
    start = folder / "start"
    scenario.prepare(start / "data")
    shutil.copytree(start, folder / "whole", symlinks=True)
    data = folder / "whole" / "data"
    before = scenario.look(data) if scenario.has_before else {}
    with scenario.helpers(data) as told:
        ended = run(scenario, data, told)
        assert ended.code == 0, ended.said
    after = scenario.look(data)
    assert after != before, "the work changes nothing that is looked at"
    assert scenario.leftovers(data) == []
    return Undisturbed(start, before, after)


@pytest.mark.parametrize(("scenario", "point"), CASES, ids=[point.name for _, point in CASES])
def test_killed_there_and_run_again_all_is_there_once(
    scenario: Scenario, point: Point, undisturbed: dict[str, Undisturbed], tmp_path: Path
) -> None:
    was = undisturbed[scenario.name]
    shutil.copytree(was.start, tmp_path / "run", symlinks=True)
    data = tmp_path / "run" / "data"
    with scenario.helpers(data) as told:
        killed = run(scenario, data, told, point)
        assert killed.code == KILLED and was_reached(data), f"{point} was not reached: {killed.said}"
        scenario.check_killed(data, was.before, was.after)
        again = run(scenario, data, told)
        assert again.code == 0, again.said
    assert scenario.look(data) == was.after
    assert scenario.leftovers(data) == []


def test_every_point_has_a_name_of_its_own_and_there_are_enough() -> None:
    names = [point.name for _, point in CASES]
    assert len(set(names)) == len(names) >= 30


def test_the_nightly_maintenance_removes_what_killed_writers_left_and_nothing_else(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    lake = Lake(settings.lake_dir)
    old, young = lake.root / "rules" / ".1.parquet.4711.tmp", lake.root / "files" / ".x.parquet.12.tmp"
    other = settings.landing_dir / "cdn" / ".upload.4711.tmp"  # not ours
    for path in (old, young, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (1, 1))
    done = maintain(settings, lake, utc_now_us(), lambda step, n, of: None)
    assert "1 unfinished files of processes that were killed are removed; nothing is lost" in done.notes
    assert (old.exists(), young.exists(), other.exists()) == (False, True, True)
